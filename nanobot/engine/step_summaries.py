"""Summaries of the steps of running turns, written in the background while these go on."""

import asyncio
import logging
from collections.abc import Callable

from nanobot.agent.long_turn import StepsJob
from nanobot.agent.step_summary import StepSummaryWriter
from nanobot.core.clock import Clock, came_within
from nanobot.core.compaction import Compactions, Payer, StepSummary
from nanobot.core.errors import NanobotError
from nanobot.core.model import Model

_log = logging.getLogger(__name__)
_AT_ONCE = 4
_MOST_WAITING = 1_000
MOST_WAITED_S = 60.0
"""So long a turn waits for a summary at most."""
WriterOf = Callable[[Payer, int], tuple[Model | None, int, int]]
"""Returns the model that writes for a payer with a budget of so many tokens (None: none does), how long a
summary may be, and how much is read for one.
"""


class StepSummariesWritten:
    """`agent.long_turn.StepSummaries`: a few at the same time, each kept with what it cost at once.

    `preset`: the model that writes, None for the one that answers.
    """

    def __init__(
        self,
        store: Compactions,
        writer_of: WriterOf,
        session_hint: Callable[[str], str],
        clock: Clock,
        *,
        preset: str | None,
        soft_share: float,
        keep_share: float,
    ) -> None:
        self._store = store
        self._writer_of = writer_of
        self._session_hint = session_hint
        self._clock = clock
        self._preset = preset
        self.soft_share = soft_share
        self.keep_share = keep_share
        self._queue: asyncio.Queue[StepsJob] = asyncio.Queue()

    def begin(self, job: StepsJob) -> bool:
        if self._queue.qsize() >= _MOST_WAITING:
            return False
        self._queue.put_nowait(job)
        return True

    async def wait_for(self, job: StepsJob) -> None:
        await came_within(self._clock, job.done, MOST_WAITED_S)

    async def run(self) -> None:
        """Write summaries until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            job = await self._queue.get()
            try:
                await self._write(job)
            except NanobotError as error:
                _log.warning("turn %s: its steps were not summarised: %s", job.turn.id, error.message)
            except Exception:  # noqa: BLE001 - a bug in one summary stops no others
                _log.exception("turn %s: its steps were not summarised", job.turn.id)
            finally:
                job.done.set()

    async def _write(self, job: StepsJob) -> None:
        turn = job.turn
        payer = Payer(turn.account_key, turn.key_id, self._preset or turn.model)
        model, most_tokens, most_read_tokens = self._writer_of(payer, job.budget_tokens)
        writer = StepSummaryWriter(most_tokens, most_read_tokens)
        hint = self._session_hint(turn.session_key)
        written = await writer.write(job.before, job.messages, model, session_hint=hint)
        if await self._store.add_step_summary(turn.id, job.count, written, payer):
            job.summary = StepSummary(written.text, job.count)
