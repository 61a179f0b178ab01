"""Old rows move in pieces of a bounded size, and say so where it takes long."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanobot.core.message import Message, Text
from nanobot.core.turn import Turn
from nanobot.stores.sql import transcript, turns
from nanobot.stores.sqlite import migrate, moving
from nanobot.stores.sqlite.connection import Connection

BODY = turns.encode(Message("user", (Text("hello"),)))


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A database of format 6, whose rows are still in the old tables."""
    db = sqlite3.connect(":memory:", isolation_level=None, factory=Connection)
    known = migrate.migrations()
    monkeypatch.setattr(migrate, "migrations", lambda: known[:6])
    migrate.migrate(db, Path(":memory:"))
    monkeypatch.undo()
    with contextlib.closing(db):
        yield db


def fill(db: Connection, messages: int, body: bytes = BODY) -> None:
    db.execute("INSERT INTO session (id, key, created_at, updated_at) VALUES (1, 'a', 0, 0), (2, 'b', 0, 0)")
    for number in range(messages):
        db.execute(
            "INSERT INTO old_message (session, seq, turn, is_input, body, tokens, digest, created_at)"
            " VALUES (?, ?, 1, 1, ?, ?, NULL, 7.0)",
            (1 + number % 2, 1 + number // 2, body, number),
        )
    db.execute(
        "INSERT INTO old_turn (n, id, session, status, wish, digest, created_at)"
        " VALUES (1, 'turn_1', 1, 'done', ?, x'00', 7.0)",
        (b'{"origin":"api","model":"small"}',),
    )
    db.execute(
        "INSERT INTO old_response (turn, echo, detached, digest) VALUES (1, ?, 1, x'00')", (b'{"x":1}',)
    )


def transactions(db: Connection, statement: str = "COMMIT") -> list[str]:
    """Return a list to which the statement is added whenever it is run."""
    seen: list[str] = []
    db.set_trace_callback(lambda sql: seen.append(sql) if sql == statement else None)
    return seen


def left(db: Connection) -> int:
    (count,) = db.execute(
        "SELECT (SELECT count(*) FROM old_message) + (SELECT count(*) FROM old_turn)"
    ).fetchone()
    return int(count)


def test_every_row_is_moved_as_it_was(old: Connection) -> None:
    fill(old, 10)
    moving.move_rows(old)
    assert left(old) == 0
    found = old.execute(
        "SELECT id, session, turn, is_input, tokens, created_at, body FROM message ORDER BY id"
    ).fetchall()
    assert found == [
        (transcript.message_id(session, seq), session, 1, 1, 2 * (seq - 1) + session - 1, 7.0, BODY)
        for session in (1, 2)
        for seq in range(1, 6)
    ]
    (body,) = old.execute("SELECT body FROM turn").fetchone()
    turn = turns.decode(body)
    assert isinstance(turn, Turn)
    assert (turn.id, turn.session_key, turn.input, turn.origin, turn.model) == (
        "turn_1",
        "a",
        (),
        "api",
        "small",
    )
    assert turn.record is not None
    assert (bytes(turn.record.echo), turn.record.is_detached) == (b'{"x":1}', True)


def test_a_transaction_moves_a_bounded_number_of_rows(
    old: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "MOST_ROWS", 3)
    fill(old, 10)
    committed = transactions(old)
    moving.move_rows(old)
    # Of turns one and an empty one, of messages four and an empty one.
    assert len(committed) == 7


def test_a_transaction_moves_a_bounded_number_of_bytes(
    old: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "MOST_BYTES", 2 * len(BODY))
    fill(old, 10)
    committed = transactions(old)
    moving.move_rows(old)
    assert len(committed) == 7


def test_what_was_moved_before_it_broke_off_is_not_moved_again(
    old: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "MOST_ROWS", 3)
    fill(old, 10)
    begun = transactions(old, "BEGIN IMMEDIATE")
    # The first takes the turn, the second finds no more, the third takes messages.
    old.set_progress_handler(lambda: len(begun) == 4, 1)
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        moving.move_rows(old)
    old.set_progress_handler(None, 1)
    if old.in_transaction:
        old.execute("ROLLBACK")
    assert left(old) == 7
    moving.move_rows(old)
    assert old.execute("SELECT count(*) FROM message").fetchone() == (10,)


def test_a_long_move_says_how_far_it_is(
    old: Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(moving, "REPORT_EVERY_S", 0.0)
    fill(old, 10)
    moving.move_rows(old)
    assert [record.getMessage() for record in caplog.records] == [
        "bringing the database to its new format: 1 rows are done",
        "bringing the database to its new format: 11 rows are done",
    ]
