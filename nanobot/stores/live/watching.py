"""Who watches a session: what happens in it, kept for a while for all who watch, in memory and only while
somebody does.

Each watcher has a place of its own in what is kept. Who is slow holds up nobody: what it has not read when
there is too much is lost to it, and it is told how much.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from nanobot.core.event import TurnAdmitted, TurnStarted
from nanobot.core.sessions import SessionEvent, Watched
from nanobot.stores.live.lines import LiveTurn

_MOST_KEPT = 2_048


class _View:
    """What was seen of one session lately; `count` sights were put in all."""

    __slots__ = ("count", "is_over", "sights", "waiters", "watchers")

    def __init__(self) -> None:
        self.sights: deque[SessionEvent] = deque(maxlen=_MOST_KEPT)
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
    """The sessions that somebody watches."""

    def __init__(self) -> None:
        self._views: dict[str, _View] = {}

    def __contains__(self, session_key: str | None) -> bool:
        return session_key in self._views

    def show(self, session_key: str, sights: Sequence[SessionEvent]) -> None:
        """Put sights before those who watch the session, if somebody does."""
        view = self._views.get(session_key)
        if view is not None and sights:
            view.sights.extend(sights)
            view.count += len(sights)
            view.wake()

    def end(self, session_key: str) -> None:
        """The session is no more: who watches it sees the rest, then the end."""
        view = self._views.pop(session_key, None)
        if view is not None:
            view.is_over = True
            view.wake()

    def end_all(self) -> None:
        """There is nothing more to see."""
        for session_key in tuple(self._views):
            self.end(session_key)

    def enter(self, session_key: str) -> "Watcher":
        """Return a watcher, who sees what is shown from now on; it must `leave`."""
        view = self._views.setdefault(session_key, _View())
        view.watchers += 1
        return Watcher(view, lambda: self._leave(session_key, view))

    def _leave(self, session_key: str, view: _View) -> None:
        view.watchers -= 1
        if not view.watchers and self._views.get(session_key) is view:
            del self._views[session_key]


class Watcher:
    """One who watches."""

    def __init__(self, view: _View, leave: Callable[[], None]) -> None:
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


def events_of(line: LiveTurn, after: tuple[str, int] | None = None) -> Sequence[SessionEvent]:
    """Return what was to be seen of a turn that has not ended; of the turn that `after` names, only what lies
    past its cursor.
    """
    turn_id = line.ids[0]
    if after is not None and after[0] in line.ids:
        return [SessionEvent(turn_id, cursor, event) for cursor, event in line.so_far(after[1])]
    seen: list[Watched] = [TurnAdmitted(line.input)]
    if line.attempt:
        seen.append(TurnStarted(line.attempt))
    return [
        *(SessionEvent(turn_id, 0, event) for event in seen),
        *(SessionEvent(turn_id, cursor, event) for cursor, event in line.so_far()),
    ]


def _past(view: _View, seen: int) -> Sequence[SessionEvent]:
    """Return what was shown since `seen` sights, as far as it is kept."""
    kept = len(view.sights)
    wanted = view.count - seen
    fresh = list(view.sights)[-wanted:]
    if wanted > kept:
        fresh[0] = msgspec.structs.replace(fresh[0], missed=wanted - kept)
    return fresh
