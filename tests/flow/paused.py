"""A model that pauses in the middle of an answer, and what tests wait for meanwhile."""

import asyncio
from typing import Any

from nanobot.testing import FakeClock, Say, ScriptedModel
from tests.asgi import BOUND_S
from tests.harness import Harness

RETRY = {"x-stainless-retry-count": "1"}


class PausedModel(ScriptedModel):
    """A model that says the first half of an answer, and the rest when `gate` is set.

    `before` and `more` are its answers before and after that one.
    """

    def __init__(
        self, first: str = "Hello", rest: str = " there", *more: str | Say, before: tuple[Say, ...] = ()
    ) -> None:
        self.gate = asyncio.Event()
        super().__init__(*before, Say((first, rest), between=self.gate), *more)


async def transcript(harness: Harness, key: str) -> list[str]:
    return [row.message.text for row in await harness.app.store.messages(key, limit=100)]


async def until_asked(model: ScriptedModel, times: int = 1) -> None:
    async with asyncio.timeout(BOUND_S):
        while len(model.requests) < times:
            model.asked.clear()
            await model.asked.wait()


async def until_status(harness: Harness, turn_id: str, status: str) -> dict[str, Any]:
    async with asyncio.timeout(BOUND_S):
        while (state := (await harness.door.get(f"/v1/turns/{turn_id}")).json)["status"] != status:
            await asyncio.sleep(0)
    return dict(state)


async def until_sleeping(clock: FakeClock, seconds: float) -> None:
    """Return when a task sleeps for `seconds`."""
    async with asyncio.timeout(BOUND_S):
        while clock.now() + seconds not in clock.sleepers:
            await asyncio.sleep(0)


async def settled(harness: Harness) -> None:
    """Return when the reads and commits that are under way, and the tasks that wait for them, are done."""
    for _ in range(5):
        await harness.app.store.check()
        await harness.app.store.sessions(limit=1)
        for _ in range(5):
            await asyncio.sleep(0)
