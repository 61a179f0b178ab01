"""The embedded store: one SQLite database in a data directory."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

from nanobot.core.accounts import PriceList
from nanobot.core.clock import Clock
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.core.scopes import DEFAULT_RULES, ScopeRules
from nanobot.core.store import Limits
from nanobot.core.vectors import Vectors
from nanobot.stores.blobs import BlobFolder
from nanobot.stores.sql import assigning, running, turns, uploads
from nanobot.stores.sql.ports.store import SqlStore
from nanobot.stores.sqlite import index
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.database import ThreadedDatabase
from nanobot.stores.sqlite.opening import (
    DATABASE,
    DirectoryLock,
    Synchronous,
    explain,
    make_directory,
    open_reader,
    open_writer,
)
from nanobot.stores.workspaces.folder import WorkspaceFolder

OWNER = "local"
"""Who runs the turns of a data directory: the one process that has its lock, whichever that is."""


async def open_store(
    directory: Path,
    clock: Clock,
    limits: Limits | None = None,
    synchronous: Synchronous = "full",
    observer: Observer = NULL_OBSERVER,
    prices: PriceList | None = None,
    scopes: ScopeRules = DEFAULT_RULES,
    vectors: Vectors | None = None,
) -> SqlStore:
    """Open, or make, the store of a data directory; turns that a crash cut off are put back in the queue.

    `scopes`: whom session keys speak of. Where these are other rules than the last time, all sessions are
    looked through first. `vectors`: what tells which texts mean much the same.

    Raises:
        StoreLocked: another server has it.
        StoreCorrupt, StoreTooNew: it was left as it is.
        StoreError: the directory cannot be used.
    """
    limits = limits or Limits()
    prices = prices or PriceList()
    blobs = BlobFolder(directory)
    lock, writer, reader = await asyncio.to_thread(
        _open, directory, blobs, synchronous, limits, clock.now(), prices, scopes
    )
    # Read before another thread has the connection.
    unended = turns.unended(writer)
    return SqlStore(
        ThreadedDatabase(directory, lock, writer, reader, observer),
        index=index,
        blobs=blobs,
        workspaces=WorkspaceFolder(directory),
        owner=OWNER,
        unended=unended,
        clock=clock,
        limits=limits,
        prices=prices,
        observer=observer,
        vectors=vectors,
    )


def _open(
    directory: Path,
    blobs: BlobFolder,
    synchronous: Synchronous,
    limits: Limits,
    now: float,
    prices: PriceList,
    scopes: ScopeRules,
) -> tuple[DirectoryLock, Connection, Connection]:
    make_directory(directory)
    with contextlib.ExitStack() as on_failure:
        lock = DirectoryLock(directory)
        on_failure.callback(lock.release)
        # Nobody is answered before it is open: the disk need not be waited for yet.
        writer = open_writer(directory, "normal")
        on_failure.callback(writer.close)
        writer.scopes = scopes
        _recover(writer, directory / DATABASE, limits, now, prices)
        writer.execute(f"PRAGMA synchronous = {synchronous}")
        blobs.sweep(uploads.all_ids(writer))
        reader = open_reader(directory)
        reader.scopes = scopes
        on_failure.pop_all()
        return lock, writer, reader


def _recover(db: Connection, path: Path, limits: Limits, now: float, prices: PriceList) -> None:
    try:
        assigning.assign_all(db)
        with db.transaction():
            running.recover(db, OWNER, limits.max_attempts, now, prices)
    except sqlite3.Error as error:
        raise explain(error, path) from error
