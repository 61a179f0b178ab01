"""Which terms too many messages of a session have, so that these are not counted again with each turn: it is
what takes longest where a turn looks back.

In memory only, and only for a while: what is not known is counted, to the same number.
"""

from collections import OrderedDict
from typing import Final

import msgspec

_MOST_SESSIONS: Final = 256
_MOST_TERMS: Final = 128
_GROWS_BY: Final = 1.1


class _Known(msgspec.Struct, frozen=True):
    """The hashes of terms that were common when the sessions had so many messages in the index: nobody's
    words are kept.
    """

    size: int
    terms: set[int]


class CommonTerms:
    """The terms that are common in the sessions that were searched last. For one thread at a time."""

    def __init__(self) -> None:
        self._known: OrderedDict[frozenset[tuple[int, str]], _Known] = OrderedDict()

    def of(self, sessions: frozenset[tuple[int, str]], size: int) -> set[int]:
        """Return the hashes of terms that are known to be common in these sessions (number and key), to which
        others may be added.

        `size`: how many of their messages are in the index. Once they have a tenth more, or fewer, none is
        known: a term may have become rare by then.
        """
        known = self._known.get(sessions)
        if (
            known is None
            or not known.size <= size <= _GROWS_BY * known.size
            or len(known.terms) >= _MOST_TERMS
        ):
            known = self._known[sessions] = _Known(size, set())
        self._known.move_to_end(sessions)
        if len(self._known) > _MOST_SESSIONS:
            self._known.popitem(last=False)
        return known.terms
