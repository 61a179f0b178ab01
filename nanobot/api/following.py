"""Who is listening: a connection that goes away, a turn that nobody follows any more."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType

from starlette.types import Receive

from nanobot.core.clock import Clock
from nanobot.core.errors import NanobotError
from nanobot.core.store import Store

_WATCH_AFTER_S = 0.1
"""Watching takes a task; a turn that is over sooner than this does not need one."""


class Connected:
    """`async with Connected(receive):` breaks off the block when the client goes away, and goes on behind it.

    `on_quiet` is called every `every_s` seconds meanwhile.
    """

    def __init__(
        self,
        receive: Receive,
        on_quiet: Callable[[], Awaitable[None]] | None = None,
        every_s: float | None = None,
    ) -> None:
        self._receive = receive
        self._on_quiet = on_quiet
        self._every_s = every_s
        self._owner: asyncio.Task[object] | None = None
        self._soon: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._is_gone = False

    async def __aenter__(self) -> "Connected":
        self._owner = asyncio.current_task()
        self._soon = asyncio.get_running_loop().call_later(_WATCH_AFTER_S, self._begin)
        return self

    def _begin(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._every_s):
                    if (await self._receive())["type"] == "http.disconnect":
                        break
            except TimeoutError:
                if self._on_quiet is not None:
                    await self._on_quiet()
        self._is_gone = True
        if self._owner is not None:
            self._owner.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._soon is not None:
            self._soon.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._is_gone and kind is asyncio.CancelledError and self._owner is not None:
            return self._owner.uncancel() == 0
        return False


class Followers:
    """Counts who follows each turn; one that nobody has followed for `grace_s` is cancelled (-1: never, 0: at
    once), unless it is detached.
    """

    def __init__(self, store: Store, clock: Clock, grace_s: float) -> None:
        self._store = store
        self._clock = clock
        self._grace_s = grace_s
        self._counts: Counter[str] = Counter()
        self._waiting: dict[str, asyncio.Task[None]] = {}

    def join(self, turn_id: str) -> str:
        """Count one more and call off whoever waits to cancel the turn; return by what to leave: the turn
        that runs for it.
        """
        turn_id = self._store.shown_as(turn_id)
        self._counts[turn_id] += 1
        if (waiting := self._waiting.pop(turn_id, None)) is not None:
            waiting.cancel()
        return turn_id

    def leave(self, turn_id: str, *, has_ended: bool) -> None:
        """Count one less of what `join` returned; after the last one the grace begins, unless the turn has
        ended.
        """
        self._counts[turn_id] -= 1
        if self._counts[turn_id] > 0:
            return
        del self._counts[turn_id]
        if not has_ended and self._grace_s >= 0:
            self._waiting[turn_id] = asyncio.get_running_loop().create_task(self._cancel_later(turn_id))

    async def _cancel_later(self, turn_id: str) -> None:
        try:
            if self._grace_s:
                await self._clock.sleep(self._grace_s)
            self._waiting.pop(turn_id, None)
            if await self._store.is_detached(turn_id):
                return
            await self._store.cancel(
                turn_id, f"nobody followed the turn for {self._grace_s:g} s (api.disconnect_grace_s)"
            )
        except NanobotError:
            # it ended, or went with its session, in the meantime
            return

    async def close(self) -> None:
        """Cancel nothing more."""
        for waiting in self._waiting.values():
            waiting.cancel()
        self._waiting.clear()
