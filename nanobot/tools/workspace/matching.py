"""Finding in a text what a model means, where it does not write it exactly as it stands there.

Blocks for as long as a large text takes: call it in a thread.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from nanobot.core.late_pattern import LatePattern

_QUOTES = str.maketrans(
    "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00a0\u2013\u2014\u2212", "''''\"\"\"\" ---"
)
_SPACES = LatePattern(r"\s+")
_WORDS = LatePattern(r"\w+")
_MOST_COMPARED = 200_000
"""Lines that are compared with lines, at most, to find the nearest place."""
_MOST_WORDS = 40
"""Words of a line that are compared."""
_LEAST_ALIKE = 0.3


def plain(line: str) -> str:
    """Return the line without what models often get wrong: white space, the shape of quotes and dashes."""
    return _SPACES.sub(" ", line.translate(_QUOTES)).strip()


_LEVELS: Sequence[Callable[[str], str]] = (str, str.rstrip, plain)


def find_lines(lines: Sequence[str], wanted: Sequence[str], start: int = 0) -> list[int]:
    """Return where `wanted` begins in `lines`, from `start` on: where it stands exactly, else where it does
    but for white space at the ends of lines, else but for any white space and the shape of quotes. Places do
    not overlap. Neither holds a line with a line end in it.
    """
    return list(_found(lines, wanted, start))


def find_first(lines: Sequence[str], wanted: Sequence[str], start: int = 0) -> int | None:
    """Return the first of the places that `find_lines` finds; None where there is none."""
    return next(_found(lines, wanted, start), None)


def _found(lines: Sequence[str], wanted: Sequence[str], start: int) -> Iterator[int]:
    """Yield the places at the first level where there are any."""
    if not wanted:
        return
    rest = lines[start:] if start else lines
    for level in _LEVELS:
        is_found = False
        for place in _places(_framed(rest, level), _framed(wanted, level)):
            is_found = True
            yield start + place
        if is_found:
            return


def _framed(lines: Sequence[str], level: Callable[[str], str]) -> str:
    """Return the lines as one text in which every line stands between line ends."""
    return "\n".join(("", *(lines if level is str else map(level, lines)), ""))


def _places(text: str, wanted: str) -> Iterator[int]:
    """Yield the numbers of the lines where `wanted` stands. Searching text takes a time that grows with its
    length alone, comparing lines with lines one that grows with both.
    """
    line, counted, at = 0, 0, text.find(wanted)
    while at >= 0:
        line += text.count("\n", counted, at)
        counted = at
        yield line
        at = text.find(wanted, at + len(wanted) - 1)


def find_within(line: str, wanted: str) -> list[tuple[int, int]]:
    """Return where `wanted`, which is one line, stands in `line` but for white space and the shape of quotes:
    the beginnings and ends.
    """
    want = plain(wanted)
    if not want:
        return []
    shown, places = _with_places(line)
    found, at = [], shown.find(want)
    while at >= 0:
        found.append((places[at], places[at + len(want) - 1] + 1))
        at = shown.find(want, at + len(want))
    return found


def _with_places(line: str) -> tuple[str, list[int]]:
    """Return the line with runs of white space as one space, and where each character of that stands."""
    shown: list[str] = []
    places: list[int] = []
    for at, character in enumerate(line.translate(_QUOTES)):
        if character.isspace():
            if shown and shown[-1] == " ":
                continue
            character = " "
        shown.append(character)
        places.append(at)
    return "".join(shown), places


def nearest(lines: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Return where the lines stand that have most words in common with `wanted`; None where none has many."""
    words = [_words(line) for line in wanted if line.strip()]
    words = words[: max(1, _MOST_COMPARED // max(1, len(lines)))]
    if not words:
        return None
    have = [_words(line) for line in lines]
    scores = [
        sum(_alike(each, have[at + offset]) for offset, each in enumerate(words) if at + offset < len(have))
        for at in range(len(have))
    ]
    best = max(range(len(scores)), key=scores.__getitem__, default=None)
    return best if best is not None and scores[best] / len(words) >= _LEAST_ALIKE else None


def _words(line: str) -> set[str]:
    return {word[0] for word in islice(_WORDS.finditer(line.casefold()), _MOST_WORDS)}


def _alike(first: set[str], second: set[str]) -> float:
    if not first or not second:
        return 0.0
    return len(first & second) / len(first | second)
