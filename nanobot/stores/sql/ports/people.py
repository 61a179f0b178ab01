"""`core.people.People`: people in an SQL database."""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial

from nanobot.core.memory import MemoryFact
from nanobot.core.people import Erasure, LinkCode, Person, PersonSession
from nanobot.core.scopes import Scopes
from nanobot.core.sessions import ALL, SessionFilter
from nanobot.core.uploads import Upload
from nanobot.stores.sql import catalogue, erasing, people
from nanobot.stores.sql.ports.deleting import Deleting
from nanobot.stores.sql.ports.shared import Shared

_log = logging.getLogger(__name__)


class SqlPeople:
    """People in an SQL database."""

    def __init__(self, shared: Shared, deleting: Deleting) -> None:
        self._database = shared.database
        self._clock = shared.clock
        self._deleting = deleting
        self._erasures: dict[asyncio.Task[Erasure], str] = {}

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
        self, id_: str, *, limit: int, after: str | None = None, matching: SessionFilter = ALL
    ) -> tuple[tuple[MemoryFact, ...], ...]:
        return await self._database.read(
            partial(people.facts, id_=id_, limit=limit, after=after, matching=matching)
        )

    async def linked_names(self) -> Mapping[str, tuple[str, ...]]:
        return await self._database.read(people.links)

    async def links_version(self) -> int:
        return await self._database.read(people.links_version)

    async def other_sessions(self, session_key: str, *, limit: int) -> tuple[str, ...]:
        return await self._database.read(partial(people.other_sessions, session_key=session_key, limit=limit))

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
        now = self._clock.now()
        begun = await self._database.write(partial(erasing.begin, id_=id_, matching=matching, now=now))
        erasure = asyncio.create_task(self._erase(begun))
        self._erasures[erasure] = begun.chore
        erasure.add_done_callback(self._is_over)
        # Whoever has asked for it may go: what has begun is finished.
        return await asyncio.shield(erasure)

    def _is_over(self, erasure: asyncio.Task[Erasure]) -> None:
        del self._erasures[erasure]
        if not erasure.cancelled() and (error := erasure.exception()) is not None:
            # Also where nobody waits for it any more.
            _log.error("the erasure of a person broke off, and is to be finished later: %s", error)

    async def finish_erasures(self) -> int:
        if not await self._database.read(erasing.pending):
            return 0
        # Behind those that have begun: they are known by now.
        found = await self._database.write(erasing.pending)
        under_way = set(self._erasures.values())
        broken_off = [each for each in found if each.chore not in under_way]
        for begun in broken_off:
            await self._erase(begun)
        return len(broken_off)

    async def _erase(self, begun: erasing.PendingErasure) -> Erasure:
        deleted: list[catalogue.Deleted] = []
        try:
            while some := await self._deleting.delete(partial(erasing.next_keys, begun=begun)):
                deleted += some
            settled = await self._database.write(partial(erasing.settle, begun=begun))
        except BaseException:
            await self._deleting.leave(deleted)
            raise
        removed = await self._deleting.purged(deleted)
        return Erasure(
            sessions=sum(each.session is not None for each in deleted),
            messages=removed.messages,
            turns=removed.turns,
            files=removed.files,
            bytes_=removed.bytes_,
            links=settled.links,
            facts=settled.facts,
            left=settled.left,
        )
