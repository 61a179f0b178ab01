"""One turn from claim to end."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus

from nanobot.agent.loop import Agent
from nanobot.agent.tool_calls import OUTCOME_UNKNOWN
from nanobot.context.history import told_if_text
from nanobot.core.clock import Clock, Retry, retries
from nanobot.core.compaction import StepSummary
from nanobot.core.dispatch import Claim, History
from nanobot.core.errors import (
    ModelError,
    ModelTimeout,
    ModelUnavailable,
    ModelUnreachable,
    NanobotError,
    StaleAttempt,
    StoreError,
    TurnCancelled,
    TurnTimedOut,
)
from nanobot.core.event import (
    Event,
    Fact,
    MessageAdded,
    ModelChosen,
    Passing,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnEnded,
    TurnError,
    events_of,
    parts_of,
)
from nanobot.core.extraction import Extracting
from nanobot.core.message import Message, ToolResult, Usage, estimate_tokens
from nanobot.core.model import Model
from nanobot.core.observer import NULL_OBSERVER, SESSION, TURN, Observer
from nanobot.core.payer import PAYER
from nanobot.core.store import Store
from nanobot.core.turn import Turn
from nanobot.engine.compactor import Compactor, ModelSource
from nanobot.engine.state import Phase, RunState

AfterTurn = Callable[[Turn, TurnEnded | None], None]
"""Told of each turn that is over, as `Observer.turn_ended`."""
_log = logging.getLogger(__name__)
_LOGGABLE_MODEL_ERRORS = (ModelUnreachable, ModelTimeout, ModelUnavailable)
"""Failures of a model whose messages quote nothing that a provider said."""


class Run:
    """A turn that this engine runs.

    `stop` asks it to end; it then keeps what was said so far, marked incomplete.
    """

    def __init__(
        self,
        claim: Claim,
        store: Store,
        agent: Agent,
        models: ModelSource,
        clock: Clock,
        timeout_s: float | None,
        observer: Observer = NULL_OBSERVER,
        compactor: Compactor | None = None,
        extracting: Extracting | None = None,
        after_turn: AfterTurn | None = None,
    ) -> None:
        self._after_turn = after_turn
        self._compactor = compactor
        self._extracting = extracting
        self._observer = observer
        self._claim = claim
        self._store = store
        self._agent = agent
        self._models = models
        self._clock = clock
        self._timeout_s = timeout_s
        self._state = RunState()
        self._spoken: list[Passing] = []
        self._open_calls: set[str] = set()
        self._usage = Usage()
        self._ended: TurnEnded | None = None
        self._may_go_on = False

    def stop(self, why: str | None, *, may_go_on: bool = False) -> None:
        """Ask the turn to end, with `why` as its reason; None gives it back for the next start.

        `may_go_on`: as in `Cancel`.
        """
        if self._state.is_in(Phase.ANSWERING):
            self._may_go_on = may_go_on
        self._state.stop(why)

    async def __call__(self) -> None:
        """Run the turn to its end. Raises nothing: a failure is how the turn ended."""
        turn = self._claim.turn
        TURN.set(turn.id)
        SESSION.set(turn.session_key)
        PAYER.set(turn.payer or "")
        self._observer.turn_started(turn, self._claim.attempt)
        began = self._clock.now()
        try:
            await self._run()
        finally:
            self._observer.turn_ended(turn, self._ended)
            if self._after_turn is not None:
                self._after_turn(turn, self._ended)
            if _log.isEnabledFor(logging.INFO):
                self._log_end(self._clock.now() - began)

    def _log_end(self, seconds: float) -> None:
        outcome = self._ended.outcome if self._ended is not None else "given_back"
        fields = {
            "outcome": outcome,
            "ms": round(1000 * seconds, 1),
            "attempt": self._claim.attempt,
            "prompt_tokens": self._usage.prompt_tokens,
            "completion_tokens": self._usage.completion_tokens,
        }
        _log.info("turn %s %s in %.1f ms", self._claim.turn.id, outcome, 1000 * seconds, extra=fields)

    async def _run(self) -> None:
        self._state.start()
        if not self._state.is_in(Phase.ANSWERING):
            await self._end_stopped()
            return
        limit: asyncio.Timeout | None = None
        try:
            if self._timeout_s is None:
                await self._answer()
            else:
                async with asyncio.timeout(self._timeout_s) as limit:
                    await self._answer()
        except StaleAttempt:
            _log.info(
                "turn %s: attempt %d is over, its last words were refused",
                self._claim.turn.id,
                self._claim.attempt,
            )
        except NanobotError as error:
            await self._end_failed(error)
        except asyncio.CancelledError:
            if self._state.is_in(Phase.ANSWERING):
                # Nobody has asked this turn to stop: the engine itself is cancelled.
                raise
            self._state.recover()
            await self._end_stopped()
        except Exception:  # noqa: BLE001 - a bug ends the turn, never the engine
            # Asked of the timer: a TimeoutError may also be a bug deeper down.
            if limit is not None and limit.expired():
                await self._end_failed(
                    TurnTimedOut(f"the turn took longer than {self._timeout_s:g} s (engine.turn_timeout_s)")
                )
                return
            _log.exception("turn %s failed", self._claim.turn.id)
            await self._end_failed(NanobotError("Internal server error"))

    async def _answer(self) -> None:
        claim, turn = self._claim, self._claim.turn
        model = self._models.get(turn.model)
        produced: tuple[Message, ...] = ()
        folded: StepSummary | None = None
        compactor = self._compactor
        history = claim.history
        if claim.attempt > 1:
            produced = (await self._store.turn(turn.id)).messages
            self._note(events_of(produced))
            # The turn's own steps must not push its question out of the history that is loaded.
            own_tokens = sum(estimate_tokens(message) for message in (*turn.input, *produced))
            history = await self._history(model, own_tokens)
            if compactor is not None and compactor.steps is not None:
                folded = await self._store.step_summary(turn.id)
        elif history is None:
            history = await self._history(model)
        if compactor is not None and await compactor.wait_for(turn, model, history):
            history = await self._history(model)
        if history.skipped_tokens:
            history = told_if_text(history)
            if more := self._agent.unloaded_tokens(turn, model, history):
                history = await self._store.history(turn.session_key, more, is_whole=not turn.may_cut)
        await self._agent.run(
            turn,
            model,
            history,
            produced=produced,
            emit=self._emit,
            show=self._show,
            take_back=self._take_back,
            audience=self._store.audience(claim),
            summaries=compactor.steps if compactor is not None else None,
            folded=folded,
        )
        if compactor is not None:
            compactor.consider(turn, model, history)
        if self._extracting is not None:
            self._extracting.consider(turn)

    async def _history(self, model: Model, own_tokens: int = 0) -> History:
        """Return what the turn shows to the model, which has produced `own_tokens` itself."""
        turn = self._claim.turn
        budget = self._agent.budget(turn, model) + own_tokens
        return await self._store.history(turn.session_key, budget, is_whole=not turn.may_cut)

    async def _emit(self, facts: tuple[Fact, ...]) -> tuple[Message, ...]:
        """Commit facts; where the store cannot take them for now (the disk is full), try again: an answer
        that was shown is not thrown away for that. The time limit of the turn bounds it.
        """
        for retry in retries():
            taken = self._take(facts)
            try:
                joined = await self._commit(facts)
            except StoreError as error:
                self._untake(facts, taken)
                if isinstance(error, StaleAttempt) or not error.retryable:
                    raise
                self._log_unstored("what happened in it", retry, error)
                # A stop need not wait any more, and keeps the words that are not stored.
                self._state.interrupt_if_stopping()
                await self._clock.sleep(retry.wait_s)
            else:
                break
        if joined or not isinstance(facts[-1], TurnEnded):
            # A stop may have been asked for during the commit, and had to wait.
            self._state.interrupt_if_stopping()
        return joined

    async def _commit(self, facts: tuple[Fact, ...]) -> tuple[Message, ...]:
        self._state.commits += 1
        try:
            joined = await self._store.append(self._claim, facts)
            end = facts[-1]
            if isinstance(end, TurnEnded) and not joined:
                self._ended = end
            return joined
        finally:
            self._state.commits -= 1

    def _take(self, facts: tuple[Fact, ...]) -> tuple[list[Passing], Usage]:
        """Count facts as stored, before they are: what was handed to the store will be written, even if the
        wait for it is broken off. Return what `_untake` needs.
        """
        taken = (self._spoken, self._usage)
        # These words now belong to a message: a stop must not store them a second time.
        self._spoken = []
        self._note(facts)
        return taken

    def _untake(self, facts: tuple[Fact, ...], taken: tuple[list[Passing], Usage]) -> None:
        """Count facts as not stored; results of other calls may have been stored meanwhile."""
        spoken, usage = taken
        self._spoken = spoken + self._spoken
        if any(isinstance(fact, MessageAdded) for fact in facts):
            self._usage = usage
        for fact in facts:
            if isinstance(fact, ToolStarted):
                self._open_calls.discard(fact.call.id)
            elif isinstance(fact, ToolFinished):
                self._open_calls.update(result.call_id for result in fact.message.tool_results)

    def _note(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, ToolStarted):
                self._open_calls.add(event.call.id)
            elif isinstance(event, MessageAdded):
                self._usage += event.message.usage or Usage()
            elif isinstance(event, ToolFinished):
                self._open_calls.difference_update(result.call_id for result in event.message.tool_results)

    def _show(self, event: Passing) -> None:
        if not isinstance(event, ToolProgress):
            self._spoken.append(event)
        self._store.show(self._claim, event)

    def _take_back(self) -> bool:
        is_gone = self._store.take_back(self._claim)
        if is_gone:
            self._spoken.clear()
        return is_gone

    # Ends that are no answer ----------------------------------------------------------------------

    async def _end_failed(self, error: NanobotError) -> None:
        if isinstance(error, ModelError) and not isinstance(error, _LOGGABLE_MODEL_ERRORS):
            # Providers may quote the conversation in their errors; only its owner gets to read those.
            _log.warning("turn %s failed: %s", self._claim.turn.id, error.code)
        elif error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR and error.__cause__ is not None:
            _log.error("turn %s failed: %s", self._claim.turn.id, error.message, exc_info=error)
        else:
            _log.warning("turn %s failed: %s (%s)", self._claim.turn.id, error.message, error.code)
        reason = TurnError(
            error.code, error.public_message, error.http_status, error.retryable, error.retry_after_s
        )
        _let_go(error)
        await self._end(*self._unknown_outcomes(), TurnEnded("failed", self._usage, reason))

    async def _end_stopped(self) -> None:
        if self._state.stop_reason is None:
            await self._give_back()
            return
        said = _broken_off(self._spoken)
        reason = self._state.stop_reason
        error = TurnError(TurnCancelled.code, reason, TurnCancelled.http_status, self._may_go_on)
        end = TurnEnded("cancelled", self._usage, error)
        message = (MessageAdded(said),) if said is not None else ()
        await self._end(*self._unknown_outcomes(), *message, end)

    def _unknown_outcomes(self) -> tuple[Fact, ...]:
        """Return a result for each call that was running: a call is answered exactly once, also where the
        turn ends over it.
        """
        results = (
            ToolResult(call_id, OUTCOME_UNKNOWN, is_error=True) for call_id in sorted(self._open_calls)
        )
        return tuple(ToolFinished(Message("tool", (result,))) for result in results)

    async def _give_back(self) -> None:
        try:
            await self._store.release(self._claim)
        except StoreError as error:
            _log.warning("turn %s is left to the next start: %s", self._claim.turn.id, error.message)

    async def _end(self, *facts: Fact) -> None:
        """Write the end; where the store cannot take it (the disk is full), try again until it can: a turn
        never just stops.

        Only the end of the server is not held up by that: the turn is taken up again at the next start.
        """
        self._state.end()
        for retry in retries():
            if await self._write_end(facts, retry) or self._state.is_in(Phase.ABANDONING):
                return
            try:
                await self._clock.sleep(retry.wait_s)
            except asyncio.CancelledError:
                if not self._state.is_in(Phase.ABANDONING):
                    raise
                self._state.recover()
                return

    async def _write_end(self, facts: tuple[Fact, ...], retry: Retry) -> bool:
        """Try to write the end; return whether nothing is left to write."""
        try:
            await self._commit(facts)
        except StaleAttempt:
            return True
        except StoreError as error:
            self._log_unstored("its end", retry, error)
            return False
        return True

    def _log_unstored(self, what: str, retry: Retry, error: StoreError) -> None:
        if retry.is_told:
            _log.error(
                "turn %s: %s cannot be stored, next try in %g s: %s",
                self._claim.turn.id,
                what,
                retry.wait_s,
                error.message,
            )


def _broken_off(shown: list[Passing]) -> Message | None:
    """Return the message that was broken off, made of what was shown of it; None where nothing was."""
    deltas = [event for event in shown if isinstance(event, TextDelta | ThinkingDelta)]
    parts = parts_of(deltas)
    if not parts:
        return None
    chosen = next((event for event in shown if isinstance(event, ModelChosen)), None)
    if chosen is None:
        return Message("assistant", parts, "incomplete")
    return Message("assistant", parts, "incomplete", model=chosen.model, passed_over=chosen.passed_over)


def _let_go(error: BaseException) -> None:
    """Let go of the frames that the error and those before it went through. They hold the request, with all
    its pictures, and some of them the error: all would stay until Python looks for cycles.
    """
    before: BaseException | None = error
    while before is not None and before.__traceback__ is not None:
        before.__traceback__ = None
        before = before.__cause__ or before.__context__
