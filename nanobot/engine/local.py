"""The engine of one process: runs the turns that the store hands out, each in a task of its own."""

import asyncio

from nanobot.agent.loop import Agent
from nanobot.core.clock import Clock
from nanobot.core.dispatch import Cancel, Claim, LeftOut
from nanobot.core.errors import ModelNotFound
from nanobot.core.extraction import Extracting
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.core.store import Store
from nanobot.core.turn import Turn
from nanobot.engine.compactor import Compactor, ModelSource
from nanobot.engine.run import AfterTurn, Run


class LocalEngine:
    """Runs turns while `run` is awaited; `drain` ends it in order."""

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
        compactor: Compactor | None = None,
        extracting: Extracting | None = None,
        after_turn: AfterTurn | None = None,
    ) -> None:
        self._extracting = extracting
        self._after_turn = after_turn
        self._compactor = compactor
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
        """Take commands until cancelled; then wait for what still runs."""
        async with asyncio.TaskGroup() as group:
            async for command in self._store.orders(
                self._max_running, self._agent.window_tokens, self._left_out_by
            ):
                if isinstance(command, Cancel):
                    if (run := self._runs.get(command.turn_id)) is not None:
                        run.stop(command.why, may_go_on=command.may_go_on)
                    continue
                run = self._run_of(command)
                self._runs[command.turn.id] = run
                self._idle.clear()
                # The store may have been handing out this turn when it was told to stop.
                if self._is_draining:
                    run.stop(None)
                group.create_task(self._run_to_end(command.turn.id, run))

    def _left_out_by(self, turn: Turn) -> LeftOut | None:
        try:
            return self._agent.left_out(turn, self._models.get(turn.model or turn.default_model))
        except ModelNotFound:
            # As the turn will find out.
            return None

    def _run_of(self, claim: Claim) -> Run:
        return Run(
            claim,
            self._store,
            self._agent,
            self._models,
            self._clock,
            self._turn_timeout_s,
            self._observer,
            self._compactor,
            self._extracting,
            self._after_turn,
        )

    async def _run_to_end(self, turn_id: str, run: Run) -> None:
        try:
            await run()
        finally:
            # The turn may have been given back, and another run may have taken it up already.
            if self._runs.get(turn_id) is run:
                del self._runs[turn_id]
            if not self._runs:
                self._idle.set()

    async def drain(self, grace_s: float) -> None:
        """Start no more turns and wait `grace_s` for those that run to end; then give the rest back to the
        store for the next start.
        """
        # First of all: a turn that ended would otherwise make room for the next.
        self._store.stop_orders()
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            self._is_draining = True
            for run in tuple(self._runs.values()):
                run.stop(None)
            await self._idle.wait()
