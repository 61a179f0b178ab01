"""Sessions in SQLite: listed, searched, read, labelled, forked, rewound, imported, swept.

Turns are `sqlite.py`'s.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from nanobot.core.clock import Clock
from nanobot.core.sessions import (
    ALL,
    Branch,
    Direction,
    ImportedMessage,
    Row,
    SearchHit,
    Session,
    SessionFilter,
)
from nanobot.stores.sql import branches, catalogue, importing, index, search
from nanobot.stores.sqlite.opening import DATABASE, open_reader
from nanobot.stores.sqlite.reader import Reader
from nanobot.stores.sqlite.writer import Writer

Db = sqlite3.Connection


class SqliteSessions:
    """The part of `core.store.Store` that is about sessions as a whole."""

    def __init__(self, directory: Path, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._directory = directory
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._searcher: tuple[Reader, Db] | None = None

    async def sessions(
        self,
        *,
        limit: int,
        after: str | None = None,
        order: Direction = "desc",
        matching: SessionFilter = ALL,
    ) -> tuple[Session, ...]:
        reader = self._reader if matching == ALL else self._far_reader()
        return await reader.ask(
            partial(catalogue.sessions, limit=limit, after=after, order=order, matching=matching)
        )

    async def search(
        self,
        text: str,
        *,
        limit: int,
        after: str | None = None,
        order: Direction = "desc",
        matching: SessionFilter = ALL,
    ) -> tuple[SearchHit, ...]:
        if search.query_of(text) is None:
            return ()
        while await self._writer.do(index.index_some):
            pass
        return await self._far_reader().ask(
            partial(search.search, text=text, limit=limit, after=after, order=order, matching=matching)
        )

    def _far_reader(self) -> Reader:
        """Return a reader for what may take long: turns that are looked at do not wait behind it.

        It begins when it is first needed.
        """
        if self._searcher is None:
            db = open_reader(self._directory)
            self._searcher = Reader(db, self._directory / DATABASE), db
        return self._searcher[0]

    async def _close_searcher(self) -> None:
        if self._searcher is not None:
            reader, db = self._searcher
            await reader.close()
            db.close()

    async def session(self, session_key: str) -> Session:
        return await self._reader.ask(partial(catalogue.session, key=session_key))

    async def rename_session(
        self, session_key: str, *, title: str | None, metadata: Mapping[str, str]
    ) -> Session:
        return await self._writer.do(
            partial(catalogue.rename, key=session_key, title=title, metadata=metadata)
        )

    async def messages(
        self,
        session_key: str,
        *,
        limit: int,
        after_seq: int = 0,
        order: Direction = "asc",
        tip: int | None = None,
    ) -> tuple[Row, ...]:
        return await self._reader.ask(
            partial(
                catalogue.messages, key=session_key, limit=limit, after_seq=after_seq, order=order, tip=tip
            )
        )

    async def branches(self, session_key: str) -> tuple[Branch, ...]:
        return await self._far_reader().ask(partial(branches.branches, key=session_key))

    async def fork_session(self, session_key: str, new_key: str, *, at: int | None = None) -> Session:
        def job(db: Db) -> Session:
            return catalogue.session_of(
                db, branches.fork(db, key=session_key, new_key=new_key, at=at, now=self._clock.now())
            )

        return await self._writer.do(job)

    async def rewind_session(self, session_key: str, to: int) -> Session:
        def job(db: Db) -> Session:
            return catalogue.session_of(
                db, branches.rewind(db, key=session_key, to=to, now=self._clock.now())
            )

        return await self._writer.do(job)

    async def import_session(
        self,
        session_key: str,
        given: Sequence[ImportedMessage],
        *,
        title: str | None,
        metadata: Mapping[str, str],
    ) -> Session:
        def job(db: Db) -> Session:
            now = self._clock.now()
            number = importing.import_(
                db, key=session_key, given=given, title=title, metadata=metadata, now=now
            )
            return catalogue.session_of(db, number)

        return await self._writer.do(job)

    async def write_over(self) -> None:
        """Write over now what the index still holds of deleted sessions, instead of when nothing else is to
        be done.
        """
        while await self._writer.do(index.clean_some):
            pass
