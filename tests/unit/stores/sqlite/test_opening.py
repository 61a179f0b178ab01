"""While a store is opened the disk is not waited for; from then on it is, as the settings say."""

from pathlib import Path
from typing import Literal

import pytest

from nanobot.core.clock import SystemClock
from nanobot.stores.sql.ports.store import SqlStore
from nanobot.stores.sqlite.database import ThreadedDatabase
from nanobot.stores.sqlite.opening import open_writer
from nanobot.stores.sqlite.store import open_store

NORMAL, FULL = 1, 2


@pytest.mark.parametrize(("setting", "level"), [("full", FULL), ("normal", NORMAL)])
async def test_an_open_store_flushes_its_commits_as_the_settings_say(
    tmp_path: Path, setting: Literal["full", "normal"], level: int
) -> None:
    for _ in ("made", "opened again"):
        store = await open_store(tmp_path, SystemClock(), synchronous=setting)
        assert isinstance(store, SqlStore) and isinstance(store.database, ThreadedDatabase)
        assert store.database.connections[0].execute("PRAGMA synchronous").fetchone() == (level,)
        await store.close()


def test_a_connection_that_writes_beside_a_server_flushes_its_commits(tmp_path: Path) -> None:
    db = open_writer(tmp_path, "full")
    assert db.execute("PRAGMA synchronous").fetchone() == (FULL,)
    db.close()
