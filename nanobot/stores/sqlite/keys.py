"""API keys of a data directory, read and written by commands, also beside a running server."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from nanobot.core.accounts import ApiKey
from nanobot.core.errors import StoreError, StoreLocked, StoreTooNew
from nanobot.stores.sql.keys import all_keys
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.derived import derive
from nanobot.stores.sqlite.migrate import migrations
from nanobot.stores.sqlite.opening import (
    DATABASE,
    DirectoryLock,
    explain,
    make_directory,
    open_reader,
    open_writer,
    refuse_file,
)

_BUSY_S = 10.0


def stored_keys(directory: Path) -> tuple[ApiKey, ...]:
    """Return all keys of a data directory, also beside a server; none where there is no database yet.

    Raises:
        StoreError: it cannot be read.
    """
    if not (directory / DATABASE).exists():
        refuse_file(directory)
        return ()
    with contextlib.closing(open_reader(directory)) as db:
        if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'api_key'").fetchone():
            return ()
        return all_keys(db)


@contextlib.contextmanager
def writing(directory: Path) -> Iterator[Connection]:
    """Yield a connection in a transaction that is committed at the end: as the only one, or beside a running
    server.

    Raises:
        StoreError: the database cannot be written, or the server that runs is of an older version.
    """
    with changing(directory) as (db, _), db.transaction():
        yield db


@contextlib.contextmanager
def changing(directory: Path) -> Iterator[tuple[Connection, bool]]:
    """Yield a connection for transactions, and whether it is the only one, or beside a running server.

    Raises:
        StoreError: as `writing`.
    """
    make_directory(directory)
    lock: DirectoryLock | None = None
    try:
        lock = DirectoryLock(directory)
        db = open_writer(directory, "full")
    except StoreLocked:
        db = _open_beside_a_server(directory)
    except StoreError:
        if lock is not None:
            lock.release()
        raise
    try:
        yield db, lock is not None
    except sqlite3.Error as error:
        raise explain(error, directory / DATABASE) from error
    finally:
        db.close()
        if lock is not None:
            lock.release()


def _open_beside_a_server(directory: Path) -> Connection:
    path = directory / DATABASE
    newest = migrations()[-1][0]
    try:
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=_BUSY_S,
            factory=Connection,
        )
    except sqlite3.Error as error:
        raise explain(error, path) from error
    try:
        db.execute("PRAGMA synchronous = full")
        (found,) = db.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        db.close()
        raise explain(error, path) from error
    if found == newest:
        derive(db)
        return db
    db.close()
    if found > newest:
        raise StoreTooNew(f"{path} has format {found}, this nanobot knows up to {newest}: upgrade nanobot")
    raise StoreError(
        f"the server that runs on {directory} is an older nanobot: restart it with this version first"
    )
