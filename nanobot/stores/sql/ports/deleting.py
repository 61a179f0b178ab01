"""Sessions are deleted: seen no more in one transaction, then their rows a piece at a time."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

import msgspec

from nanobot.core.accounts import TurnSettled
from nanobot.core.dispatch import Cancel, Claim
from nanobot.core.errors import SessionNotFound, StoreError
from nanobot.core.event import TurnEnded, TurnError
from nanobot.core.sessions import Deletion
from nanobot.stores.sql import catalogue, delegated, purging, queue, running
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.ports.shared import Shared

_Done = tuple[tuple[catalogue.Deleted, ...], tuple[Claim, ...]]


class Deleting:
    """Deletes sessions with all that belongs to them."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._database = shared.database

    async def delete(self, keys: Callable[[Db], Iterable[str]]) -> tuple[catalogue.Deleted, ...]:
        """Let the sessions that `keys` returns be seen no more, all at once, and end their turns: they are
        few, as the turns of others wait for it. What `keys` raises is raised. `purged` does the rest.

        Raises:
            SessionNotFound: there is neither a session nor an upload of such a key.
        """
        shared = self._shared
        hidden: list[int] = []

        def job(db: Db) -> _Done:
            now = shared.clock.now()
            deleted = tuple(
                self._delete(db, each, now) for key in keys(db) for each in (*delegated.keys_of(db, key), key)
            )
            hidden[:] = [each.session for each in deleted if each.session is not None]
            return deleted, queue.start_next(db, shared.commands.capacity, now)

        try:
            deleted, _ = await self._database.write(job, self._tell)
        except asyncio.CancelledError:
            # They may be hidden all the same: their rows go in the upkeep, and nobody waits for the sum.
            with contextlib.suppress(StoreError):
                await self._database.write_piece(lambda db: [purging.take_sum(db, each) for each in hidden])
            raise
        return deleted

    def _delete(self, db: Db, key: str, now: float) -> catalogue.Deleted:
        spent = running.charge_live(db, key, self._shared.prices, now)
        deleted = catalogue.delete(db, key=key)
        if deleted.session is not None:
            purging.expect(db, deleted.session)
        return msgspec.structs.replace(deleted, spent=spent)

    def _tell(self, done: _Done) -> None:
        deleted, claims = done
        shared = self._shared
        error = TurnError(
            SessionNotFound.code, "the session of this turn was deleted", SessionNotFound.http_status
        )
        for each in deleted:
            for turn_id in each.live:
                shared.observer.turn_withdrawn(turn_id)
                shared.commands.cancel(Cancel(turn_id, "its session was deleted"))
                shared.news.tell(TurnSettled(shared.ids_of(turn_id), each.spent.get(turn_id)))
                shared.live.put(turn_id, (TurnEnded("cancelled", error=error),))
            shared.live.end_session(each.key)
        shared.commands.hand_out(claims)

    async def purged(self, deleted: Iterable[catalogue.Deleted]) -> Deletion:
        """Delete what is left of the sessions; return what has gone with them in all."""
        deleted = tuple(deleted)
        try:
            return await self._purged(deleted)
        except BaseException:
            await self._leave_rows(deleted)
            raise

    async def leave(self, deleted: Iterable[catalogue.Deleted]) -> None:
        """Delete what is left of the sessions but for their rows, which go in the upkeep."""
        deleted = tuple(deleted)
        await self._leave_rows(deleted)
        await self._delete_contents(deleted)

    async def _leave_rows(self, deleted: tuple[catalogue.Deleted, ...]) -> None:
        """Leave the rows to the upkeep: nobody waits for the sum."""
        sessions = [each.session for each in deleted if each.session is not None]
        with contextlib.suppress(StoreError):
            await self._database.write_piece(lambda db: [purging.take_sum(db, each) for each in sessions])

    async def _delete_contents(self, deleted: tuple[catalogue.Deleted, ...]) -> None:
        await asyncio.to_thread(self._shared.blobs.delete, [id_ for each in deleted for id_ in each.files])
        gone = [each.identity for each in deleted if each.identity is not None]
        await asyncio.to_thread(self._shared.workspaces.delete, gone)

    async def _purged(self, deleted: tuple[catalogue.Deleted, ...]) -> Deletion:
        await self._delete_contents(deleted)
        total = purging.Purged()
        for each in deleted:
            if each.session is not None:
                total = total.plus(await self.purge(each.session))
        return Deletion(
            total.messages,
            total.turns,
            sum(each.removed.files for each in deleted),
            total.bytes_ + sum(each.removed.bytes_ for each in deleted),
            sum(each.removed.facts for each in deleted),
        )

    async def purge(self, session: int) -> purging.Purged:
        """Delete the rows of a hidden session; others write between the pieces. Return what has gone since
        `delete`, also by the writer's spare work.
        """

        def some(db: Db) -> purging.Purged | None:
            is_there = purging.purge_some(db, self._shared.index, session)
            return None if is_there else purging.take_sum(db, session)

        while (total := await self._database.write_piece(some)) is None:
            pass
        return total
