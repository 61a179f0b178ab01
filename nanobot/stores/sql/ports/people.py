"""`core.people.People`: people in an SQL database."""

from collections.abc import Mapping
from functools import partial

from nanobot.core.errors import PersonNotFound
from nanobot.core.memory import MemoryFact
from nanobot.core.people import Erasure, LinkCode, Person, PersonSession
from nanobot.core.scopes import Scopes
from nanobot.core.sessions import ALL, SessionFilter
from nanobot.core.uploads import Upload
from nanobot.stores.sql import people, remembering
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.links import names_of
from nanobot.stores.sql.ports.deleting import Deleting
from nanobot.stores.sql.ports.shared import Shared


class SqlPeople:
    """People in an SQL database."""

    def __init__(self, shared: Shared, deleting: Deleting) -> None:
        self._database = shared.database
        self._clock = shared.clock
        self._deleting = deleting

    async def people(
        self, *, limit: int, after: str | None = None, matching: SessionFilter = ALL
    ) -> tuple[Person, ...]:
        # All sessions may have to be looked at.
        return await self._database.scan(partial(people.people, limit=limit, after=after, matching=matching))

    async def person(self, id_: str, *, matching: SessionFilter = ALL) -> Person:
        return await self._database.read(partial(people.person, id_=id_, matching=matching))

    async def sessions_of_person(
        self, id_: str, *, limit: int, after: str | None = None, matching: SessionFilter = ALL
    ) -> tuple[PersonSession, ...]:
        return await self._database.read(
            partial(people.sessions, id_=id_, limit=limit, after=after, matching=matching)
        )

    async def keys_of_person(self, id_: str, *, matching: SessionFilter = ALL) -> tuple[Scopes, ...]:
        return await self._database.read(partial(people.keys, id_=id_, matching=matching))

    async def uploads_of_person(
        self, id_: str, *, limit: int, before: str | None = None, matching: SessionFilter = ALL
    ) -> tuple[Upload, ...]:
        return await self._database.read(
            partial(people.uploads, id_=id_, limit=limit, before=before, matching=matching)
        )

    async def facts_of_person(
        self, id_: str, *, matching: SessionFilter = ALL
    ) -> tuple[tuple[MemoryFact, ...], ...]:
        return await self._database.read(partial(people.facts, id_=id_, matching=matching))

    async def linked_names(self) -> Mapping[str, tuple[str, ...]]:
        return await self._database.read(people.links)

    async def links_version(self) -> int:
        return await self._database.read(people.links_version)

    async def check_private(self, id_: str, *, matching: SessionFilter = ALL) -> None:
        await self._database.read(partial(people.check_private, name=id_, matching=matching))

    async def link_people(self, id_: str, other: str, *, matching: SessionFilter = ALL) -> str:
        return await self._database.write(partial(people.link, id_=id_, other=other, matching=matching))

    async def unlink_name(self, name: str, *, matching: SessionFilter = ALL) -> str:
        return await self._database.write(partial(people.unlink, name=name, matching=matching))

    async def keep_link_code(self, code: LinkCode, *, matching: SessionFilter = ALL) -> None:
        now = self._clock.now()
        await self._database.write(partial(people.keep_code, code=code, now=now, matching=matching))

    async def link_by_code(self, id_: str, digest: bytes, *, matching: SessionFilter = ALL) -> str:
        now = self._clock.now()
        return await self._database.write(
            partial(people.use_code, id_=id_, digest=digest, now=now, matching=matching)
        )

    async def erase_person(self, id_: str, *, matching: SessionFilter = ALL) -> Erasure:
        names: tuple[str, ...] = ()
        links = left = facts = 0

        def keys(db: Db) -> tuple[str, ...]:
            nonlocal names, facts
            names = names_of(db, id_)
            facts = remembering.count_of(db, names)
            try:
                return people.keys_of(db, id_, matching=matching)
            except PersonNotFound:
                if not facts or matching != ALL:
                    raise
                # Somebody of whom there are facts alone, written by hand.
                return ()

        def settle(db: Db) -> None:
            nonlocal links, left, facts
            links, left = people.settle_erasure(db, names)
            if not left:
                remembering.erase(db, names)
            facts -= remembering.count_of(db, names)

        deleted = await self._deleting.delete(keys, settle)
        removed = await self._deleting.purged(deleted)
        return Erasure(
            sessions=sum(each.session is not None for each in deleted),
            messages=removed.messages,
            turns=removed.turns,
            files=removed.files,
            bytes_=removed.bytes_,
            links=links,
            facts=facts,
            left=left,
        )
