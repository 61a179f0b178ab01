"""Searching texts line by line for a regular expression: a task of `workers`, as an expression may take for
ever.
"""

import re

import msgspec

_LINE_CHARS = 240
_BEFORE_CHARS = 60


class SearchedFile(msgspec.Struct, frozen=True):
    """A file among the content: its path, and how many bytes it has."""

    path: str
    size_bytes: int


class LineSearch(msgspec.Struct, frozen=True):
    """What to look for, in which files; `most`: how many lines are wanted."""

    pattern: str
    files: tuple[SearchedFile, ...]
    most: int


class FoundLine(msgspec.Struct, frozen=True, array_like=True):
    path: str
    number: int
    text: str


class Found(msgspec.Struct, frozen=True):
    """Lines that fit. `refused`: why the expression is none. `has_more`: others fit, too."""

    lines: tuple[FoundLine, ...] = ()
    has_more: bool = False
    refused: str | None = None


def run(head: bytes, content: bytes) -> bytes:
    """Return what was `Found` as JSON; `head` is a `LineSearch` as JSON."""
    return msgspec.json.encode(search(msgspec.json.decode(head, type=LineSearch), content))


def search(wanted: LineSearch, content: bytes) -> Found:
    """Return the lines of the files in `content`, one after another, that have the expression in them."""
    try:
        expression = re.compile(wanted.pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return Found(refused=str(error))
    found: list[FoundLine] = []
    start = 0
    for file in wanted.files:
        text = content[start : start + file.size_bytes].decode("utf-8", "replace")
        start += file.size_bytes
        for number, line in enumerate(text.split("\n"), 1):
            fit = expression.search(line)
            if fit is None:
                continue
            if len(found) == wanted.most:
                return Found(tuple(found), has_more=True)
            found.append(FoundLine(file.path, number, _cut(line, fit.start())))
    return Found(tuple(found))


def _cut(line: str, at: int) -> str:
    if len(line) <= _LINE_CHARS:
        return line.strip()
    first = max(0, at - _BEFORE_CHARS)
    return f"{'…' if first else ''}{line[first : first + _LINE_CHARS].strip()}…"
