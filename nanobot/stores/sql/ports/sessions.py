"""`core.sessions.Sessions`: conversations are listed, searched, read, changed, watched and deleted."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from functools import partial
from itertools import count

import msgspec

from nanobot.core.errors import StoreError, TurnNotFound
from nanobot.core.message import Message
from nanobot.core.sessions import (
    ALL,
    Branch,
    Deletion,
    Direction,
    ImportedMessage,
    MessagePage,
    RetentionRule,
    Row,
    SearchHit,
    Session,
    SessionEvent,
    SessionFilter,
)
from nanobot.core.workspace import SessionIdentity
from nanobot.stores.live.turn import replay
from nanobot.stores.sql import (
    branches,
    catalogue,
    forking,
    hidden,
    identities,
    importing,
    retention,
    search,
    turns,
)
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.ports.deleting import Deleting
from nanobot.stores.sql.ports.shared import Shared

_log = logging.getLogger(__name__)
_MOST_REBUILT_A_SEARCH = 8
"""How many steps the index that is being rebuilt comes forward with each search."""


class SqlSessions:
    """Sessions in an SQL database."""

    def __init__(self, shared: Shared, deleting: Deleting) -> None:
        self._shared = shared
        self._database = shared.database
        self._index = shared.index
        self._workspaces = shared.workspaces
        self._live = shared.live
        self._clock = shared.clock
        self._deleting = deleting
        self._numbers = count(1)

    # Reading --------------------------------------------------------------------------------------

    async def sessions(
        self,
        *,
        limit: int,
        after: str | None = None,
        order: Direction = "desc",
        matching: SessionFilter = ALL,
    ) -> tuple[Session, ...]:
        read = self._database.read if matching == ALL else self._database.scan
        return await read(
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
        if search.query_of(self._index, text) is None:
            return ()
        await self.index_messages()

        def query(db: Db) -> tuple[SearchHit, ...]:
            return search.search(
                db, self._index, text=text, limit=limit, after=after, order=order, matching=matching
            )

        return await self._database.scan(query)

    async def index_messages(self) -> bool:
        write, index = self._database.write_piece, self._index
        try:
            while await write(index.index_some):
                pass
            for _ in range(_MOST_REBUILT_A_SEARCH):
                if not await write(index.rebuild_some):
                    break
        except StoreError as error:
            # Where nothing can be written, the disk being full, what is in the index is found all the same.
            _log.warning("the search index stays behind: %s", error.message)
            return False
        return await self._database.read(index.is_whole)

    async def session(self, session_key: str) -> Session:
        return await self._database.read(partial(catalogue.session, key=session_key))

    async def identify(self, session_key: str) -> SessionIdentity:
        return await self._database.read(partial(identities.identity, key=session_key))

    async def identities(self, numbers: Sequence[int]) -> tuple[SessionIdentity, ...]:
        return await self._database.read(partial(identities.identities, numbers=numbers))

    async def messages(
        self,
        session_key: str,
        *,
        limit: int,
        after_seq: int = 0,
        order: Direction = "asc",
        tip: int | None = None,
    ) -> tuple[Row, ...]:
        page = await self._database.read(
            partial(
                catalogue.messages, key=session_key, limit=limit, after_seq=after_seq, order=order, tip=tip
            )
        )
        return page.rows

    async def message_page(
        self,
        session_key: str,
        *,
        limit: int,
        max_bytes: int,
        after_seq: int = 0,
        order: Direction = "asc",
        tip: int | None = None,
    ) -> MessagePage:
        return await self._database.read(
            partial(
                catalogue.message_page,
                key=session_key,
                limit=limit,
                after_seq=after_seq,
                order=order,
                tip=tip,
                max_bytes=max_bytes,
            )
        )

    async def branches(self, session_key: str) -> tuple[Branch, ...]:
        return await self._database.scan(partial(branches.branches, key=session_key))

    async def watch(
        self, session_key: str, after: tuple[str, int] | None = None
    ) -> AsyncGenerator[Sequence[SessionEvent], None]:
        # Raises where there is no such session.
        await self.session(session_key)
        rest = await self._rest(session_key, *after) if after is not None else ()
        watching = self._live.watch(session_key, rest, after)
        try:
            async for events in watching:
                yield events
        finally:
            await watching.aclose()

    async def _rest(self, session_key: str, turn_id: str, cursor: int) -> Sequence[SessionEvent]:
        """Return the events of a turn that has ended, past the cursor; nothing for one that is live."""
        state = await self._database.read(partial(turns.look, turn_id=turn_id))
        if state.session_key != session_key:
            raise TurnNotFound(f"no turn {turn_id!r} here")
        if state.end is None:
            return ()
        return [SessionEvent(turn_id, at, event) for at, event in replay(state.messages, state.end, cursor)]

    # Changing -------------------------------------------------------------------------------------

    async def rename_session(
        self,
        session_key: str,
        *,
        title: str | msgspec.UnsetType | None = msgspec.UNSET,
        metadata: Mapping[str, str],
    ) -> Session:
        return await self._database.write(
            partial(catalogue.rename, key=session_key, title=title, metadata=metadata)
        )

    async def choose_model(self, session_key: str, preset: str | None) -> Session:
        return await self._database.write(partial(catalogue.choose_model, key=session_key, preset=preset))

    async def instruct_session(self, session_key: str, instructions: str | None) -> Session:
        return await self._database.write(
            partial(catalogue.instruct, key=session_key, instructions=instructions)
        )

    async def add_messages(self, session_key: str, messages: Sequence[Message]) -> tuple[Row, ...]:
        def job(db: Db) -> tuple[Row, ...]:
            return catalogue.add_messages(db, key=session_key, messages=messages, now=self._clock.now())

        return await self._shared.write_said(messages, job)

    async def fork_session(self, session_key: str, new_key: str, *, at: int | None = None) -> Session:
        write, making = self._database.write, self._key_for_making()
        now = self._clock.now()
        fork = await write(
            lambda db: forking.begin(db, key=session_key, new_key=new_key, making=making, at=at, now=now)
        )
        async with self._whole_or_gone(fork.session):
            while fork.rest:
                fork = await self._database.write_piece(partial(forking.copy_some, fork=fork))
            source = await self.identify(session_key)
            await asyncio.to_thread(
                self._workspaces.copy, source, SessionIdentity(fork.session, now, new_key)
            )

            def finish(db: Db) -> Session:
                forking.finish(db, fork, key=session_key, new_key=new_key)
                return catalogue.session_of(db, fork.session)

            return await write(finish)

    async def rewind_session(self, session_key: str, to: int) -> Session:
        def job(db: Db) -> Session:
            return catalogue.session_of(
                db, branches.rewind(db, key=session_key, to=to, now=self._clock.now())
            )

        return await self._database.write(job)

    async def import_session(
        self,
        session_key: str,
        messages: Iterable[ImportedMessage],
        *,
        title: str | None,
        metadata: Mapping[str, str],
        model: str | None = None,
        instructions: str | None = None,
    ) -> Session:
        write, making = self._database.write, self._key_for_making()
        now = self._clock.now()
        head = await write(lambda db: importing.begin(db, key=session_key, making=making, now=now))
        pieces = importing.pieces(messages)
        async with self._whole_or_gone(head.session):
            # In a thread: megabytes of lines may be read only now.
            while piece := await asyncio.to_thread(next, pieces, None):
                head = await self._database.write_piece(partial(importing.add, head=head, piece=piece))

            def finish(db: Db) -> Session:
                importing.finish(db, head, key=session_key, title=title, metadata=metadata)
                if model is not None:
                    catalogue.choose_model(db, key=session_key, preset=model)
                if instructions is not None:
                    catalogue.instruct(db, key=session_key, instructions=instructions)
                return catalogue.session_of(db, head.session)

            return await write(finish)

    def _key_for_making(self) -> str:
        return hidden.making(next(self._numbers))

    @contextlib.asynccontextmanager
    async def _whole_or_gone(self, session: int) -> AsyncIterator[None]:
        """Delete the session that is being made where it cannot be finished."""
        try:
            yield
        except BaseException:
            # What fails now is deleted after the next start.
            with contextlib.suppress(StoreError):
                # Behind the piece that nobody waits for any more.
                await self._database.write_piece(partial(hidden.hide, session=session))
                await self._deleting.purge(session)
            raise

    # Deleting -------------------------------------------------------------------------------------

    async def delete_session(self, session_key: str) -> Deletion:
        deleted = await self._deleting.delete(lambda _: (session_key,))
        return await self._deleting.purged(deleted)

    async def delete_unused(self, rules: Sequence[RetentionRule]) -> int:
        now = self._clock.now()
        # Beside the writer: turns need not wait for that.
        keys = await self._database.scan(partial(retention.due, rules=rules, now=now))
        if not keys:
            return 0

        def job(db: Db) -> tuple[catalogue.Deleted, ...]:
            return retention.delete(db, keys=keys, rules=rules, now=self._clock.now())

        deleted = await self._database.write(job, self._end_watching)
        await self._deleting.purged(deleted)
        return len(deleted)

    def _end_watching(self, deleted: tuple[catalogue.Deleted, ...]) -> None:
        for each in deleted:
            self._live.end_session(each.key)

    async def write_over(self) -> None:
        while await self._database.write_piece(self._index.clean_some):
            pass
