"""What the writer does when nothing else is to be done, a small piece at a time: delete what nobody sees any
more, index what was said, write over what was deleted, sum up what past days cost.
"""

import logging
import sqlite3
from collections.abc import Container
from pathlib import Path

from nanobot.stores.sql import hidden, purging, taking_in, usage
from nanobot.stores.sqlite import index
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.opening import explain

_AGAIN_S = 30.0
_log = logging.getLogger(__name__)


class Upkeep:
    """The writer's spare work on one database. `kept_off`: the numbers of deleted sessions whose rows
    somebody else deletes, as they are at any time.
    """

    def __init__(self, path: Path, kept_off: Container[int] = ()) -> None:
        self._path = path
        self._kept_off = kept_off

    def __call__(self, db: Connection) -> float | None:
        """Do a piece; return the seconds after which to go on, None where nothing is left."""
        try:
            return 0.0 if _piece(db, self._kept_off) else self._truncate(db)
        except sqlite3.Error as error:
            _log.error(
                "what was deleted lately is not cleared away, or what was said not in the search; next try"
                " with what is written next, or in %g s: %s",
                _AGAIN_S,
                explain(error, self._path).message,
            )
            return _AGAIN_S

    def _truncate(self, db: Connection) -> float | None:
        """Empty the log, which still has what was deleted.

        Not while somebody reads what is in it: then later.
        """
        if not _is_left(db, "truncate"):
            return None
        (timeout_ms,) = db.execute("PRAGMA busy_timeout").fetchone()
        db.execute("PRAGMA busy_timeout = 0")
        try:
            (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            db.execute(f"PRAGMA busy_timeout = {timeout_ms}")
        if busy:
            return _AGAIN_S
        db.execute("DELETE FROM chore WHERE name = 'truncate'")
        return None


def _piece(db: Connection, kept_off: Container[int]) -> bool:
    """Do a piece of what changes the database; return whether there was something to do."""
    with db.transaction():
        doomed = hidden.next_to_purge(db, kept_off)
        if doomed is not None:
            purging.purge_some(db, index, doomed)
            return True
        return (
            taking_in.purge_left(db, index)
            or index.index_some(db)
            or index.clean_some(db)
            or index.rebuild_some(db)
            or usage.sum_up_some(db)
        )


def _is_left(db: Connection, name: str) -> bool:
    """Return whether the chore is still to be done."""
    return db.execute("SELECT 1 FROM chore WHERE name = ?", (name,)).fetchone() is not None
