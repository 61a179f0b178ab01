"""What requests without a key of their own cannot say when they are sent again: that the one before was
refused, or answered whole.
"""

import logging
from collections import OrderedDict

from nanobot.core.clock import Clock
from nanobot.core.errors import StoreError
from nanobot.core.store import Store
from nanobot.core.turn import Identity

_log = logging.getLogger(__name__)
FLUSH_EVERY_S = 1.0
_MOST_REFUSED = 4_096
_REFUSED_FOR_S = 120.0
"""Clients that resend what was refused wait no longer; the server asks for at most a minute."""


class Deliveries:
    """Answers that were delivered whole: known at once, and stored by `flush`, many together."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: set[str] = set()

    def note(self, turn_id: str) -> None:
        """A client has received the answer of the turn whole."""
        self._pending.add(turn_id)

    async def flush(self) -> None:
        """Store what was noted.

        Raises:
            StoreError: it is tried again with the next.
        """
        if not self._pending:
            return
        noted, self._pending = self._pending, set()
        try:
            await self._store.delivered(tuple(noted))
        except BaseException:
            self._pending |= noted
            raise

    async def close(self) -> None:
        """Store what was noted, if the store can."""
        try:
            await self.flush()
        except StoreError as error:
            _log.warning("which answers were delivered last is not stored: %s", error.message)


class RefusedRequests:
    """Requests that were refused a short time ago, by what identifies them: their resends are first tries.

    In memory only, and only the newest.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: OrderedDict[tuple[str, bytes], float] = OrderedDict()

    def note(self, session_key: str, identity: Identity) -> None:
        """The request was refused; `session_key` empty: whatever session it meant."""
        known_by = (session_key, identity.digest)
        self._until[known_by] = self._clock.now() + _REFUSED_FOR_S
        self._until.move_to_end(known_by)
        if len(self._until) > _MOST_REFUSED:
            self._until.popitem(last=False)

    def forget(self, session_key: str, identity: Identity) -> None:
        """The request was admitted."""
        if self._until:
            self._until.pop((session_key, identity.digest), None)

    def has(self, session_key: str, identity: Identity) -> bool:
        """Return whether the request was refused when it came last."""
        return self._until.get((session_key, identity.digest), 0.0) > self._clock.now()
