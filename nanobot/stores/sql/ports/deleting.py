"""Sessions are deleted: seen no more in one transaction, then their rows a piece at a time."""

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from nanobot.core.accounts import TurnSettled
from nanobot.core.dispatch import Cancel, Claim
from nanobot.core.errors import SessionNotFound
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

    async def delete(
        self, keys: Callable[[Db], Iterable[str]], then: Callable[[Db], None] = lambda _: None
    ) -> tuple[catalogue.Deleted, ...]:
        """Let the sessions that `keys` returns be seen no more, all at once, and end their turns; `then` is
        committed with it, and what either raises is raised. `purged` does the rest.

        Raises:
            SessionNotFound: there is neither a session nor an upload of such a key.
        """
        shared = self._shared

        def job(db: Db) -> _Done:
            now = shared.clock.now()
            deleted = tuple(
                self._delete(db, each, now) for key in keys(db) for each in (*delegated.keys_of(db, key), key)
            )
            then(db)
            return deleted, queue.start_next(db, shared.commands.capacity, now)

        deleted, _ = await self._database.write(job, self._tell)
        return deleted

    def _delete(self, db: Db, key: str, now: float) -> catalogue.Deleted:
        spent = running.charge_live(db, key, self._shared.prices, now)
        return msgspec.structs.replace(catalogue.delete(db, key=key), spent=spent)

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
        total = purging.Purged()
        # Before the files, which may take long: the writer's spare work would take the rows uncounted.
        for each in deleted:
            if each.session is not None:
                total = total.plus(await self.purge(each.session))
        await asyncio.to_thread(self._shared.blobs.delete, [id_ for each in deleted for id_ in each.files])
        gone = [each.identity for each in deleted if each.identity is not None]
        await asyncio.to_thread(self._shared.workspaces.delete, gone)
        return Deletion(
            total.messages,
            total.turns,
            sum(each.removed.files for each in deleted),
            total.bytes_ + sum(each.removed.bytes_ for each in deleted),
        )

    async def purge(self, session: int) -> purging.Purged:
        """Delete the rows of a hidden session; others write between the pieces."""

        def some(db: Db) -> purging.Purged | None:
            return purging.purge_some(db, self._shared.index, session)

        total = purging.Purged()
        while (gone := await self._database.write(some)) is not None:
            total = total.plus(gone)
        return total
