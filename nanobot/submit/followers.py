"""Who follows a turn: one that nobody follows any more is cancelled."""

import asyncio
from collections import Counter

from nanobot.core.clock import Clock
from nanobot.core.errors import NanobotError
from nanobot.core.store import Store


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

    def join(self, turn_id: str) -> None:
        """Count one more follower of the turn, and do not cancel it.

        For a turn that joined another, `turn_id` is that other one's (`Admission.answered_by`).
        """
        self._counts[turn_id] += 1
        if (waiting := self._waiting.pop(turn_id, None)) is not None:
            waiting.cancel()

    def leave(self, turn_id: str, *, has_ended: bool) -> None:
        """Count one follower less; after the last one the grace period begins, unless the turn has ended."""
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
            if (await self._store.turn(turn_id)).is_detached:
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
