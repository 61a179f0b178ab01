"""The places of the lists that clients sent last, so that a list which goes on from one of them costs little.

In memory only: what is not remembered is computed again, to the same place.
"""

from collections import OrderedDict

import msgspec

from nanobot.core.message import Message
from nanobot.core.visible import NO_CALLS, START, Place, calls_in, place_of

_SHORTEST = 8
"""Messages that cost no more to compare than to look up."""


class _Remembered(msgspec.Struct, frozen=True, gc=False):
    """The list of `count` messages with that hash leads to `place`."""

    count: int
    hash: int
    place: Place


class RecentPlaces:
    """Where the list that each session sent last leads to, for the sessions that were used last.

    What stands here depends on the messages alone: nothing that becomes of the session makes it wrong. For
    one thread at a time.
    """

    def __init__(self, most_sessions: int = 2048) -> None:
        self._most_sessions = most_sessions
        self._sessions: OrderedDict[int, _Remembered] = OrderedDict()

    @property
    def sessions(self) -> tuple[int, ...]:
        """The sessions of which a list is remembered, the one that was used last at the end."""
        return tuple(self._sessions)

    def place_of(self, session: int, messages: tuple[Message, ...]) -> Place:
        """Return the place to which the messages lead from the beginning."""
        if len(messages) < _SHORTEST:
            return place_of(messages)
        place, count = START, 0
        known = self._sessions.get(session)
        # Hashes of strings are keyed, by a secret of this process.
        if known is not None and known.count <= len(messages) and hash(messages[: known.count]) == known.hash:
            place, count = known.place, known.count
        rest = messages[count:]
        if rest:
            has_results = count and any(message.role == "tool" for message in rest)
            place = place_of(rest, place, calls_in(messages[:count]) if has_results else NO_CALLS)
        if len(rest) >= _SHORTEST:
            self._sessions[session] = _Remembered(len(messages), hash(messages), place)
        if known is not None or len(rest) >= _SHORTEST:
            self._sessions.move_to_end(session)
            if len(self._sessions) > self._most_sessions:
                self._sessions.popitem(last=False)
        return place
