"""Opening a data directory: one server at a time, on a file system that can lock, never over a file that is
not ours.
"""

import contextlib
import os
import sqlite3
import sys
from pathlib import Path
from typing import IO, Literal

from nanobot.core.errors import StoreCorrupt, StoreError, StoreLocked
from nanobot.stores.sql.recent_messages import MOST_BYTES, RecentMessages
from nanobot.stores.sqlite import index
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.derived import derive
from nanobot.stores.sqlite.migrate import migrate

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

DATABASE = "nanobot.sqlite3"
LOCK = "nanobot.lock"
Synchronous = Literal["full", "normal"]
_BUSY_S = 5.0
"""How long a writer waits for the other one: `nanobot keys` writes beside a server, for a moment."""


class DirectoryLock:
    """The lock of the one server on a data directory; released by `release` or the end of the process."""

    def __init__(self, directory: Path) -> None:
        """Take the lock.

        Raises:
            StoreLocked: another server has it.
            StoreError: the file system cannot lock, or the directory cannot be written.
        """
        path = directory / LOCK
        try:
            self._file = os.fdopen(_open_private(path), "a+", encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"cannot write {path} ({error.strerror}): name another directory with --data"
            ) from error
        try:
            if not _lock(self._file, path):
                self._file.seek(0)
                owner = self._file.readline().strip() or "unknown"
                raise StoreLocked(
                    f"{directory} is in use by another nanobot (process {owner}): stop it, or name another"
                    " directory with --data"
                )
            self._refuse_where_locks_do_not_hold(path)
        except StoreError:
            self._file.close()
            raise
        try:
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n")
            self._file.flush()
        except OSError as error:
            raise StoreError(
                f"cannot write {path} ({error.strerror}): free some space, or name another directory with"
                " --data"
            ) from error

    def _refuse_where_locks_do_not_hold(self, path: Path) -> None:
        """Take the same lock once more: where that works, the file system (a network mount) does not lock."""
        if sys.platform == "win32":
            return
        with path.open("a+") as second:
            if _lock(second, path):
                raise StoreError(
                    f"{path.parent} is on a file system that does not lock files: name a directory on a"
                    " local disk with --data"
                )

    def release(self) -> None:
        # The announcement holds no longer than the lock.
        with contextlib.suppress(OSError):
            self._file.truncate(0)
        self._file.close()


def _open_private(path: Path) -> int:
    """Open a file that only its owner can read, made if it is missing."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    if sys.platform != "win32":
        # An older version made it readable for all. Another owner's is left: nothing secret is written there.
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, 0o600)
    return descriptor


def _lock(file: IO[str], path: Path) -> bool:
    try:
        if sys.platform == "win32":
            # A byte past the text, so that others can still read which process has it.
            file.seek(1 << 20)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        raise StoreError(
            f"{path.parent} is on a file system that cannot lock files ({error.strerror}): name a directory"
            " on a local disk with --data"
        ) from error
    return True


def make_directory(directory: Path) -> None:
    """Make the data directory where it is missing.

    Raises:
        StoreError
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        refuse_file(directory)
        raise StoreError(
            f"cannot make the data directory {directory} ({error.strerror}): name another with --data"
        ) from error


def refuse_file(directory: Path) -> None:
    """Refuse a data directory that is a file, or lies below one.

    Raises:
        StoreError
    """
    try:
        nearest = next((path for path in (directory, *directory.parents) if path.exists()), None)
        is_file = nearest is not None and not nearest.is_dir()
    except OSError:
        # It lies where nobody may look: what is done next says so.
        return
    if is_file:
        raise StoreError(f"{nearest} is a file, and no data directory: name a directory with --data")


def open_writer(directory: Path, synchronous: Synchronous) -> Connection:
    """Return the connection that writes, the database brought to this version's shape. `synchronous`: how it
    commits from then on.

    Raises:
        StoreError, StoreCorrupt, StoreTooNew
    """
    path = directory / DATABASE
    _keep_private(path)
    try:
        db = sqlite3.connect(
            path,
            isolation_level=None,
            timeout=_BUSY_S,
            check_same_thread=False,
            cached_statements=256,
            factory=Connection,
        )
    except sqlite3.Error as error:
        raise StoreError(
            f"cannot open {path} ({error}): check its permissions and those of its directory, "
            "or name another one with --data"
        ) from error
    try:
        # What is written until then comes to the disk in order, and with the first commit after it at the
        # latest: a power cut before that leaves the database as it was at some moment of the opening.
        db.execute("PRAGMA synchronous = NORMAL")
        # Also of rows that a migration moves, nothing may be left behind.
        db.execute("PRAGMA secure_delete = ON")
        migrate(db, path)
        (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreError(
                f"{path} is on a file system without shared memory (a network mount?): name a local"
                " directory with --data"
            )
        db.execute(f"PRAGMA synchronous = {synchronous}")
        db.execute("PRAGMA journal_size_limit = 67108864")
        index.renew(db)
        derive(db)
        db.recent = RecentMessages(MOST_BYTES)
    except sqlite3.Error as error:
        db.close()
        raise explain(error, path) from error
    except StoreError:
        db.close()
        raise
    return db


def _keep_private(path: Path) -> None:
    """Make the database, or what there is of it, a file that only its owner can read.

    SQLite gives its log and its index of the log, which hold the same messages, the mode that the database
    has when it makes them: so it is set before the database is opened.
    """
    # What is wrong with the directory is said by SQLite.
    with contextlib.suppress(OSError):
        path.touch(mode=0o600)
    for kind in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(OSError):
            path.with_name(path.name + kind).chmod(0o600)


def open_reader(directory: Path) -> Connection:
    """Return a connection that only reads; many may be open, in any process.

    Raises:
        StoreError: there is no database, or it cannot be read.
    """
    path = directory / DATABASE
    if not path.exists():
        refuse_file(directory)
        raise StoreError(
            f"no conversations in {directory} yet: there is no {DATABASE} (name the right directory with"
            " --data)"
        )
    try:
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            factory=Connection,
        )
    except sqlite3.Error as error:
        raise explain(error, path) from error
    try:
        db.execute("PRAGMA busy_timeout = 5000")
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        db.close()
        raise explain(error, path) from error
    return db


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """Return the error of the tree that says what SQLite's means for the owner of the file."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreCorrupt(
            f"{path} is damaged ({error}). It was left as it is: restore a copy made by `nanobot backup`, "
            f"or move it away to start afresh (`sqlite3 {path.name} .recover` can save what is readable)"
        )
    if name.startswith("SQLITE_FULL"):
        return StoreError(
            f"the disk that holds {path} is full: free some space; nothing was written",
            public_message="the server's disk is full: nothing was stored; its owner has to free some space",
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")):
        return StoreError(f"{path} cannot be written ({error}): check its permissions")
    if "no such module: fts5" in str(error):
        return StoreError(
            f"the SQLite {sqlite3.sqlite_version} of this Python has no FTS5, which the search in"
            " conversations needs: run nanobot with "
            "another Python (those of python.org, uv and the large distributions have it)"
        )
    return StoreError(f"{path}: {error}")
