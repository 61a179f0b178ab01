"""Rows of old tables move into new ones, a bounded piece in a transaction.

A piece that was committed has left the old table: where a process is killed, the next one goes on from there.
The new tables take the pages that the old ones give back, so the file hardly grows.
"""

import logging
import time
from collections.abc import Callable

import msgspec

from nanobot.stores.sqlite.connection import Connection

MOST_ROWS = 2_000
MOST_BYTES = 8 * 1024 * 1024
"""How much a transaction moves: so many rows, or the first that go past so many bytes."""
_SEQ_BITS = 32
REPORT_EVERY_S = 5.0
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)


def move_rows(db: Connection) -> None:
    """Move what is left in the old tables; log the progress where it takes long."""
    moved, reported_at = 0, time.monotonic()
    for move in (_move_turns, _move_messages):
        while count := _in_one_transaction(db, move):
            moved += count
            if time.monotonic() - reported_at >= REPORT_EVERY_S:
                reported_at = time.monotonic()
                _log.warning("bringing the database to its new format: %d rows are done", moved)


def _in_one_transaction(db: Connection, move: Callable[[Connection], int]) -> int:
    with db.transaction():
        return move(db)


def _move_turns(db: Connection) -> int:
    """Move some turns, oldest first; return how many."""
    found = db.execute(
        "SELECT t.n, t.id, t.session, t.status, t.attempt, t.lost, t.made, t.digest, t.dedupe_key,"
        " t.base_tip, t.first_seq,"
        " t.last_seq, t.joined_to, t.created_at, t.started_at, t.ended_at, t.counted, t.outcome, t.wish,"
        " s.key, r.digest, r.echo,"
        " r.detached FROM old_turn t JOIN session s ON s.id = t.session LEFT"
        " JOIN old_response r ON r.turn = t.n"
        " ORDER BY t.n LIMIT ?",
        (MOST_ROWS,),
    )
    count = size_bytes = n = 0
    for n, id_, *row, options, key, digest, echo, is_detached in found:
        body = _body(id_, key, options)
        if digest is not None:
            body = _with_record(body, echo, is_detached)
            db.execute("INSERT INTO response (turn, digest) VALUES (?, ?)", (n, digest))
        db.execute(f"INSERT INTO turn VALUES ({', '.join('?' * (len(row) + 3))})", (n, id_, *row, body))
        count += 1
        size_bytes += len(body)
        if size_bytes > MOST_BYTES:
            break
    found.close()
    db.execute("DELETE FROM old_turn WHERE n <= ?", (n,))
    return count


def _body(turn_id: str, session_key: str, options: bytes) -> bytes:
    """Return the JSON of a `Turn` without input, of which the old row has the other fields."""
    identity = _encode({"id": turn_id, "session_key": session_key, "input": ()})
    return b"%b,%b" % (identity[:-1], options[1:])


def _with_record(body: bytes, echo: bytes | None, is_detached: int) -> bytes:
    record = b'{"echo":%b,"is_detached":%b}' % (echo or b"null", b"true" if is_detached else b"false")
    return b'%b,"record":%b}' % (body[:-1], record)


def _move_messages(db: Connection) -> int:
    """Move some messages, in the order of their sessions; return how many."""
    found = db.execute(
        "SELECT session, seq, turn, is_input, tokens, digest, created_at, body FROM old_message"
        " ORDER BY session, seq LIMIT ?",
        (MOST_ROWS,),
    )
    count = size_bytes = session = seq = 0
    for session, seq, *row in found:
        db.execute(
            "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (session << _SEQ_BITS | seq, session, *row)
        )
        count += 1
        size_bytes += len(row[-1])
        if size_bytes > MOST_BYTES:
            break
    found.close()
    db.execute("DELETE FROM old_message WHERE (session, seq) <= (?, ?)", (session, seq))
    return count
