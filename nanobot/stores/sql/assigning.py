"""Whom the rows of sessions and uploads speak of, by the rules of session keys, a piece in a transaction.
What is remembered goes with the session that it was last said in.

Where a process is killed, the next one goes on behind the last piece that was committed.
"""

import logging

import msgspec

from nanobot.stores.sql import facts, hidden
from nanobot.stores.sql.db import Db

_MOST_ROWS = 2_000
_Owners = tuple[str | None, str | None]
"""A person and a group."""
_log = logging.getLogger(__name__)


def assign_all(db: Db) -> None:
    """Bring the rows to the rules of the connection, where they are by others. Opens its own transactions:
    call it before anyone is served.
    """
    if db.execute("SELECT fingerprint, is_done FROM scope_rules").fetchone() == (db.scopes.fingerprint, 1):
        return
    moved = _Moved()
    has_more = True
    while has_more:
        with db.transaction():
            has_more = _assign_some(db, moved)
    if moved.sessions:
        _log.warning(
            "the rules of session keys ([[scopes]]) have changed: %d sessions speak of another person or"
            " group than before, and %d facts that were told in them are now theirs; what was written by"
            " hand stays with its name, and whoever has that name now reads it (docs/people.md)",
            moved.sessions,
            moved.facts,
        )


class _Moved(msgspec.Struct):
    """How many sessions speak of others than before, and how many facts went with them."""

    sessions: int = 0
    facts: int = 0


def _assign_some(db: Db, moved: _Moved) -> bool:
    """Look through some rows; return whether there may be more."""
    (fingerprint, sessions, files, _) = db.execute("SELECT * FROM scope_rules").fetchone()
    if fingerprint != db.scopes.fingerprint:
        sessions = files = 0
    sessions, has_more = _assign_sessions(db, sessions, moved)
    if not has_more:
        files, has_more = _assign_files(db, files)
    db.execute(
        "UPDATE scope_rules SET fingerprint = ?, sessions = ?, files = ?, is_done = ?",
        (db.scopes.fingerprint, sessions, files, not has_more),
    )
    return has_more


def _assign_sessions(db: Db, after: int, moved: _Moved) -> tuple[int, bool]:
    rows = db.execute(
        "SELECT id, key, person, group_name FROM session WHERE id > ? ORDER BY id LIMIT ?",
        (after, _MOST_ROWS),
    ).fetchall()
    for number, key, person, group in rows:
        found = hidden.owners(db, key)
        if found != (person, group):
            db.execute("UPDATE session SET person = ?, group_name = ? WHERE id = ?", (*found, number))
            # Rows of before there were people have none.
            if person is not None:
                moved.sessions += 1
                moved.facts += _assign_facts(db, key, (person, group), found)
    return (rows[-1][0] if rows else after), len(rows) == _MOST_ROWS


def _assign_facts(db: Db, key: str, before: _Owners, after: _Owners) -> int:
    """Let what was last said in a session of its person or its group be that of whom it speaks of now; return
    how many facts. Its layer stays: what was told in private is not told to a group.
    """
    moved = 0
    for layer, was, is_ in zip(("person", "group"), before, after, strict=True):
        if was is None or is_ is None or was == is_:
            continue
        last_said = db.execute(
            "SELECT id FROM fact f WHERE source_key = ? AND layer = ? AND owner = ?"
            " AND n = (SELECT max(n) FROM fact WHERE id = f.id)",
            (key, layer, was),
        ).fetchall()
        moved += len(last_said)
        for (id_,) in last_said:
            for n, body in db.execute("SELECT n, body FROM fact WHERE id = ?", (id_,)).fetchall():
                fact = msgspec.structs.replace(facts.decode(body), owner=is_)
                db.execute("UPDATE fact SET owner = ?, body = ? WHERE n = ?", (is_, facts.encode(fact), n))
    if after[0] is not None:
        # Who said it: for exports, and for who is erased.
        db.execute(
            "UPDATE fact SET person = ? WHERE source_key = ? AND person = ?", (after[0], key, before[0] or "")
        )
    return moved


def _assign_files(db: Db, after: int) -> tuple[int, bool]:
    rows = db.execute(
        "SELECT n, session_key, person FROM file WHERE n > ? ORDER BY n LIMIT ?", (after, _MOST_ROWS)
    ).fetchall()
    for number, key, person in rows:
        found = db.scopes.of(key).person
        if found != person:
            db.execute("UPDATE file SET person = ? WHERE n = ?", (found, number))
    return (rows[-1][0] if rows else after), len(rows) == _MOST_ROWS
