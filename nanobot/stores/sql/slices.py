"""A long text comes into the search index in slices, and goes in the same: nobody waits for all of its words.

Each slice has some of the different words at all of their places; at those of the others stands a filler. So
the index has each word of a message once, with the places of all of them, as if it had come in whole. Words
that begin alike stay together, as their beginnings stand in the index as well.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from nanobot.stores.sql import tokens

MOST_ENTRIES = 18_000
"""So many different words and beginnings of words cost the index some 20 ms."""
_FILLER = "\u00b7"
"""No word is that."""
_COUNTED = 500
_MOST_BEGUN = 4
_FORGOTTEN_AFTER = 1_000


def is_long(text: str) -> bool:
    """Return whether a text is one that may have more words than come into the index at once."""
    return len(text) > tokens.STRETCH


def slices(text: str) -> Iterator[str | None]:
    """Yield the slices of a text: the same ones each time. None: it is still being taken apart."""
    stretches: list[str] = []
    different: set[str] = set()
    for found in tokens.in_stretches(text):
        different.update(found)
        if found:
            stretches.append(" ".join(found))
        yield None
    words = sorted(different)
    del different
    yield None
    at = 0
    while at < len(words):
        end = _end_of_slice(words, at)
        piece = _slice(stretches, frozenset(words[at:end]))
        yield None
        yield piece
        at = end


def entries(words: Iterable[str]) -> int:
    """Return how many entries of the index different words make, with their beginnings."""
    shortest, longest = tokens.STEM_LENGTHS[0], tokens.STEM_LENGTHS[-1]
    return sum([1 if len(word) < shortest else min(len(word), longest) - shortest + 2 for word in words])


def _end_of_slice(words: Sequence[str], at: int) -> int:
    """Return where the slice ends that begins at `at`: where words begin otherwise, if they do soon."""
    left, end = MOST_ENTRIES, at
    while end < len(words) and left > 0:
        left -= entries(words[end : end + _COUNTED])
        end = min(end + _COUNTED, len(words))
    if end == len(words):
        return end
    shortest = tokens.STEM_LENGTHS[0]
    for place in range(end, (at + end) // 2, -1):
        if words[place][:shortest] != words[place - 1][:shortest]:
            return place
    return end


def _slice(stretches: Sequence[str], words: frozenset[str]) -> str:
    return " ".join(
        [
            " ".join([token if token in words else _FILLER for token in stretch.split(" ")])
            for stretch in stretches
        ]
    ).rstrip(f" {_FILLER}")


class _Begun(msgspec.Struct):
    """A text that is being taken apart: what is left of it, and the number of the next slice."""

    rest: Iterator[str | None]
    asked: int
    number: int = 0


class Slices:
    """The texts that are being taken apart, by the numbers of their messages, each as far as was asked for.
    In memory only: whoever has forgotten them begins again. For one thread at a time.
    """

    def __init__(self) -> None:
        self._begun: dict[int, _Begun] = {}
        self._asked = 0

    def slice(self, id_: int, text: Callable[[], str], number: int) -> str | None:
        """Return a slice of the message's text; "" where it has no more, None where that is not known yet:
        then it is to be asked for again.
        """
        self._asked += 1
        begun = self._begun.get(id_)
        if begun is None or begun.number > number:
            begun = _Begun(slices(text()), self._asked)
        begun.asked = self._asked
        is_kept = self._keep(id_, begun)
        for piece in begun.rest:
            if piece is not None:
                begun.number += 1
                if begun.number > number:
                    return piece
            if is_kept:
                return None
        self.forget(id_)
        return ""

    def _keep(self, id_: int, begun: _Begun) -> bool:
        """Keep a text for the next time, where there is room; else it is taken apart at once: if it took the
        place of another, none of them would ever come to an end.
        """
        if id_ not in self._begun and len(self._begun) >= _MOST_BEGUN:
            oldest = min(self._begun, key=lambda each: self._begun[each].asked)
            if self._asked - self._begun[oldest].asked < _FORGOTTEN_AFTER:
                return False
            del self._begun[oldest]
        self._begun[id_] = begun
        return True

    def forget(self, id_: int) -> None:
        """Keep nothing of the message any more."""
        self._begun.pop(id_, None)

    def clear(self) -> None:
        """Keep nothing any more."""
        self._begun.clear()
