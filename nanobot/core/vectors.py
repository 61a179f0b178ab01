"""Vectors: what texts mean, as rows of small numbers. Texts that mean much the same have vectors that point
much the same way, also where they share no word.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

STATEMENT, QUESTION, ANSWER = range(3)
"""The kinds of messages: what a user told, what a user asked, what the assistant said."""
MOST_PIECES = 4
PIECE_CHARACTERS = 400
"""Of a long text, the vectors of so many pieces of its beginning are kept."""


class Near(msgspec.Struct, frozen=True, array_like=True):
    """A message or a fact that is near a text in meaning: its number, and how near it is. 1: it says the
    same; 0: it is as near as any other.
    """

    number: int
    score: float


class Vectors(Protocol):
    """Makes vectors, and compares them with those that are kept."""

    @property
    def version(self) -> str:
        """What makes them: those of another version cannot be compared."""
        ...

    async def embed(self, texts: Sequence[str]) -> bytes:
        """Return the vectors of the texts, one behind the other.

        Raises:
            VectorsUnavailable
        """
        ...

    async def nearest(self, text: str, ranges: Sequence[tuple[int, int]], *, patient: bool) -> Sequence[Near]:
        """Return the messages nearest to the text, the best first, of those with ids in the ranges, first and
        last; those much like a better one come later. Empty where that would take too long. `patient`:
        somebody looks for it, and waits longer than a turn does.
        """
        ...

    async def nearest_facts(self, text: str, numbers: Sequence[int], *, patient: bool) -> Sequence[Near]:
        """Return those of the facts with the numbers that are nearest to the text, the best first, as
        `nearest` does.
        """
        ...


class Unembedded(msgspec.Struct, frozen=True):
    """A message or a fact that has no vectors yet: its number, the pieces of its text, and when it was said,
    by which it is told from another one that comes to have its number.
    """

    number: int
    pieces: tuple[str, ...]
    created_at: float
    kind: int = STATEMENT


class UnembeddedBatch(msgspec.Struct, frozen=True):
    """What is to get vectors next: messages of a session in their order, up to the message `last_seq`; or
    facts, where `session` is None.
    """

    session: int | None
    last_seq: int
    items: tuple[Unembedded, ...]


class Embeddings(Protocol):
    """What has vectors, and what has none yet."""

    async def begin_embedding(self, version: str) -> None:
        """Delete the vectors that another version made."""
        ...

    async def unembedded(self) -> UnembeddedBatch | None:
        """Return some of what has no vectors yet; None: nothing was found now. Not everything is looked at
        each time; asked again and again, all is found.
        """
        ...

    async def add_vectors(self, of: UnembeddedBatch, bodies: Sequence[bytes]) -> None:
        """Keep the vectors of each item of the batch, of those that are still there. An empty vector is not
        kept.
        """
        ...


def pieces_of(text: str) -> tuple[str, ...]:
    """Return the pieces of a text, on one line, that have vectors of their own."""
    text = " ".join(text[: 4 * MOST_PIECES * PIECE_CHARACTERS].split())
    pieces: list[str] = []
    while text and len(pieces) < MOST_PIECES:
        cut = len(text)
        if cut > PIECE_CHARACTERS:
            # At a space, where there is one not far before.
            space = text.rfind(" ", PIECE_CHARACTERS // 2, PIECE_CHARACTERS)
            cut = space if space > 0 else PIECE_CHARACTERS
        pieces.append(text[:cut])
        text = text[cut:].lstrip()
    return tuple(pieces)
