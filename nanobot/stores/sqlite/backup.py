"""A consistent copy of the whole database."""

import os
import sqlite3
from pathlib import Path

from nanobot.core.errors import StoreError

Db = sqlite3.Connection


def backup(db: Db, path: Path) -> None:
    """Copy the database to `path`, consistent as of one moment, while others write.

    Raises:
        StoreError: the file exists, or cannot be written.
    """
    if path.exists():
        raise StoreError(f"{path} exists already: name a new file, nothing was written")
    partial = path.with_name(path.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        copy = sqlite3.connect(partial)
        try:
            db.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
        finally:
            copy.close()
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.rename(path)
    except (OSError, sqlite3.Error) as error:
        partial.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path} ({error}): nothing was kept of it") from error
