"""`core.memory.Memory`: facts are remembered, found, changed and forgotten."""

from collections.abc import Sequence
from functools import partial

from nanobot.core.memory import FactChange, FactPage, MemoryFact, NewFact
from nanobot.core.origin import Origin
from nanobot.core.scopes import Layer
from nanobot.stores.sql import fact_search, facts, recall, remembering
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.ports.shared import Shared


class SqlMemory:
    """Facts in an SQL database."""

    def __init__(self, shared: Shared) -> None:
        self._database = shared.database
        self._clock = shared.clock
        self._rules = shared.limits.memory
        self._vectors = shared.vectors

    async def remember(self, session_key: str, new: NewFact) -> MemoryFact:
        def job(db: Db) -> MemoryFact:
            return remembering.remember(
                db, key=session_key, new=new, now=self._clock.now(), rules=self._rules
            )

        return await self._database.write(job)

    async def facts(
        self, session_key: str, *, limit: int, after: str | None = None, layer: Layer | None = None
    ) -> FactPage:
        found, has_more = await self._database.read(
            partial(facts.page, key=session_key, limit=limit, after=after, layer=layer, rules=self._rules)
        )
        return FactPage(tuple(found), has_more)

    async def search_facts(
        self, session_key: str, text: str, *, limit: int, is_asked: bool = True
    ) -> tuple[MemoryFact, ...]:
        near = await self._near(session_key, text, is_asked=is_asked)

        def query(db: Db) -> tuple[MemoryFact, ...]:
            standing = facts.standing(db, key=session_key, rules=self._rules)
            of = {fact.id: fact for fact in standing} if near else {}
            nearest = [of[id_] for id_ in near if id_ in of]
            return fact_search.best(standing, text, limit, is_asked=is_asked, near=nearest)

        return await self._database.read(query)

    async def _near(self, session_key: str, text: str, *, is_asked: bool) -> Sequence[str]:
        """Return the ids of the facts in reach that are near the text in meaning, where that can be told."""
        if self._vectors is None or not recall.says_enough(text):
            return ()
        numbers = await self._database.read(partial(facts.numbers, key=session_key, rules=self._rules))
        if not numbers:
            return ()
        found = await self._vectors.nearest_facts(text, tuple(numbers), patient=is_asked)
        return [numbers[each.number] for each in found if each.number in numbers]

    async def fact_versions(self, session_key: str, fact_id: str) -> tuple[MemoryFact, ...]:
        return await self._database.read(
            partial(facts.versions, key=session_key, fact_id=fact_id, rules=self._rules)
        )

    async def all_facts(self, session_key: str) -> tuple[tuple[MemoryFact, ...], ...]:
        # Each may have many versions.
        return await self._database.scan(partial(facts.all_versions, key=session_key, rules=self._rules))

    async def change_fact(self, session_key: str, fact_id: str, change: FactChange) -> MemoryFact:
        def job(db: Db) -> MemoryFact:
            return remembering.change(
                db, key=session_key, fact_id=fact_id, change=change, now=self._clock.now(), rules=self._rules
            )

        return await self._database.write(job)

    async def forget(self, session_key: str, which: str, *, by: Origin = "user") -> MemoryFact:
        return await self._database.write(
            partial(remembering.forget, key=session_key, which=which, by=by, rules=self._rules)
        )

    async def erase_facts(self, people: Sequence[str]) -> int:
        return await self._database.write(partial(remembering.erase, people=people))
