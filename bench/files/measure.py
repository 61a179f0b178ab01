"""What was read of a document, counted against what is in it."""

from collections import Counter

import msgspec

from bench.files.case import Case, words
from nanobot.core.errors import InvalidRequest
from nanobot.reading.documents import DocumentReader

MOST_LOST = 0.1
"""A document is read if no more of its words are missing."""


class Reading(msgspec.Struct, frozen=True):
    """How a document was read.

    `words`: the share of its words that came. `rows`, `values`, `charts`, `texts`: how many of them came.
    `wrong`: what must not be there and is. `error`: why it was not read.
    """

    case: Case
    words: float = 0.0
    rows: int = 0
    values: int = 0
    charts: int = 0
    texts: int = 0
    wrong: tuple[str, ...] = ()
    error: str = ""

    @property
    def is_read(self) -> bool:
        return not self.error and not self.wrong and self.words >= 1 - MOST_LOST


async def read(reader: DocumentReader, case: Case) -> Reading:
    """Return how the document was read."""
    try:
        document = await reader.read(case.content, name=case.name, mime=case.mime)
    except InvalidRequest as error:
        return Reading(case, error=error.message)
    text = document.text
    lines = [words(line) for line in text.splitlines()]
    return Reading(
        case,
        words=_share(case.text, text),
        rows=sum(any(_is_in(row, line) for line in lines) for row in case.rows),
        values=sum(_has(value, text) for value in case.values),
        charts=sum(_has(label, text) for label in case.charts),
        texts=sum(piece in text for piece in case.texts),
        wrong=tuple(piece for piece in case.absent if piece in text),
    )


def _share(expected: str, text: str) -> float:
    known, found = Counter(words(expected)), Counter(words(text))
    total = known.total()
    return (known & found).total() / total if total else 1.0


def _is_in(row: tuple[str, ...], line: list[str]) -> bool:
    """Return whether the cells stand on the line, in their order."""
    place = 0
    for cell in row:
        for word in words(cell):
            try:
                place = line.index(word, place) + 1
            except ValueError:
                return False
    return True


def _has(piece: str, text: str) -> bool:
    wanted = words(piece)
    there = words(text)
    return any(there[place : place + len(wanted)] == wanted for place in range(len(there) - len(wanted) + 1))
