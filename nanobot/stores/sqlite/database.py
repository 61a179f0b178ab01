"""`stores.sql.db.Database` on SQLite: with threads for a server, or at once for tests."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nanobot.core.errors import NanobotError, StoreError
from nanobot.core.observer import Observer
from nanobot.stores.sql.db import Db, Job
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.file import DatabaseFile
from nanobot.stores.sqlite.opening import DATABASE, DirectoryLock, explain, open_reader
from nanobot.stores.sqlite.reader import Reader
from nanobot.stores.sqlite.upkeep import Upkeep
from nanobot.stores.sqlite.writer import StoreBug, Writer, notify

T = TypeVar("T")


def _commit(db: Db) -> None:
    """Write the header as it is: a commit that the disk has to take, and that changes nothing."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    db.execute(f"PRAGMA user_version = {version}")


class ThreadedDatabase:
    """The database of a data directory: one thread writes, one reads, and once they are needed, one scans and
    one reads what is large.

    `connections` are theirs, that of the writer first.
    """

    def __init__(
        self,
        directory: Path,
        lock: DirectoryLock,
        writer: Connection,
        reader: Connection,
        observer: Observer,
    ) -> None:
        path = directory / DATABASE
        self._directory = directory
        self._file = DatabaseFile(directory)
        self._lock = lock
        self.connections = [writer, reader]
        self._writer = Writer(writer, path, observer, Upkeep(path))
        self._reader = Reader(reader, path)
        self._scanner: Reader | None = None
        self._large_reader: Reader | None = None
        self.write = self._writer.do
        self.write_piece = self._writer.do_piece
        self.room = self._writer.room
        self.read = self._reader.ask

    @property
    def is_shared(self) -> bool:
        return self._writer.is_shared

    async def scan(self, query: Job[T], /) -> T:
        if self._scanner is None:
            self._scanner = self._another()
        return await self._scanner.ask(query)

    async def read_large(self, query: Job[T], /) -> T:
        if self._large_reader is None:
            self._large_reader = self._another()
        return await self._large_reader.ask(query)

    def _another(self) -> Reader:
        db = open_reader(self._directory)
        db.scopes = self.connections[0].scopes
        self.connections.append(db)
        return Reader(db, self._directory / DATABASE, has_time=True)

    async def check(self) -> None:
        # First, as what is committed stands in the write-ahead log, which is read before the file.
        await self.read(lambda _: self._file.check())
        await self.write(_commit)

    async def close(self) -> None:
        await self._writer.close()
        await self._reader.close()
        for reader in (self._scanner, self._large_reader):
            if reader is not None:
                await reader.close()
        # The writer's last: the last one to close moves the write-ahead log into the database, if it may
        # write.
        for db in reversed(self.connections):
            db.close()
        self._lock.release()


class DirectDatabase:
    """A database whose jobs run at once, on the thread that asks, each in a transaction of its own."""

    def __init__(self, db: Connection, path: Path) -> None:
        self._db = db
        self._path = path
        self._is_closed = False

    async def write(self, job: Job[T], then: Callable[[T], None] | None = None, /) -> T:
        result = self._run(job)
        notify(then, result)
        # Other tasks get their turn, as they do while a commit is on its way to the disk.
        await asyncio.sleep(0)
        return result

    async def write_piece(self, job: Job[T], then: Callable[[T], None] | None = None, /) -> T:
        return await self.write(job, then)

    is_shared = False

    async def room(self) -> None:
        pass

    async def read(self, query: Job[T], /) -> T:
        return self._run(query)

    async def scan(self, query: Job[T], /) -> T:
        return self._run(query)

    async def read_large(self, query: Job[T], /) -> T:
        return self._run(query)

    async def check(self) -> None:
        self._run(_commit)

    def _run(self, job: Job[T]) -> T:
        if self._is_closed:
            raise StoreError("the store is closed", public_message="the store is closed")
        try:
            with self._db.transaction():
                return job(self._db)
        except (NanobotError, sqlite3.IntegrityError, sqlite3.ProgrammingError) as error:
            raise error if isinstance(error, NanobotError) else StoreBug.wrap(error) from error
        except sqlite3.Error as error:
            raise explain(error, self._path) from error
        except Exception as error:
            raise StoreBug.wrap(error) from error

    async def close(self) -> None:
        self._is_closed = True
