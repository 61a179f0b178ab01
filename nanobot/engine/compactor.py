"""Compaction in the background: long conversations get a summary of their beginning between turns."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from nanobot.agent.loop import Agent
from nanobot.agent.summary import SummaryWriter
from nanobot.context.files import uncut_excess
from nanobot.core.clock import Clock
from nanobot.core.compaction import Payer
from nanobot.core.dispatch import History
from nanobot.core.errors import ModelError, NanobotError
from nanobot.core.model import Model
from nanobot.core.store import Store
from nanobot.core.turn import Turn

_log = logging.getLogger(__name__)
_AT_ONCE = 2
_MOST_WAITING = 1_000
_MOST_ROUNDS = 32
_AFTER_FAILURE_S = 300.0
_LEAST_SHARE = 8
"""Messages that take less than this part of the budget are not worth a summary."""
_INPUT_SHARE = 0.5
"""How much of the writer's window may be messages to summarise."""


class CompactionSettings(msgspec.Struct, frozen=True):
    """When and how conversations are summarised. `soft_share`: which part of the history's budget is used
    when the beginning is summarised, `keep_share`: which part of it the newest messages keep. `model`: the
    preset that writes (None: the one that answered). `summary_tokens`: how long a summary may be.
    """

    enabled: bool = True
    soft_share: float = 0.6
    keep_share: float = 0.3
    model: str | None = None
    summary_tokens: int = 1_500


class ModelSource(Protocol):
    """Where the model is found that writes."""

    def get(self, name: str | None) -> Model:
        """Return the model, the default one for None.

        Raises:
            ModelNotFound
        """
        ...


class _Job(msgspec.Struct, frozen=True):
    payer: Payer
    budget_tokens: int
    done: asyncio.Event


class Compactor:
    """Summarises what turns have made long, one job a session, a few at the same time.

    `is_small` says of a model that it is too small to write summaries: those of its sessions are what the
    user said, word for word.
    """

    def __init__(
        self,
        store: Store,
        agent: Agent,
        models: ModelSource,
        clock: Clock,
        settings: CompactionSettings,
        *,
        is_small: Callable[[Model], bool],
    ) -> None:
        self._is_small = is_small
        self._store = store
        self._agent = agent
        self._models = models
        self._clock = clock
        self._settings = settings
        self._jobs: dict[str, _Job] = {}
        self._not_before: dict[str, float] = {}
        self._queue: asyncio.Queue[_Job] = asyncio.Queue()

    async def run(self) -> None:
        """Write summaries until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._work())

    def consider(self, turn: Turn, model: Model, history: History) -> None:
        """Have the session summarised if the turn, which has ended, showed the model much of its budget."""
        settings = self._settings
        if not settings.enabled or not turn.trace or not history.ends:
            return
        budget = self._agent.budget(turn, model)
        if not _exceeds(history, budget, settings.soft_share * budget):
            return
        key = turn.session_key
        if key in self._jobs or len(self._jobs) >= _MOST_WAITING:
            return
        if self._not_before.get(key, 0.0) > self._clock.now():
            return
        job = _Job(Payer(key, turn.key_id, settings.model or turn.model), budget, asyncio.Event())
        self._jobs[key] = job
        self._queue.put_nowait(job)

    async def wait_for(self, turn: Turn, model: Model, history: History) -> bool:
        """Return whether a summary came that the turn had to wait for: its window is full, and one is being
        written.
        """
        job = self._jobs.get(turn.session_key)
        if job is None or not turn.trace or not turn.may_cut:
            return False
        budget = self._agent.budget(turn, model)
        if not history.ends or not _exceeds(history, budget, budget):
            return False
        await job.done.wait()
        return True

    def is_writing(self, session_key: str) -> bool:
        """Return whether the session is being summarised, or is to be."""
        return session_key in self._jobs

    async def settled(self) -> None:
        """Return when nothing is being summarised."""
        while self._jobs:
            await next(iter(self._jobs.values())).done.wait()

    async def _work(self) -> None:
        while True:
            job = await self._queue.get()
            key = job.payer.session_key
            try:
                if not await self._compact(job):
                    self._put_off(key)
            except NanobotError as error:
                text = error.code if isinstance(error, ModelError) else error.message
                _log.warning("a conversation was not summarised: %s", text)
                self._put_off(key)
            except Exception:  # noqa: BLE001 - a bug in one summary stops no others
                _log.exception("a conversation was not summarised")
                self._put_off(key)
            finally:
                del self._jobs[key]
                job.done.set()

    def _put_off(self, key: str) -> None:
        now = self._clock.now()
        if len(self._not_before) >= _MOST_WAITING:
            self._not_before = {each: at for each, at in self._not_before.items() if at > now}
        self._not_before[key] = now + _AFTER_FAILURE_S

    async def _compact(self, job: _Job) -> bool:
        """Write summaries until nothing but the newest part of the conversation is without; return whether
        that succeeded.
        """
        settings = self._settings
        model = self._models.get(job.payer.model)
        writes = None if self._is_small(model) else model
        most_tokens = int(_INPUT_SHARE * min(job.budget_tokens, model.context_tokens))
        writer = SummaryWriter(min(settings.summary_tokens, job.budget_tokens // 6), most_tokens)
        key = job.payer.session_key
        for _ in range(_MOST_ROUNDS):
            of = await self._store.unsummarised(
                key,
                keep_tokens=int(settings.keep_share * job.budget_tokens),
                least_tokens=job.budget_tokens // _LEAST_SHARE,
                most_tokens=most_tokens,
            )
            if of is None:
                return True
            summary = await writer.write(of, writes, session_hint=self._agent.session_hint(key))
            if summary is None:
                return False
            is_kept = await self._store.add_summary(of, summary, job.payer)
            if not summary.text or not is_kept:
                return False
            if not of.has_more:
                return True
        return True


def _exceeds(history: History, budget_tokens: int, most_tokens: float) -> bool:
    """Return whether the conversation has more tokens, without what is not shown of its files."""
    over = size_of(history) - most_tokens
    return over > 0 and over > uncut_excess(history.messages, budget_tokens)


def size_of(history: History) -> int:
    """Return how many tokens the conversation has, as far as the model sees it."""
    saved = history.summary.saved_tokens if history.summary is not None else 0
    return (history.ends[-1] if history.ends else 0) - saved
