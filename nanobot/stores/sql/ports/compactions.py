"""`core.compaction.Compactions`: what stands for the beginning of long conversations."""

from functools import partial

from nanobot.core.accounts import TurnCost, TurnSettled
from nanobot.core.compaction import Compacted, Payer, StepSummary, Unsummarised
from nanobot.core.message import Usage
from nanobot.stores.sql import compaction, step_summaries, transcript, usage
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.ports.shared import Shared


class SqlCompactions:
    """Summaries in an SQL database."""

    def __init__(self, shared: Shared) -> None:
        self._database = shared.database
        self._news = shared.news
        self._clock = shared.clock
        self._prices = shared.prices

    async def unsummarised(
        self, session_key: str, *, keep_tokens: int, least_tokens: int, most_tokens: int
    ) -> Unsummarised | None:
        return await self._database.scan(
            partial(
                compaction.unsummarised,
                key=session_key,
                keep_tokens=keep_tokens,
                least_tokens=least_tokens,
                most_tokens=most_tokens,
            )
        )

    async def add_summary(self, of: Unsummarised, summary: Compacted, payer: Payer) -> bool:
        def job(db: Db) -> tuple[bool, TurnCost | None]:
            now = self._clock.now()
            is_kept = compaction.add(db, of, summary, now)
            # Also where nobody has any more use for it: the provider was paid.
            if summary.usage == Usage():
                return is_kept, None
            return is_kept, self._count_apart(db, payer, summary.usage)

        is_kept, cost = await self._database.write(job)
        if cost is not None:
            self._news.tell(TurnSettled((), cost))
        return is_kept

    async def step_summary(self, turn_id: str) -> StepSummary | None:
        return await self._database.read(lambda db: step_summaries.newest(db, turn_id))

    async def add_step_summary(self, turn_id: str, messages: int, summary: Compacted, payer: Payer) -> bool:
        def job(db: Db) -> tuple[bool, TurnCost | None]:
            now = self._clock.now()
            is_kept = step_summaries.add(db, turn_id, messages, summary, now)
            if summary.usage == Usage():
                return is_kept, None
            return is_kept, self._count_apart(db, payer, summary.usage)

        is_kept, cost = await self._database.write(job)
        if cost is not None:
            self._news.tell(TurnSettled((), cost))
        return is_kept

    async def add_spent(self, usage_: Usage, payer: Payer) -> None:
        def job(db: Db) -> TurnCost:
            return self._count_apart(db, payer, usage_)

        self._news.tell(TurnSettled((), await self._database.write(job)))

    def _count_apart(self, db: Db, payer: Payer, usage_: Usage) -> TurnCost:
        head = transcript.find_head(db, payer.session_key)
        session = head.session if head is not None else usage.NO_SESSION
        return usage.count_apart(db, session, payer, usage_, self._prices, self._clock.now())
