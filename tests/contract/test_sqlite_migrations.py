"""Migrations run once each, in order, and one that breaks off leaves the version before it."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from nanobot.core.errors import StoreError
from nanobot.stores.sqlite import migrate
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.opening import DATABASE
from nanobot.stores.sqlite.store import open_store
from tests.contract.sqlite_data import CLOCK, fill


def version(data: Path) -> tuple[int, list[str]]:
    db = sqlite3.connect(data / DATABASE)
    (number,) = db.execute("PRAGMA user_version").fetchone()
    tables = [
        name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    ]
    db.close()
    return number, tables


async def test_a_migration_that_breaks_off_leaves_the_version_before_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(data)
    number, tables = version(data)
    known = migrate.migrations()
    broken = [
        *known,
        (
            number + 1,
            "CREATE TABLE later (x);\nINSERT INTO later VALUES (1);\nINSERT INTO no_such_table VALUES (1);",
        ),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "migrations", lambda: broken)
        with pytest.raises(StoreError):
            await open_store(data, CLOCK)
    assert version(data) == (number, tables)
    store = await open_store(data, CLOCK)
    assert len(await store.messages("key 0", limit=10)) == 2
    await store.close()


async def test_migrations_before_one_that_breaks_off_hold(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(data)
    number, tables = version(data)
    steps = [
        *migrate.migrations(),
        (number + 1, "CREATE TABLE later (x);"),
        (number + 2, "DROP TABLE no_such_table;"),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "migrations", lambda: steps)
        with pytest.raises(StoreError):
            await open_store(data, CLOCK)
    assert version(data) == (number + 1, sorted([*tables, "later"]))


async def test_an_sqlite_without_full_text_search_is_told_with_the_way_out(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = [(1, "CREATE VIRTUAL TABLE search USING fts5_that_is_not_there (text);")]
    monkeypatch.setattr(migrate, "migrations", lambda: lacking)
    with pytest.raises(StoreError, match=r"has no FTS5.*another Python"):
        await open_store(data, CLOCK)


async def test_a_migration_runs_once_and_keeps_what_is_there(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(data)
    number, _ = version(data)
    steps = [*migrate.migrations(), (number + 1, "CREATE TABLE later (x); INSERT INTO later VALUES (1);")]
    monkeypatch.setattr(migrate, "migrations", lambda: steps)
    for _ in range(2):
        store = await open_store(data, CLOCK)
        assert len(await store.sessions(limit=10)) == 3
        await store.close()
    db = sqlite3.connect(data / DATABASE)
    assert db.execute("SELECT count(*) FROM later").fetchone() == (1,)
    db.close()


def rows_of(db: sqlite3.Connection) -> list[object]:
    """Return the shape of a database, and what its tables begin with."""
    schema = db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").fetchall()
    tables = [name for kind, name, sql in schema if kind == "table" and "fts5" not in sql]
    return [schema, *(db.execute(f"SELECT * FROM [{name}]").fetchall() for name in tables)]


def test_a_new_database_has_at_once_what_the_migrations_lead_to_one_after_the_other() -> None:
    known = migrate.migrations()
    with (
        contextlib.closing(sqlite3.connect(":memory:", isolation_level=None, factory=Connection)) as new,
        contextlib.closing(sqlite3.connect(":memory:", isolation_level=None, factory=Connection)) as old,
    ):
        commits: list[str] = []
        new.set_trace_callback(lambda sql: commits.append(sql) if "COMMIT" in sql else None)
        migrate.migrate(new, Path("new"))
        # Each one waits for the disk.
        assert len(commits) == 1
        # One that has something in it is brought on step by step.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(migrate, "migrations", lambda: known[:1])
            migrate.migrate(old, Path("old"))
        migrate.migrate(old, Path("old"))
        assert rows_of(old) == rows_of(new)
        assert old.execute("PRAGMA user_version").fetchone() == (len(known),)


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = [number for number, _ in migrate.migrations()]
    assert numbers == list(range(1, len(numbers) + 1))
