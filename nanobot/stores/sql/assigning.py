"""Whom the rows of sessions and uploads speak of, by the rules of session keys, a piece in a transaction.

Where a process is killed, the next one goes on behind the last piece that was committed.
"""

from nanobot.stores.sql import hidden
from nanobot.stores.sql.db import Db

_MOST_ROWS = 2_000


def assign_all(db: Db) -> None:
    """Bring the rows to the rules of the connection, where they are by others. Opens its own transactions:
    call it before anyone is served.
    """
    if db.execute("SELECT fingerprint, is_done FROM scope_rules").fetchone() == (db.scopes.fingerprint, 1):
        return
    while True:
        with db.transaction():
            if not _assign_some(db):
                return


def _assign_some(db: Db) -> bool:
    """Look through some rows; return whether there may be more."""
    (fingerprint, sessions, files, _) = db.execute("SELECT * FROM scope_rules").fetchone()
    if fingerprint != db.scopes.fingerprint:
        sessions = files = 0
    sessions, has_more = _assign_sessions(db, sessions)
    if not has_more:
        files, has_more = _assign_files(db, files)
    db.execute(
        "UPDATE scope_rules SET fingerprint = ?, sessions = ?, files = ?, is_done = ?",
        (db.scopes.fingerprint, sessions, files, not has_more),
    )
    return has_more


def _assign_sessions(db: Db, after: int) -> tuple[int, bool]:
    rows = db.execute(
        "SELECT id, key, person, group_name FROM session WHERE id > ? ORDER BY id LIMIT ?",
        (after, _MOST_ROWS),
    ).fetchall()
    for number, key, person, group in rows:
        found = hidden.owners(db, key)
        if found != (person, group):
            db.execute("UPDATE session SET person = ?, group_name = ? WHERE id = ?", (*found, number))
    return (rows[-1][0] if rows else after), len(rows) == _MOST_ROWS


def _assign_files(db: Db, after: int) -> tuple[int, bool]:
    rows = db.execute(
        "SELECT n, session_key, person FROM file WHERE n > ? ORDER BY n LIMIT ?", (after, _MOST_ROWS)
    ).fetchall()
    for number, key, person in rows:
        found = db.scopes.of(key).person
        if found != person:
            db.execute("UPDATE file SET person = ? WHERE n = ?", (found, number))
    return (rows[-1][0] if rows else after), len(rows) == _MOST_ROWS
