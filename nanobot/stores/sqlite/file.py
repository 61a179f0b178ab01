"""The database as a file: whether it is still the one that was opened, and can be read."""

import sqlite3
from pathlib import Path

from nanobot.core.errors import StoreCorrupt, StoreError
from nanobot.stores.sqlite.opening import DATABASE, explain, open_reader


class DatabaseFile:
    """The file of a database that is in use.

    A server that has it open would not notice that it is gone: it goes on writing to a file without a name.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / DATABASE
        self._identity = _identity(self._path)
        self._size = self._bytes()

    def check(self) -> None:
        """Return where the file is in its place, and what was looked at of it can be read.

        The first and the last row of each table are looked at, not all of it: this is asked every few
        seconds. A connection of its own reads them, for others answer from memory. (The file is never opened
        but through SQLite, whose locks on it would be lost.)

        Raises:
            StoreError: it was deleted or replaced, or cannot be read.
            StoreCorrupt: it is damaged, or shorter than it was.
        """
        if _identity(self._path) != self._identity:
            raise StoreError(
                f"{self._path} was deleted or replaced while the server runs: stop the server, put the file"
                " back, start it again"
            )
        size = self._bytes()
        if size < self._size:
            # The write-ahead log and caches may have all that is looked at.
            raise StoreCorrupt(
                f"{self._path} was shortened from {self._size} to {size} bytes, which nanobot never does:"
                " stop the server, and restore a copy made by `nanobot backup`"
            )
        self._size = size
        db = open_reader(self._directory)
        try:
            for table in _tables(db):
                for order in ("ASC", "DESC"):
                    # The names come from the schema.
                    db.execute(f'SELECT * FROM "{table}" ORDER BY rowid {order} LIMIT 1').fetchone()
        except sqlite3.Error as error:
            raise explain(error, self._path) from error
        finally:
            db.close()

    def _bytes(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0


def _tables(db: sqlite3.Connection) -> list[str]:
    """Return the tables that have row ids and rows of their own."""
    rows = db.execute(
        "SELECT name FROM sqlite_schema"
        " WHERE type = 'table' AND rootpage > 0 AND sql NOT LIKE '%WITHOUT ROWID%'"
    )
    return [name for (name,) in rows]


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells the file from another of its name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
