"""How many requests to the web run at once, in all and for each session."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

_MOST_IN_ALL = 64
_MOST_FOR_A_SESSION = 4


class WebTurns:
    """Lets requests to the web begin: so many at once in all, and so many for each session; others wait for
    their turn.
    """

    def __init__(self, most: int = _MOST_IN_ALL, most_for_a_session: int = _MOST_FOR_A_SESSION) -> None:
        self._all = asyncio.Semaphore(most)
        self._most_for_a_session = most_for_a_session
        self._sessions: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def turn(self, session_key: str) -> AsyncIterator[None]:
        """Wait until a request of the session may begin, and count it as long as the block runs."""
        own = self._sessions.setdefault(session_key, asyncio.Semaphore(self._most_for_a_session))
        self._users[session_key] += 1
        try:
            # First its own, so that a session that waits for itself takes no place of others.
            async with own, self._all:
                yield
        finally:
            self._users[session_key] -= 1
            if not self._users[session_key]:
                del self._users[session_key], self._sessions[session_key]
