"""What the writer does when nothing else is to be done, a small piece at a time: delete what nobody sees any
more, index what was said, write over what was deleted, sum up what past days cost.
"""

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from nanobot.stores.sql import hidden, purging, taking_in, usage
from nanobot.stores.sqlite import index
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.opening import explain

_AGAIN_S = 30.0
_FAILED_AGAIN_S = 300.0
_BUGS = (sqlite3.IntegrityError, sqlite3.ProgrammingError)
_log = logging.getLogger(__name__)


class Upkeep:
    """The writer's spare work on one database."""

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._paused_until: dict[str, float] = {}
        self._told_again_at: float | None = None

    def __call__(self, db: Connection) -> float | None:
        """Do a piece; return the seconds after which to go on, None where nothing is left."""
        try:
            if self._piece(db):
                self._told_again_at = None
                return 0.0
            again_s = self._truncate(db)
            self._told_again_at = None
            return _FAILED_AGAIN_S if again_s is None and self._paused_until else again_s
        except sqlite3.Error as error:
            self._tell(error)
            return _AGAIN_S

    def _tell(self, error: sqlite3.Error) -> None:
        """Tell the log why nothing was done; not of each try on a disk that stays full."""
        now = self._monotonic()
        if self._told_again_at is not None and now < self._told_again_at:
            return
        self._told_again_at = now + _FAILED_AGAIN_S
        _log.error(
            "what was deleted lately is not cleared away, or what was said not in the search; next try with"
            " what is written next, or in %g s: %s",
            _AGAIN_S,
            explain(error, self._path).message,
        )

    def _piece(self, db: Connection) -> bool:
        """Do a piece of what changes the database; return whether there was something to do.

        Work that fails over what a row holds, or for a bug, is left for a while: no other waits for it.
        """
        now = self._monotonic()
        for name, work in _WORKS.items():
            if self._paused_until.get(name, now) > now:
                continue
            try:
                with db.transaction():
                    is_done = work(db)
            except Exception as error:
                if isinstance(error, sqlite3.Error) and not isinstance(error, _BUGS):
                    # The disk or the file: it concerns all of it.
                    raise
                _log.exception("%s failed; next try in %g s", name, _FAILED_AGAIN_S)
                self._paused_until[name] = now + _FAILED_AGAIN_S
                continue
            self._paused_until.pop(name, None)
            if is_done:
                return True
        return False

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


def _purge(db: Connection) -> bool:
    doomed = hidden.next_to_purge(db)
    if doomed is None:
        return False
    purging.purge_some(db, index, doomed)
    return True


_WORKS: dict[str, Callable[[Connection], bool]] = {
    "deleting what is left of deleted sessions": _purge,
    "deleting what is left of lists that were given up": lambda db: taking_in.purge_left(db, index),
    "indexing what was said": index.index_some,
    "writing over what was taken out of the index": index.clean_some,
    "building the index anew": index.rebuild_some,
    "summing up past days": usage.sum_up_some,
}


def _is_left(db: Connection, name: str) -> bool:
    """Return whether the chore is still to be done."""
    return db.execute("SELECT 1 FROM chore WHERE name = ?", (name,)).fetchone() is not None
