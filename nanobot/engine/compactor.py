"""Compaction in the background: long conversations get a summary of their beginning between turns."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from nanobot.agent.loop import Agent
from nanobot.agent.summary import SummaryWriter
from nanobot.core.clock import Clock, came_within
from nanobot.core.compaction import Compacted, Compaction, Payer, Unsummarised
from nanobot.core.dispatch import History
from nanobot.core.errors import ModelBadAnswer, ModelError, NanobotError, Overloaded
from nanobot.core.message import Message, Usage, estimate_tokens
from nanobot.core.model import Model
from nanobot.core.store import Store
from nanobot.core.turn import Turn
from nanobot.engine.step_summaries import MOST_WAITED_S, StepSummariesWritten

_log = logging.getLogger(__name__)
_AT_ONCE = 2
_MOST_WAITING = 1_000
_MOST_ROUNDS = 32
_AFTER_FAILURE_S = 300.0
_LEAST_SHARE = 8
"""Messages that take less than this part of the budget are not worth a summary."""
_LEAST_TOKENS = 512
"""Shorter conversations are shown whole in any case."""
_TOO_LITTLE = (
    "no summary came that keeps the names, numbers and dates of the conversation: the model was asked twice"
)
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


class _Job(msgspec.Struct):
    """`keep_tokens`: how much of the newest part stays without; `least_tokens`: less is not worth a summary.
    `asked`: the turn that made the conversation long, and its model. `problem`: why there is none.
    """

    payer: Payer
    budget_tokens: int
    keep_tokens: int
    least_tokens: int
    done: asyncio.Event
    begun_at: float
    asked: tuple[Turn, Model] | None = None
    added: int = 0
    newest: Compacted | None = None
    messages: int = 0
    problem: Exception | None = None


class Compactor:
    """Summarises what turns have made long, one job a session, a few at the same time.

    `is_small` says of a model that it is too small to write summaries: those of its sessions are what the
    user said, word for word. `steps`: those of turns that still run; None where summaries are off.
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
        self._at_hand = asyncio.Semaphore(_AT_ONCE)
        self.steps: StepSummariesWritten | None = None
        if settings.enabled:
            self.steps = StepSummariesWritten(
                store,
                self._step_writer,
                agent.session_hint,
                clock,
                preset=settings.model,
                soft_share=settings.soft_share,
                keep_share=settings.keep_share,
            )

    async def run(self) -> None:
        """Write summaries until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._work())
            if self.steps is not None:
                group.create_task(self.steps.run())

    def consider(self, turn: Turn, model: Model, history: History) -> None:
        """Have the session summarised if the turn, which has ended, showed the model much of its budget."""
        settings = self._settings
        # A session that is delegated to has one turn.
        if not settings.enabled or not turn.trace or not history.ends or turn.delegation is not None:
            return
        # Most conversations are far shorter than what any turn may show.
        if size_of(history) <= settings.soft_share * self._agent.least_budget(model):
            return
        budget = self._agent.budget(turn, model)
        if not self._exceeds(history, budget, settings.soft_share * budget):
            return
        key = turn.session_key
        if key in self._jobs or len(self._jobs) >= _MOST_WAITING:
            return
        if self._not_before.get(key, 0.0) > (now := self._clock.now()):
            return
        payer = Payer(key, turn.key_id, settings.model or turn.model)
        keep_tokens = int(settings.keep_share * budget)
        self._begin(
            _Job(payer, budget, keep_tokens, budget // _LEAST_SHARE, asyncio.Event(), now, (turn, model))
        )

    def _begin(self, job: _Job) -> None:
        self._jobs[job.payer.session_key] = job
        self._queue.put_nowait(job)

    async def compact(self, session_key: str, key_id: str | None = None) -> Compaction:
        """See `core.compaction.Compacting`."""
        session = await self._store.session(session_key)
        while (other := self._jobs.get(session_key)) is not None:
            await other.done.wait()
        if len(self._jobs) >= _MOST_WAITING:
            raise Overloaded(f"{len(self._jobs)} conversations wait for a summary: try again later")
        payer = Payer(
            session_key, key_id, self._settings.model or session.model or self._agent.model_of(session_key)
        )
        # All but the newest turn, which always stays.
        job = _Job(payer, self._budget(payer), 0, _LEAST_TOKENS, asyncio.Event(), self._clock.now())
        self._begin(job)
        await job.done.wait()
        if job.problem is not None:
            raise job.problem
        return Compaction(job.messages, job.added, job.newest)

    async def summarise(
        self, messages: tuple[Message, ...], payer: Payer, *, before: str = "", session_hint: str = ""
    ) -> Compacted:
        """See `core.compaction.Compacting`."""
        model, writer, most_tokens = self._writer(payer, self._budget(payer))
        used = Usage()
        newest = Compacted(before)
        try:
            async with self._at_hand:
                for piece in _pieces(messages, most_tokens):
                    of = Unsummarised(0, newest.text, piece, 0, 0, len(piece))
                    written = await writer.write(of, model, session_hint=session_hint)
                    newest = written or newest
                    used += written.usage if written is not None else Usage()
                    if written is not None and not written.text:
                        raise ModelBadAnswer(_TOO_LITTLE)
        finally:
            if used != Usage():
                await self._store.add_spent(used, payer)
        return msgspec.structs.replace(newest, usage=used)

    def _budget(self, payer: Payer) -> int:
        turn = Turn("", payer.session_key, (), "api")
        return self._agent.budget(turn, self._models.get(payer.model))

    def _writer(self, payer: Payer, budget_tokens: int) -> tuple[Model | None, SummaryWriter, int]:
        """Return the model that writes, None for a small one, who asks it, and how much is read for one."""
        model = self._models.get(payer.model)
        most_tokens = int(_INPUT_SHARE * min(budget_tokens, model.context_tokens))
        writer = SummaryWriter(min(self._settings.summary_tokens, budget_tokens // 6), most_tokens)
        return None if self._is_small(model) else model, writer, most_tokens

    def _step_writer(self, payer: Payer, budget_tokens: int) -> tuple[Model | None, int, int]:
        model, writer, most_read_tokens = self._writer(payer, budget_tokens)
        return model, writer.most_tokens, most_read_tokens

    async def wait_for(self, turn: Turn, model: Model, history: History) -> bool:
        """Return whether a summary came that the turn had to wait for: its window is full, and one is being
        written, since not too long.
        """
        job = self._jobs.get(turn.session_key)
        if job is None or not turn.trace or not turn.may_cut:
            return False
        budget = self._agent.budget(turn, model)
        if not history.ends or not self._exceeds(history, budget, budget):
            return False
        # A model that hangs holds up no turn: it is answered without the oldest messages.
        left = job.begun_at + MOST_WAITED_S - self._clock.now()
        return await came_within(self._clock, job.done, left)

    def is_writing(self, session_key: str) -> bool:
        """Return whether the session is being summarised, or is to be: for those who measure turns."""
        return session_key in self._jobs

    async def settled(self) -> None:
        """Return when nothing is being summarised."""
        while self._jobs:
            await next(iter(self._jobs.values())).done.wait()

    def _exceeds(self, history: History, budget_tokens: int, most_tokens: float) -> bool:
        """Return whether the conversation has more tokens, without what is not shown of its files and results
        of tools.
        """
        over = size_of(history) - most_tokens
        return over > 0 and over > self._agent.unshown_tokens(history.messages, budget_tokens)

    async def _work(self) -> None:
        while True:
            job = await self._queue.get()
            key = job.payer.session_key
            try:
                if not await self._compact(job):
                    job.problem = ModelBadAnswer(_TOO_LITTLE)
                    self._put_off(key)
                elif job.asked is not None and job.messages:
                    # What has gone out of view is looked through now, and not by the next turn.
                    await self._agent.look_back(*job.asked, job.messages)
            except NanobotError as error:
                job.problem = error
                text = error.code if isinstance(error, ModelError) else error.message
                _log.warning("a conversation was not summarised: %s", text)
                self._put_off(key)
            except Exception as error:  # noqa: BLE001 - a bug in one summary stops no others
                job.problem = error
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
        model, writer, most_tokens = self._writer(job.payer, job.budget_tokens)
        key = job.payer.session_key
        for _ in range(_MOST_ROUNDS):
            of = await self._store.unsummarised(
                key,
                keep_tokens=job.keep_tokens,
                least_tokens=job.least_tokens,
                most_tokens=most_tokens,
            )
            if of is None:
                return True
            summary = await writer.write(of, model, session_hint=self._agent.session_hint(key))
            if summary is None:
                return False
            is_kept = await self._store.add_summary(of, summary, job.payer)
            if not summary.text or not is_kept:
                return False
            job.newest, job.messages = summary, of.counted
            job.added += len(of.messages)
            if not of.has_more:
                return True
        return True


def _pieces(messages: tuple[Message, ...], most_tokens: int) -> Iterator[tuple[Message, ...]]:
    """Yield the messages in pieces of so many tokens, each message whole."""
    piece: list[Message] = []
    tokens = 0
    for message in messages:
        cost = estimate_tokens(message)
        if piece and tokens + cost > most_tokens:
            yield tuple(piece)
            piece, tokens = [], 0
        piece.append(message)
        tokens += cost
    if piece:
        yield tuple(piece)


def size_of(history: History) -> int:
    """Return how many tokens the conversation has, as far as the model sees it."""
    saved = history.summary.saved_tokens if history.summary is not None else 0
    return (history.ends[-1] if history.ends else 0) - saved
