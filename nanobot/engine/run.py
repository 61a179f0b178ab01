"""One turn from claim to end."""

import asyncio
import logging
from typing import Protocol

from nanobot.agent.loop import Agent
from nanobot.core.clock import Clock
from nanobot.core.errors import NanobotError, StaleAttempt, StoreError, TurnCancelled, TurnTimedOut
from nanobot.core.event import Delta, Fact, MessageAdded, TextDelta, TurnEnded, TurnError
from nanobot.core.message import Message, Text
from nanobot.core.model import Model
from nanobot.core.store import Claim, Store

_log = logging.getLogger(__name__)
_LONGEST_WAIT_S = 30.0


class Models(Protocol):
    """Where an engine finds the model that a turn names."""

    def get(self, name: str | None) -> Model:
        """Return the model, the default one for None.

        Raises:
            ModelNotFound
        """
        ...


class Run:
    """A turn that this engine runs. `stop` asks it to end; it then keeps what was said so far, marked incomplete."""

    def __init__(self, claim: Claim, store: Store, agent: Agent, models: Models, clock: Clock, timeout_s: float | None) -> None:
        self._claim = claim
        self._store = store
        self._agent = agent
        self._models = models
        self._clock = clock
        self._timeout_s = timeout_s
        self._spoken: list[str] = []
        self._why: str | None = None
        self._is_stopped = False
        self._is_ending = False
        self._task: asyncio.Task[None] | None = None

    def stop(self, why: str | None) -> None:
        """Ask the turn to end with `why` as its reason; None gives it back to the store for the next start."""
        if self._is_stopped:
            return
        self._why = why
        self._is_stopped = True
        self._interrupt()

    def _interrupt(self) -> None:
        """Break off what the task does now, unless it is writing the end already."""
        if self._is_stopped and self._task is not None and not self._is_ending:
            self._is_ending = True
            self._task.cancel()

    async def __call__(self) -> None:
        """Run the turn to its end. Raises nothing: a failure is how the turn ended."""
        self._task = asyncio.current_task()
        try:
            self._interrupt()
            async with asyncio.timeout(self._timeout_s) as limit:
                await self._answer()
        except TimeoutError:
            if not limit.expired():
                raise
            await self._end_failed(TurnTimedOut(f"the turn took longer than {self._timeout_s:g} s (engine.turn_timeout_s)"))
        except StaleAttempt:
            _log.info("turn %s: attempt %d is over, its last words were refused", self._claim.turn.id, self._claim.attempt)
        except NanobotError as error:
            await self._end_failed(error)
        except asyncio.CancelledError:
            if not self._is_ending:
                raise
            if self._task is not None:
                self._task.uncancel()
            await self._end_stopped()
        except Exception:  # noqa: BLE001 - one of the two places: a bug ends the turn, never the engine
            _log.exception("turn %s failed", self._claim.turn.id)
            await self._end_failed(NanobotError("Internal server error"))

    async def _answer(self) -> None:
        claim, turn = self._claim, self._claim.turn
        model = self._models.get(turn.model)
        made = (await self._store.turn(turn.id)).messages if claim.attempt > 1 else ()
        history = await self._store.history(turn.session_key, self._agent.budget(turn, model))
        await self._agent.run(turn, model, history, made=made, emit=self._emit, show=self._show)

    async def _emit(self, facts: tuple[Fact, ...]) -> tuple[Message, ...]:
        self._is_ending = self._is_ending or isinstance(facts[-1], TurnEnded)
        joined = await self._store.append(self._claim, facts)
        self._spoken.clear()
        if joined and self._is_ending:
            self._is_ending = False
            self._interrupt()
        return joined

    def _show(self, delta: Delta) -> None:
        if isinstance(delta, TextDelta):
            self._spoken.append(delta.text)
        self._store.show(self._claim, delta)

    # Ends that are no answer ----------------------------------------------------------------------------------------------

    async def _end_failed(self, error: NanobotError) -> None:
        self._is_ending = True
        if not isinstance(error, StoreError) or error.__cause__ is None:
            _log.warning("turn %s failed: %s (%s)", self._claim.turn.id, error.message, error.code)
        else:
            _log.error("turn %s failed: %s", self._claim.turn.id, error.message, exc_info=error)
        reason = TurnError(error.code, error.message, error.http_status, error.retryable, error.retry_after_s)
        await self._end(TurnEnded("failed", error=reason))

    async def _end_stopped(self) -> None:
        if self._why is None:
            try:
                await self._store.release(self._claim)
            except StoreError as error:
                _log.warning("turn %s is left to the next start: %s", self._claim.turn.id, error.message)
            return
        said = "".join(self._spoken)
        facts: tuple[Fact, ...] = (TurnEnded("cancelled", error=TurnError(TurnCancelled.code, self._why, TurnCancelled.http_status)),)
        if said:
            facts = (MessageAdded(Message("assistant", (Text(said),), "incomplete")), *facts)
        await self._end(*facts)

    async def _end(self, *facts: Fact) -> None:
        """Write the end; where the store cannot take it (the disk is full), try again until it can: a turn never just stops."""
        wait_s = 0.5
        while True:
            try:
                await self._store.append(self._claim, facts)
            except StaleAttempt:
                return
            except StoreError as error:
                _log.error("turn %s: its end cannot be stored, next try in %g s: %s", self._claim.turn.id, wait_s, error.message)
                await self._clock.sleep(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            else:
                return
