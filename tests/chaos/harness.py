"""The store, the engine and the agent on a data directory, without the HTTP door: what the tests of single
races need.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from nanobot.agent.limits import AgentSettings
from nanobot.agent.loop import Agent
from nanobot.agent.permissions import Permissions
from nanobot.agent.toolset import Toolset
from nanobot.core.clock import SystemClock
from nanobot.core.ids import new_id
from nanobot.core.message import user
from nanobot.core.model import Model
from nanobot.core.policy import Policy
from nanobot.core.store import Limits, Store
from nanobot.core.tool import Tool
from nanobot.core.turn import Admission, Answer, Identity, Turn, WhenBusy
from nanobot.engine.local import LocalEngine
from nanobot.reading.schemas import WorkerSchemas
from nanobot.stores.sqlite.store import open_store
from nanobot.workers.pool import WorkerPool

MAX_ATTEMPTS = 3


class OneModel:
    """The models of an engine that has only one."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def get(self, name: str | None) -> Model:
        return self._model


class Harness:
    """What `open_harness` opened."""

    def __init__(self, store: Store, engine: LocalEngine) -> None:
        self.store = store
        self.engine = engine
        self._random = random.Random()

    async def submit(
        self, key: str, text: str, *, when_busy: WhenBusy = "queue", dedupe_key: str | None = None
    ) -> Admission:
        """Admit a turn as the door does; `dedupe_key` is what a resent one is known by."""
        turn = Turn(new_id("turn", 0.0, self._random), key, (user(text),), "api", when_busy)
        return await self.store.admit(turn, Identity(text.encode().ljust(32, b".")[:32], dedupe_key))

    async def ask(self, key: str, text: str, *, dedupe_key: str | None = None) -> Answer:
        """Return what became of a turn."""
        return await self.store.ended((await self.submit(key, text, dedupe_key=dedupe_key)).turn_id)

    async def transcript(self, key: str) -> list[str]:
        """Return the live transcript, a line a message: its role and text, or the call that it answers."""
        lines: list[str] = []
        for row in await self.store.messages(key, limit=10_000):
            message = row.message
            if message.role == "tool":
                lines.extend(f"tool {result.call_id}: {result.content}" for result in message.tool_results)
                continue
            calls = "".join(f" [{call.name} {call.id}]" for call in message.tool_calls)
            lines.append(f"{message.role}: {message.text}{calls}")
        return lines


@contextlib.asynccontextmanager
async def open_harness(
    directory: Path,
    model: Model,
    tools: Sequence[Tool] = (),
    *,
    store_as: type["Through"] | None = None,
    turn_timeout_s: float | None = None,
) -> AsyncIterator[Harness]:
    """Open the data directory and run its turns with `model` and `tools`;

    `store_as` stands between engine and store.
    """
    clock = SystemClock()
    store = await open_store(directory, clock, Limits(max_attempts=MAX_ATTEMPTS))
    seen: Store = store_as(store) if store_as is not None else store  # type: ignore[assignment]
    engine = LocalEngine(
        seen,
        Agent(
            Toolset(tools),
            clock,
            AgentSettings(),
            WorkerSchemas(WorkerPool(), 100_000),
            permissions=Permissions(Policy(), store, clock),
        ),
        OneModel(model),
        clock,
        max_running_turns=8,
        turn_timeout_s=turn_timeout_s,
    )
    running = asyncio.create_task(engine.run())
    # the engine takes orders before the first turn is admitted, so that it always starts in the same commit
    await asyncio.sleep(0)
    try:
        yield Harness(store, engine)
    finally:
        await engine.drain(0)
        store.hang_up()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await store.close()


class Through:
    """A store that passes everything on; a test's own kind of it holds up one call."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)
