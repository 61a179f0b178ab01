"""`core.extraction.Extractions`: how far turns were read for facts, and what was found."""

from collections.abc import Sequence
from functools import partial

from nanobot.core.accounts import TurnCost, TurnSettled
from nanobot.core.compaction import Payer
from nanobot.core.extraction import UnreadTurns
from nanobot.core.memory import MemoryFact, NewFact
from nanobot.core.message import Usage
from nanobot.stores.sql import extraction, transcript, usage
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.ports.shared import Shared


class SqlExtractions:
    """Extractions in an SQL database."""

    def __init__(self, shared: Shared) -> None:
        self._database = shared.database
        self._news = shared.news
        self._clock = shared.clock
        self._prices = shared.prices
        self._rules = shared.limits.memory

    async def unread_turns(self, session_key: str, *, most_characters: int) -> UnreadTurns | None:
        return await self._database.scan(
            partial(
                extraction.unread,
                key=session_key,
                most_characters=most_characters,
                now=self._clock.now(),
                rules=self._rules,
            )
        )

    async def add_extracted(
        self, of: UnreadTurns, facts: Sequence[NewFact], usage_: Usage, payer: Payer
    ) -> tuple[MemoryFact, ...]:
        def job(db: Db) -> tuple[tuple[MemoryFact, ...], TurnCost | None]:
            now, key = self._clock.now(), payer.session_key
            tokens = usage_.prompt_tokens + usage_.completion_tokens
            kept = extraction.keep(db, of, facts, key=key, tokens=tokens, now=now, rules=self._rules)
            if usage_ == Usage():
                return kept, None
            head = transcript.find_head(db, key)
            session = head.session if head is not None else usage.NO_SESSION
            return kept, usage.count_apart(db, session, payer, usage_, self._prices, now)

        kept, cost = await self._database.write(job)
        if cost is not None:
            self._news.tell(TurnSettled((), cost))
        return kept

    async def sessions_with_unread(self, *, limit: int) -> tuple[str, ...]:
        return await self._database.scan(
            partial(extraction.sessions_with_unread, now=self._clock.now(), limit=limit)
        )
