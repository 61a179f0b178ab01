"""Whether a text is one that a grammar allows: as much of GBNF as our own grammars use."""

import re
from collections.abc import Iterator
from functools import cache

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|\{\d+(?:,\d*)?\}|[()|?*+]|[\w-]+')


def accepts(grammar: str, text: str) -> bool:
    """Return whether the whole of `text` is what the rule `root` allows."""
    rules = {
        name.strip(): _TOKENS.findall(body)
        for name, _, body in (line.partition("::=") for line in grammar.splitlines())
    }

    @cache
    def ends_of_rule(name: str, at: int) -> frozenset[int]:
        return frozenset(ends_of_ways(tuple(rules[name]), at))

    def ends_of_ways(tokens: tuple[str, ...], at: int) -> Iterator[int]:
        for way in _split(tokens):
            yield from ends_of_row(way, frozenset({at}))

    def ends_of_row(tokens: tuple[str, ...], starts: frozenset[int]) -> frozenset[int]:
        while tokens:
            item, tokens = _first(tokens)
            least, most, tokens = _times(tokens)
            reached = starts if least == 0 else frozenset()
            for count in range(1, most + 1):
                new = frozenset(end for start in starts for end in ends_of_item(item, start))
                if count >= least:
                    if new <= reached:
                        break
                    reached |= new
                starts = new
            starts = reached
        return starts

    def ends_of_item(item: tuple[str, ...], at: int) -> Iterator[int]:
        first = item[0]
        if first == "(":
            yield from ends_of_ways(item[1:-1], at)
        elif first[0] == "[":
            if at < len(text) and re.match(first.replace("[^[", r"[^\["), text[at]):
                yield at + 1
        elif first[0] == '"':
            word = re.sub(
                r"\\(.)", lambda found: {"n": "\n", "t": "\t", "r": "\r"}.get(found[1], found[1]), first[1:-1]
            )
            if text.startswith(word, at):
                yield at + len(word)
        else:
            yield from ends_of_rule(first, at)

    return len(text) in ends_of_rule("root", 0)


def _first(tokens: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the first item of a row, a group as a whole, and the rest."""
    depth = 0
    for at, token in enumerate(tokens):
        depth += (token == "(") - (token == ")")
        if depth == 0:
            return tokens[: at + 1], tokens[at + 1 :]
    raise ValueError("a group has no end")


def _times(tokens: tuple[str, ...]) -> tuple[int, int, tuple[str, ...]]:
    """Return how often an item may come, least and most, and the rest of the row."""
    sign = tokens[0] if tokens else ""
    if sign in ("?", "*", "+"):
        return int(sign == "+"), 1 if sign == "?" else 10_000, tokens[1:]
    if sign.startswith("{"):
        least, comma, most = sign[1:-1].partition(",")
        return int(least), int(most) if most else 10_000 if comma else int(least), tokens[1:]
    return 1, 1, tokens


def _split(tokens: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the alternatives."""
    depth, start = 0, 0
    for at, token in enumerate(tokens):
        depth += (token == "(") - (token == ")")
        if token == "|" and depth == 0:
            yield tokens[start:at]
            start = at + 1
    yield tokens[start:]
