"""A data directory without its server: what is read of a database of another format."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from nanobot.core.errors import StoreError, StoreTooNew
from nanobot.stores.sqlite.offline import SqliteOffline
from nanobot.stores.sqlite.opening import DATABASE
from nanobot.stores.sqlite.store import open_store
from nanobot.testing import FakeClock


async def with_format(data: Path, number: int) -> SqliteOffline:
    """Return a data directory whose database says that it has that format."""
    await (await open_store(data, FakeClock())).close()
    with contextlib.closing(sqlite3.connect(data / DATABASE)) as db:
        db.execute(f"PRAGMA user_version = {number}")
    return SqliteOffline(data)


async def test_a_database_of_an_older_format_is_not_read_and_the_way_out_is_said(tmp_path: Path) -> None:
    offline = await with_format(tmp_path, 5)
    with pytest.raises(StoreError, match=r"has format 5.*start the server once"), offline.open_readonly():
        pass


async def test_a_database_of_a_newer_format_is_not_read(tmp_path: Path) -> None:
    offline = await with_format(tmp_path, 999)
    with pytest.raises(StoreTooNew, match=r"999.*upgrade nanobot"), offline.open_readonly():
        pass
