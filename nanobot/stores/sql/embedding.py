"""What has vectors and what has none yet; see `core.vectors`."""

from collections.abc import Iterator, Sequence

import msgspec

from nanobot.core.message import Message
from nanobot.core.vectors import (
    ANSWER,
    QUESTION,
    STATEMENT,
    Unembedded,
    UnembeddedBatch,
    pieces_of,
)
from nanobot.stores.sql import facts, hidden, recall, transcript
from nanobot.stores.sql.db import Db

_MOST_MESSAGES = 16
_MOST_FACTS = 16
_MOST_DELETED = 1_000
_SESSIONS_A_LOOK = 2_000
_PERIODS = 2
"""Sessions that were used in the last so many periods are looked at each time."""
_FACTS_A_LOOK = 500


class Looked(msgspec.Struct):
    """How far the sessions and the facts have been looked through, in the order of their numbers."""

    session: int = 0
    fact: int = 0


def begin(db: Db, version: str) -> bool:
    """Delete some vectors of another version; return whether there is more to do."""
    known, _ = db.execute("SELECT version, deletions FROM vector_state").fetchone()
    if known == version:
        return False
    for table, column in (("vector", "id"), ("fact_vector", "n"), ("embedding", "session")):
        gone = db.execute(
            f"DELETE FROM {table} WHERE {column} IN (SELECT {column} FROM {table} LIMIT ?)", (_MOST_DELETED,)
        ).rowcount
        if gone:
            return True
    db.execute("UPDATE vector_state SET version = ?", (version,))
    return False


def next_batch(db: Db, looked: Looked, now: float) -> UnembeddedBatch | None:
    """Return some of what has no vectors yet, of what was said lately or is next to be looked at."""
    for session, after_seq, last_seq in _waiting(db, looked, now):
        return _messages(db, session, after_seq, last_seq)
    items = tuple(_facts(db, looked))
    return UnembeddedBatch(None, 0, items) if items else None


def _waiting(db: Db, looked: Looked, now: float) -> Iterator[tuple[int, int, int]]:
    # What is not in the index yet may still be on its way in.
    columns = (
        "SELECT s.id, coalesce(e.last_seq, 0), s.indexed_seq FROM session s"
        " LEFT JOIN embedding e ON e.session = s.id"
        f" WHERE {hidden.shown('s.key')} AND s.indexed_seq > coalesce(e.last_seq, 0) AND"
    )
    yield from db.execute(
        f"{columns} s.period > ? LIMIT 1", (transcript.period_of(now) - _PERIODS,)
    ).fetchall()
    first, last = looked.session, looked.session + _SESSIONS_A_LOOK
    yield from db.execute(f"{columns} s.id > ? AND s.id <= ? LIMIT 1", (first, last)).fetchall()
    (most,) = db.execute("SELECT coalesce(max(id), 0) FROM session").fetchone()
    looked.session = last if last < most else 0


def _messages(db: Db, session: int, after_seq: int, last_seq: int) -> UnembeddedBatch:
    rows = db.execute(
        "SELECT id, body, created_at FROM message WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
        (*transcript.message_ids(session, after_seq + 1, last_seq), _MOST_MESSAGES),
    ).fetchall()
    items = []
    for id_, body, created_at in rows:
        message = transcript.decode(body)
        if pieces := _pieces(message):
            items.append(Unembedded(id_, pieces, created_at, kind_of(message)))
    last = transcript.seq_of(rows[-1][0]) if len(rows) == _MOST_MESSAGES else last_seq
    return UnembeddedBatch(session, last, tuple(items))


def _pieces(message: Message) -> tuple[str, ...]:
    if message.role == "tool":
        return ()
    said = recall.said_in(message)
    return pieces_of(said) if recall.says_enough(said) else ()


def kind_of(message: Message) -> int:
    """Return the kind of the message: a statement, a question or an answer."""
    if message.role != "user":
        return ANSWER
    return QUESTION if recall.said_in(message).endswith(recall.QUESTION_ENDS) else STATEMENT


def _facts(db: Db, looked: Looked) -> Iterator[Unembedded]:
    """Yield some of the newest facts without vectors, and of those that are next to be looked at."""
    (most,) = db.execute("SELECT coalesce(max(n), 0) FROM fact").fetchone()
    found: dict[int, Unembedded] = {}
    for first in (most - _FACTS_A_LOOK, looked.fact):
        rows = db.execute(
            "SELECT f.n, f.body, f.created_at FROM fact f LEFT JOIN fact_vector v ON v.n = f.n"
            " WHERE f.n > ? AND f.n <= ? AND f.stands = 1 AND v.n IS NULL ORDER BY f.n DESC LIMIT ?",
            (first, first + _FACTS_A_LOOK, _MOST_FACTS),
        ).fetchall()
        for n, body, created_at in rows:
            fact = facts.decode(body)
            said = f"{fact.subject} {fact.text}" if fact.subject else fact.text
            found[n] = Unembedded(n, pieces_of(said)[:1], created_at)
        if rows:
            break
    else:
        last = looked.fact + _FACTS_A_LOOK
        looked.fact = last if last < most else 0
    yield from found.values()


def add(db: Db, of: UnembeddedBatch, bodies: Sequence[bytes]) -> None:
    """Keep the vectors of what is still there."""
    for item, body in zip(of.items, bodies, strict=True):
        if not body and of.session is not None:
            continue
        if of.session is None:
            # Also an empty one: it is not tried again.
            db.execute(
                "INSERT OR REPLACE INTO fact_vector SELECT n, ? FROM fact WHERE n = ? AND created_at = ?",
                (body, item.number, item.created_at),
            )
        else:
            db.execute(
                "INSERT OR REPLACE INTO vector SELECT id, ?, ? FROM message WHERE id = ? AND created_at = ?",
                (item.kind, body, item.number, item.created_at),
            )
    if of.session is not None:
        db.execute(
            "INSERT OR REPLACE INTO embedding SELECT id, ? FROM session WHERE id = ?",
            (of.last_seq, of.session),
        )
