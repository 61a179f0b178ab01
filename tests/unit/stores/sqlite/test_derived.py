"""What is kept in memory about the rows says what the rows say."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanobot.stores.sqlite import dialect
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.derived import derive
from nanobot.stores.sqlite.migrate import migrate

_INSERT = (
    "INSERT INTO dispatch (session, position, turn, owner, payer, round, rank) VALUES (?, 1, ?, ?, '', 0, ?)"
)


def opened(path: Path) -> Connection:
    db = sqlite3.connect(path, isolation_level=None, factory=Connection)
    migrate(db, path)
    derive(db)
    return db


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nanobot.sqlite3"


@pytest.fixture
def db(path: Path) -> Iterator[Connection]:
    db = opened(path)
    yield db
    db.close()


def put(db: Connection, turn: int, owner: str | None) -> None:
    db.execute(_INSERT, (turn, turn, owner, turn))


def running(db: Connection) -> list[int]:
    """Return how many turns ann and bob run, which must be what the rows say."""
    found = [db.execute(f"SELECT {dialect.running()}", (owner,)).fetchone()[0] for owner in ("ann", "bob")]
    counted = [
        db.execute("SELECT count(*) FROM dispatch WHERE owner = ?", (owner,)).fetchone()[0]
        for owner in ("ann", "bob")
    ]
    assert found == counted
    return counted


def test_turns_are_counted_as_they_start_end_and_change_hands(db: Connection) -> None:
    for turn, owner in enumerate(("ann", "ann", "bob", None), 1):
        put(db, turn, owner)
    assert running(db) == [2, 1]
    db.execute("UPDATE dispatch SET owner = 'bob' WHERE turn IN (1, 4)")
    assert running(db) == [1, 3]
    db.execute("UPDATE dispatch SET owner = NULL WHERE turn = 3")
    assert running(db) == [1, 2]
    db.execute("DELETE FROM dispatch")
    assert running(db) == [0, 0]


def test_what_is_rolled_back_is_not_counted(db: Connection) -> None:
    put(db, 1, "ann")
    with contextlib.suppress(ZeroDivisionError), db.transaction():
        put(db, 2, "ann")
        db.execute("DELETE FROM dispatch WHERE turn = 1")
        db.execute("UPDATE dispatch SET owner = 'bob'")
        assert running(db) == [0, 1]
        raise ZeroDivisionError
    assert running(db) == [1, 0]


def test_what_was_there_before_is_counted(db: Connection, path: Path) -> None:
    put(db, 1, "ann")
    put(db, 2, None)
    again = opened(path)
    assert running(again) == [1, 0]
    again.close()
