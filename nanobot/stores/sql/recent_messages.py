"""Messages of the conversations that were used last, as they were read: a turn reads and decodes only what has
been said since the turn before.

A message's number stands for the same message as long as it is there, so that nothing here grows stale: neither
by a rewind nor by what is said. In memory only. What is deleted is forgotten with it, and all of it where a
transaction is rolled back: a number may stand for another message after that.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from nanobot.core.message import Message

MOST_BYTES: Final = 4 * 1024 * 1024
"""How much a writer keeps in all, as it is stored; in memory that is some twice as much."""
FEWEST: Final = 24
"""Of a shorter conversation there is little to be saved."""
_LARGEST_SHARE: Final = 16


class _Kept:
    """The messages of one session by their numbers, and their size as they are stored."""

    __slots__ = ("messages", "size_bytes")

    def __init__(self, messages: Mapping[int, Message], size_bytes: int) -> None:
        self.messages = messages
        self.size_bytes = size_bytes


class RecentMessages:
    """What is kept of the sessions that were used last: `most_bytes` at most, and none of one that would take
    more than a sixteenth of it. For one thread at a time.
    """

    def __init__(self, most_bytes: int = 0) -> None:
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._sessions: OrderedDict[int, _Kept] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        """How much is kept."""
        return self._size_bytes

    def known(self, session: int, first: int, last: int) -> Sequence[Message]:
        """Return the messages from number `first` on that are kept without a gap, up to `last` at most."""
        kept = self._sessions.get(session)
        if kept is None:
            return ()
        messages = kept.messages
        # What is not known is what was said last: a message or two.
        while last >= first and last not in messages:
            last -= 1
        try:
            return list(map(messages.__getitem__, range(first, last + 1)))
        except KeyError:
            return ()

    def keep(
        self, session: int, numbers: Iterable[int], messages: Sequence[Message], size_bytes: int
    ) -> None:
        """Keep these messages of the session, which have these numbers, instead of what was kept of it."""
        self.forget(session)
        if len(messages) < FEWEST or size_bytes * _LARGEST_SHARE > self._most_bytes:
            return
        self._sessions[session] = _Kept(dict(zip(numbers, messages, strict=True)), size_bytes)
        self._size_bytes += size_bytes
        while self._size_bytes > self._most_bytes:
            _, oldest = self._sessions.popitem(last=False)
            self._size_bytes -= oldest.size_bytes

    def forget(self, session: int) -> None:
        """Keep nothing of the session any more: it is deleted, or some of it."""
        kept = self._sessions.pop(session, None)
        if kept is not None:
            self._size_bytes -= kept.size_bytes

    def clear(self) -> None:
        """Keep nothing any more."""
        self._sessions.clear()
        self._size_bytes = 0
