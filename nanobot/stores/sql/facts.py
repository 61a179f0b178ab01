"""Facts: written, superseded, forgotten, and taken back when their session is rewound."""

from collections.abc import Iterable

import msgspec

from nanobot.core.memory import Fact, Reach
from nanobot.stores.sql import transcript
from nanobot.stores.sql.db import Db

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Fact).decode


def add(db: Db, fact: Fact) -> int:
    """Keep a new fact; return its number."""
    session, turn = _place(db, fact.source.turn_id)
    row = db.execute(
        "INSERT INTO fact (id, layer, owner, person, session, turn, is_public, is_pinned, created_at, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING n",
        (
            fact.id,
            fact.layer,
            fact.owner,
            fact.source.person,
            session,
            turn,
            fact.is_public,
            fact.is_pinned,
            fact.valid_from,
            _encode(fact),
        ),
    ).fetchone()
    return int(row[0])


def end(
    db: Db, fact_id: str, reach: Iterable[Reach], *, now: float, turn_id: str | None, by: int | None = None
) -> bool:
    """Let the fact be so no more; return whether it stood, within reach."""
    for one in reach:
        found = db.execute(
            "SELECT n FROM fact WHERE id = ? AND layer = ? AND owner = ? AND stands AND (is_public OR NOT ?)",
            (fact_id, one.layer, one.owner, one.only_public),
        ).fetchone()
        if found is not None:
            session, turn = _place(db, turn_id)
            db.execute(
                "INSERT INTO fact_end (fact, by_fact, session, turn, ended_at) VALUES (?, ?, ?, ?, ?)",
                (found[0], by, session, turn, now),
            )
            _settle(db, found[0])
            return True
    return False


def standing(db: Db, reach: Iterable[Reach], limit: int) -> tuple[Fact, ...]:
    """Return the facts within reach: of each owner the pinned ones, then the newest, at most `limit`."""
    facts: list[Fact] = []
    for one in reach:
        rows = db.execute(
            "SELECT body FROM fact WHERE layer = ? AND owner = ? AND stands = 1 AND (is_public OR NOT ?)"
            " ORDER BY is_pinned DESC, created_at DESC LIMIT ?",
            (one.layer, one.owner, one.only_public, limit),
        )
        facts += [_decode(body) for (body,) in rows]
    return tuple(facts)


def follow_tip(db: Db, session: int, tip: int) -> None:
    """After the tip was moved: undo what turns wrote that are not whole on the live line, redo what is."""
    line = list(transcript.stretches(db, session, tip))
    changed: set[int] = set()
    for table, fact in (("fact", "n"), ("fact_end", "fact")):
        rows = db.execute(
            f"SELECT c.n, c.{fact}, c.is_undone, coalesce(t.last_seq, t.first_seq)"
            f" FROM {table} c JOIN turn t ON t.n = c.turn WHERE c.session = ?",
            (session,),
        ).fetchall()
        for n, fact_n, was_undone, seq in rows:
            is_undone = not any(first <= seq <= last for first, last in line)
            if is_undone != bool(was_undone):
                db.execute(f"UPDATE {table} SET is_undone = ? WHERE n = ?", (is_undone, n))
                changed.add(fact_n)
    for fact_n in changed:
        _settle(db, fact_n)


def forget_session(db: Db, session: int, key: str) -> None:
    """Before a session is deleted: its own facts go with it, and so does what its rewinds took back. The
    facts of persons and groups stay; numbers of sessions and turns are given out anew, so they lose theirs.
    """
    db.execute("UPDATE fact SET stands = 0, is_undone = 1 WHERE layer = 'session' AND owner = ?", (key,))
    gone = "SELECT n FROM fact WHERE is_undone AND (session = ? OR (layer = 'session' AND owner = ?))"
    db.execute(f"DELETE FROM fact_end WHERE fact IN ({gone})", (session, key))
    db.execute("DELETE FROM fact_end WHERE session = ? AND is_undone", (session,))
    db.execute(f"DELETE FROM fact WHERE n IN ({gone})", (session, key))
    for table in ("fact", "fact_end"):
        db.execute(f"UPDATE {table} SET session = NULL, turn = NULL WHERE session = ?", (session,))


def _place(db: Db, turn_id: str | None) -> tuple[int | None, int | None]:
    if turn_id is None:
        return None, None
    session, turn = db.execute("SELECT session, n FROM turn WHERE id = ?", (turn_id,)).fetchone()
    return session, turn


def _settle(db: Db, fact: int) -> None:
    db.execute(
        "UPDATE fact SET stands = NOT is_undone AND NOT EXISTS"
        " (SELECT 1 FROM fact_end e WHERE e.fact = fact.n AND NOT e.is_undone) WHERE n = ?",
        (fact,),
    )
