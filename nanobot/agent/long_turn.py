"""Turns whose own steps fill the window: older results are shortened, then whole steps summarised."""

import asyncio
from typing import Protocol

import msgspec

from nanobot.agent.transcript import TurnTranscript
from nanobot.context.results import results_excess
from nanobot.core.compaction import StepSummary
from nanobot.core.message import Message
from nanobot.core.turn import Turn

_SHORTENED_SHARE = 64
"""An older result is shortened to this part of the budget."""
_LEAST_SAVED_SHARE = 8
"""Shortening results that saves less than this part of the budget is not worth a new prefix."""


class StepsJob(msgspec.Struct):
    """A summary to be written of the first `count` messages that the `turn` has added: of those in
    `messages`, and of what the summary `before` them stands for. `summary`: what came of it; None where the
    turn is over.
    """

    turn: Turn
    before: str
    messages: tuple[Message, ...]
    count: int
    budget_tokens: int
    done: asyncio.Event
    summary: StepSummary | None = None


class StepSummaries(Protocol):
    """Has summaries of steps written in the background, and keeps them.

    `soft_share`: how much of the budget a turn may fill before that; `keep_share`: how much of it the newest
    steps keep as they are.
    """

    @property
    def soft_share(self) -> float: ...

    @property
    def keep_share(self) -> float: ...

    def begin(self, job: StepsJob) -> bool:
        """Have the summary written in the background; `done` is set once it is kept, or has failed. Return
        False, and do nothing, where too many wait.
        """
        ...

    async def wait_for(self, job: StepsJob) -> None:
        """Return once the job is done, or takes too long."""
        ...


class LongTurn:
    """Makes room in the window for the steps of one turn that are still to come.

    `result_tokens`: how much of a result is shown. `can_read_on`: the model can read what is cut.
    """

    def __init__(
        self,
        turn: Turn,
        transcript: TurnTranscript,
        summaries: StepSummaries,
        *,
        result_tokens: int,
        can_read_on: bool,
    ) -> None:
        self._turn = turn
        self._transcript = transcript
        self._summaries = summaries
        self._result_tokens = result_tokens
        self._can_read_on = can_read_on
        self._job: StepsJob | None = None
        self._failed_at_tokens: int | None = None

    async def make_room(self, budget_tokens: int) -> None:
        """Shorten what the turn has added where it fills much of the budget. A summary is waited for only
        where the budget is full.
        """
        transcript = self._transcript
        self._take_summary()
        soft = int(self._summaries.soft_share * budget_tokens)
        # In nearly all turns: what it costs to look at each message is spent by long ones alone.
        if transcript.own_tokens <= soft or self._shown_tokens() <= soft:
            return
        keep = int(self._summaries.keep_share * budget_tokens)
        if self._job is None:
            transcript.shorten_results(
                keep_tokens=keep,
                result_tokens=budget_tokens // _SHORTENED_SHARE,
                least_saved_tokens=budget_tokens // _LEAST_SAVED_SHARE,
                can_read_on=self._can_read_on,
            )
            if self._shown_tokens() <= soft:
                return
            self._begin(keep, budget_tokens)
        if self._job is not None and self._shown_tokens() > budget_tokens:
            await self._summaries.wait_for(self._job)
            self._take_summary()

    def _shown_tokens(self) -> int:
        """Return how many tokens of what the turn has added are shown."""
        transcript = self._transcript
        return transcript.own_tokens - results_excess(transcript.own, self._result_tokens)

    def _begin(self, keep_tokens: int, budget_tokens: int) -> None:
        transcript = self._transcript
        failed_at = self._failed_at_tokens
        # Not at each step, where it cannot be kept.
        if failed_at is not None and transcript.own_tokens < failed_at + keep_tokens:
            return
        messages = transcript.oldest_steps(keep_tokens)
        if not messages:
            return
        job = StepsJob(
            self._turn,
            transcript.folded.text if transcript.folded is not None else "",
            messages,
            transcript.folded_messages + len(messages),
            budget_tokens,
            asyncio.Event(),
        )
        if self._summaries.begin(job):
            self._job = job

    def _take_summary(self) -> None:
        job = self._job
        if job is None or not job.done.is_set():
            return
        self._job = None
        if job.summary is None:
            self._failed_at_tokens = self._transcript.own_tokens
            return
        self._failed_at_tokens = None
        self._transcript.fold(job.summary)
