"""What happens in sessions that are being watched, kept in memory for a while and only while someone watches.

Each watcher has its own position. One that is slow delays no one: what it has not read when there is too much
is lost to it; `SessionEvent.missed` says how much.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from nanobot.core.sessions import SessionEvent

_MOST_KEPT = 2_048


class _View:
    """The newest events of one session; `count` is how many there were in all."""

    __slots__ = ("count", "events", "is_over", "waiters", "watchers")

    def __init__(self) -> None:
        self.events: deque[SessionEvent] = deque(maxlen=_MOST_KEPT)
        self.count = 0
        self.watchers = 0
        self.is_over = False
        self.waiters: list[asyncio.Future[None]] = []

    def wake(self) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
        self.waiters.clear()


class Views:
    """The sessions that are being watched; `watched` has their keys, as they are at any time."""

    def __init__(self) -> None:
        self._views: dict[str, _View] = {}
        self.watched = self._views.keys()

    def watchers(self, session_key: str | None) -> int:
        """Return how many watch the session."""
        view = self._views.get(session_key) if session_key is not None else None
        return view.watchers if view is not None else 0

    def show(self, session_key: str, events: Sequence[SessionEvent]) -> None:
        """Show events to those who watch the session, if anyone does."""
        view = self._views.get(session_key)
        if view is not None and events:
            view.events.extend(events)
            view.count += len(events)
            view.wake()

    def end(self, session_key: str) -> None:
        """The session is gone: its watchers see the rest, then the end."""
        view = self._views.pop(session_key, None)
        if view is not None:
            view.is_over = True
            view.wake()

    def end_all(self) -> None:
        """Nothing more will happen in any session."""
        for session_key in tuple(self._views):
            self.end(session_key)

    def enter(self, session_key: str) -> "Watcher":
        """Return a watcher that sees what is shown from now on; it must `leave`."""
        view = self._views.setdefault(session_key, _View())
        view.watchers += 1
        return Watcher(view, lambda: self._leave(session_key, view))

    def _leave(self, session_key: str, view: _View) -> bool:
        view.watchers -= 1
        is_shown = self._views.get(session_key) is view
        if is_shown and not view.watchers:
            del self._views[session_key]
        return is_shown


class Watcher:
    """A watcher of a session. `leave` returns whether the session was still there to be watched."""

    def __init__(self, view: _View, leave: Callable[[], bool]) -> None:
        self._view = view
        self._seen = view.count
        self.leave = leave

    async def see(self) -> AsyncIterator[Sequence[SessionEvent]]:
        """Yield what is shown, until the end."""
        view = self._view
        while True:
            if self._seen < view.count:
                fresh = _past(view, self._seen)
                self._seen = view.count
                yield fresh
            elif view.is_over:
                return
            else:
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                view.waiters.append(waiter)
                await waiter


def _past(view: _View, seen: int) -> Sequence[SessionEvent]:
    """Return what was shown after the first `seen` events, as far as it is kept."""
    kept = len(view.events)
    wanted = view.count - seen
    fresh = list(view.events)[-wanted:]
    if wanted > kept:
        fresh[0] = msgspec.structs.replace(fresh[0], missed=wanted - kept)
    return fresh
