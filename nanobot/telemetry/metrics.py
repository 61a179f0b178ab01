"""The metrics of one server.

Labels come from the settings and the code, never from requests, so their number is bounded.
"""

from collections.abc import Iterator
from itertools import chain

from nanobot import __version__
from nanobot.core.accounts import TurnCost
from nanobot.core.clock import Clock
from nanobot.core.errors import NanobotError
from nanobot.core.event import TurnEnded
from nanobot.core.ids import time_of
from nanobot.core.message import Message, ToolCall, ToolResult
from nanobot.core.observer import Observer
from nanobot.core.turn import Turn
from nanobot.telemetry.catalogue import AllSeries
from nanobot.telemetry.series import Count, HistogramBuckets, gauge, gauges

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _ModelSeries:
    """The series of one model, kept so that a count needs no look-up by labels."""

    __slots__ = ("completion", "first_words", "prompt", "steps", "time")

    def __init__(
        self,
        steps: Count,
        prompt: Count,
        completion: Count,
        first_words: HistogramBuckets,
        time: HistogramBuckets,
    ) -> None:
        self.steps = steps
        self.prompt = prompt
        self.completion = completion
        self.first_words = first_words
        self.time = time


class _LiveTurn:
    """A turn that is admitted or about to be: since when, when its model was last asked, and whether any of
    its answer has come.
    """

    __slots__ = ("admitted_at", "asked_at", "has_spoken", "origin")

    def __init__(self, origin: str, admitted_at: float) -> None:
        self.origin = origin
        self.admitted_at = admitted_at
        self.asked_at = admitted_at
        self.has_spoken = False


class Metrics(Observer):
    """An observer that counts and measures."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_at = clock.now()
        self._live: dict[str, _LiveTurn] = {}
        self._of_models: dict[str, _ModelSeries] = {}
        self._series = AllSeries()
        # Looked up once: each turn and each request counts on these.
        self._waits, self._words, self._answering = (
            self._series.turns.wait.of(),
            self._series.turns.first_words.of(),
            self._series.requests.time.of(),
        )
        self._commit_count, self._commit_jobs, self._committing = (
            self._series.store.commits.of(),
            self._series.store.batch.of(),
            self._series.store.commit_time.of(),
        )

    def text(self, *, waiting: int, running: int) -> str:
        """Return all metrics in the format of Prometheus. `waiting` and `running` are numbers of turns."""
        single = (
            gauge("nanobot_turns_waiting", "Turns that wait in the queue.", waiting),
            gauge("nanobot_turns_running", "Turns that run.", running),
            gauge(
                "process_start_time_seconds",
                "When the server started, in seconds since 1970.",
                self._started_at,
            ),
            gauge("nanobot_build_info", "The version, as a label.", 1, {"version": __version__}),
        )
        return "\n".join(chain(self._series.text(), self._cached_shares(), *single)) + "\n"

    def _cached_shares(self) -> Iterator[str]:
        shares = {
            model: self._series.models.tokens.of("cached", model).total / series.prompt.total
            for model, series in self._of_models.items()
            if series.prompt.total
        }
        return gauges(
            "nanobot_cached_share",
            "The part of the prompt tokens that the provider had cached.",
            "model",
            shares,
        )

    # Requests -------------------------------------------------------------------------------------

    def request_ended(
        self, request_id: str, method: str, route: str | None, status: int, seconds: float
    ) -> None:
        self._series.requests.count.of(
            # Anybody can invent methods, and each would be a series of its own.
            method if method in _METHODS else "other",
            route or "none",
            str(status or "none"),
        ).total += 1
        self._answering.add(seconds)

    # Turns ----------------------------------------------------------------------------------------

    def turn_offered(self, turn: Turn) -> None:
        self._live[turn.id] = _LiveTurn(turn.origin, self._clock.now())

    def turn_dropped(self, turn: Turn) -> None:
        self._live.pop(turn.id, None)

    def turn_withdrawn(self, turn_id: str) -> None:
        live = self._live.pop(turn_id, None) or _LiveTurn("unknown", time_of(turn_id))
        self._count_end("cancelled", live)
        self._series.turns.errors.add(1, "turn_cancelled")

    def turn_started(self, turn: Turn, attempt: int) -> None:
        live = self._live.get(turn.id)
        if live is None:
            # It was admitted before the server's last start.
            live = self._live[turn.id] = _LiveTurn(turn.origin, time_of(turn.id))
        if attempt == 1:
            # Here and below 0 is the least: the clock may have been set back.
            self._waits.add(max(0.0, self._clock.now() - live.admitted_at))

    def turn_ended(self, turn: Turn, end: TurnEnded | None) -> None:
        live = self._live.pop(turn.id, None)
        if live is None or end is None:
            return
        self._count_end(end.outcome, live)
        if end.error is not None:
            self._series.turns.errors.add(1, end.error.code)

    def _count_end(self, outcome: str, live: _LiveTurn) -> None:
        self._series.turns.ended.of(outcome, live.origin).total += 1
        self._series.turns.time.of(outcome).add(max(0.0, self._clock.now() - live.admitted_at))

    # Models and tools -----------------------------------------------------------------------------

    def model_asked(self, turn: Turn, model: str) -> None:
        if (live := self._live.get(turn.id)) is not None:
            live.asked_at = self._clock.now()

    def model_spoke(self, turn: Turn, model: str) -> None:
        if (live := self._live.get(turn.id)) is None:
            return
        now = self._clock.now()
        self._of(model).first_words.add(max(0.0, now - live.asked_at))
        if not live.has_spoken:
            live.has_spoken = True
            self._words.add(max(0.0, now - live.admitted_at))

    def model_answered(self, turn: Turn, model: str, message: Message) -> None:
        series = self._of(model)
        series.steps.total += 1
        if (live := self._live.get(turn.id)) is not None:
            series.time.add(max(0.0, self._clock.now() - live.asked_at))
        usage = message.usage
        if usage is not None:
            series.prompt.total += usage.prompt_tokens
            series.completion.total += usage.completion_tokens
            if usage.cached_tokens:
                self._series.models.tokens.add(usage.cached_tokens, "cached", model)
            if usage.reasoning_tokens:
                self._series.models.tokens.add(usage.reasoning_tokens, "reasoning", model)

    def _of(self, model: str) -> _ModelSeries:
        series = self._of_models.get(model)
        if series is None:
            tokens = self._series.models.tokens
            series = self._of_models[model] = _ModelSeries(
                self._series.models.steps.of(model),
                tokens.of("prompt", model),
                tokens.of("completion", model),
                self._series.models.first_words.of(model),
                self._series.models.time.of(model),
            )
        return series

    def turn_paid(self, spent: TurnCost) -> None:
        """Count what a turn cost that has ended."""
        if spent.by_model:
            for model, cost in spent.by_model.items():
                self._series.models.cost.add(cost / 1_000_000, model)
        elif spent.cost:
            self._series.models.cost.add(spent.cost / 1_000_000, spent.model)

    def model_failed(self, turn: Turn, model: str, error: NanobotError | None) -> None:
        if error is not None:
            self._series.models.failures.add(1, model, error.code)

    def model_passed_over(self, turn: Turn, model: str, code: str) -> None:
        self._series.models.failures.add(1, model, code)

    def tool_ended(self, turn_id: str, call: ToolCall, result: ToolResult | None, *, is_known: bool) -> None:
        outcome = "broken_off" if result is None else "failed" if result.is_error else "done"
        self._series.tools.add(1, call.name if is_known else "unknown", outcome)

    # The store ------------------------------------------------------------------------------------

    def committed(self, jobs: int, seconds: float) -> None:
        self._commit_count.total += 1
        self._commit_jobs.add(jobs)
        self._committing.add(seconds)

    def vectors_compared(self, outcome: str, seconds: float) -> None:
        self._series.store.vector_searches.add(1, outcome)
        self._series.store.vector_time.of().add(seconds)

    def vectors_made(self, count: int) -> None:
        self._series.store.vectors_made.add(count)
