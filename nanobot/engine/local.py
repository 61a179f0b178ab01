"""The engine of one process: runs the turns that the store hands out, each in a task of its own."""

import asyncio

from nanobot.agent.loop import Agent
from nanobot.core.clock import Clock
from nanobot.core.dispatch import Cancel
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.core.store import Store
from nanobot.engine.run import ModelSource, Run


class LocalEngine:
    """Runs turns while `run` is awaited; `drain` and `stop` end it in order."""

    def __init__(
        self,
        store: Store,
        agent: Agent,
        models: ModelSource,
        clock: Clock,
        *,
        max_running_turns: int,
        turn_timeout_s: float | None = None,
        observer: Observer = NULL_OBSERVER,
    ) -> None:
        self._observer = observer
        self._store = store
        self._agent = agent
        self._models = models
        self._clock = clock
        self._max_running = max_running_turns
        self._turn_timeout_s = turn_timeout_s
        self._runs: dict[str, Run] = {}
        self._is_draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """How many turns run now."""
        return len(self._runs)

    async def run(self) -> None:
        """Take orders until cancelled; then wait for what still runs."""
        async with asyncio.TaskGroup() as group:
            async for order in self._store.orders(self._max_running, self._agent.window_tokens):
                if isinstance(order, Cancel):
                    if (run := self._runs.get(order.turn_id)) is not None:
                        run.stop(order.why)
                    continue
                run = Run(
                    order,
                    self._store,
                    self._agent,
                    self._models,
                    self._clock,
                    self._turn_timeout_s,
                    self._observer,
                )
                self._runs[order.turn.id] = run
                self._idle.clear()
                if self._is_draining:
                    run.stop(None)
                group.create_task(self._see_through(order.turn.id, run))

    async def _see_through(self, turn_id: str, run: Run) -> None:
        try:
            await run()
        finally:
            # else the turn is taken up again already, by another run
            if self._runs.get(turn_id) is run:
                del self._runs[turn_id]
            if not self._runs:
                self._idle.set()

    async def drain(self, grace_s: float) -> None:
        """Start no more turns, let those that run end for `grace_s`, then give the rest back to the store for
        the next start.
        """
        self._store.stop_orders()
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            self._is_draining = True
            for run in tuple(self._runs.values()):
                run.stop(None)
            await self._idle.wait()
