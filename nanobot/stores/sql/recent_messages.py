"""Messages of the conversations that were used last, as they were read: a turn reads and decodes only what
has been said since the turn before.

A message's number stands for the same message as long as it is there, so that nothing here grows stale:
neither by a rewind nor by what is said. In memory only. What is deleted is forgotten with it, and all of it
where a transaction is rolled back: a number may stand for another message after that.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Final

from nanobot.core.message import Message

MOST_BYTES: Final = 4 * 1024 * 1024
"""How much a writer keeps in all, as it is stored; in memory that is some twice as much."""
FEWEST: Final = 24
"""Of a shorter conversation there is little to be saved."""
_LARGEST_SHARE: Final = 16
message_of = itemgetter(0)
end_of = itemgetter(1)
_bytes_of = itemgetter(2)


Kept = tuple[Message | None, int, int]
"""A message (None: nothing is known but its end), how much has been said up to its end, in tokens, and its
bytes as it is stored.
"""


class RecentMessages:
    """What is kept of the sessions that were used last: `most_bytes` at most, and none of one that would take
    more than a sixteenth of it. For one thread at a time.
    """

    def __init__(self, most_bytes: int = 0) -> None:
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._sessions: OrderedDict[int, tuple[int, Mapping[int, Kept]]] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        """How much is kept."""
        return self._size_bytes

    def known(self, session: int, first: int, last: int) -> Sequence[Kept]:
        """Return the messages from number `first` on that are kept without a gap, up to `last` at most."""
        if session not in self._sessions:
            return ()
        _, kept = self._sessions[session]
        try:
            known = list(map(kept.__getitem__, range(first, _newest(kept, first, last) + 1)))
        except KeyError:
            return ()
        return known if known and message_of(known[0]) is not None else ()

    def last_within(self, session: int, first: int, last: int, tokens: int) -> tuple[int, int] | None:
        """Return the last message from number `first` to `last`, of one stretch, up to which at most `tokens`
        have been said, and how many; None where that is not known.
        """
        if session not in self._sessions:
            return None
        _, kept = self._sessions[session]
        newest = _newest(kept, first, last)
        if newest < first or end_of(kept[newest]) <= tokens:
            return None
        # They are kept in order; of one stretch, without a gap.
        oldest = max(first, next(iter(kept)))
        try:
            place = bisect_right(range(oldest, newest + 1), tokens, key=lambda number: end_of(kept[number]))
        except KeyError:
            return None
        found = oldest + place - 1
        return (found, end_of(kept[found])) if place else None

    def keep(self, session: int, numbers: Sequence[int], messages: Sequence[Kept]) -> None:
        """Keep these messages of the session, which have these numbers, instead of what was kept of it."""
        self.forget(session)
        # A damaged database may lack some of those that have a number.
        if not self._most_bytes or len(messages) < FEWEST or len(numbers) != len(messages):
            return
        size_bytes = sum(map(_bytes_of, messages))
        if size_bytes * _LARGEST_SHARE > self._most_bytes:
            return
        self._sessions[session] = (size_bytes, dict(zip(numbers, messages, strict=True)))
        self._size_bytes += size_bytes
        while self._size_bytes > self._most_bytes:
            _, (oldest_bytes, _) = self._sessions.popitem(last=False)
            self._size_bytes -= oldest_bytes

    def forget(self, session: int) -> None:
        """Keep nothing of the session any more: it is deleted, or some of it, or counted otherwise."""
        size_bytes, _ = self._sessions.pop(session, (0, {}))
        self._size_bytes -= size_bytes

    def clear(self) -> None:
        """Keep nothing any more."""
        self._sessions.clear()
        self._size_bytes = 0


def _newest(kept: Mapping[int, Kept], first: int, last: int) -> int:
    """Return the last number that is kept. What is not is what was said last: a message or two."""
    while last >= first and last not in kept:
        last -= 1
    return last
