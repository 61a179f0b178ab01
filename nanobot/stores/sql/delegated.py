"""Sessions in which turns of other sessions have a part of their work done."""

from collections.abc import Sequence

from nanobot.core.errors import SessionNotFound
from nanobot.core.turn import Delegation, Turn
from nanobot.stores.sql.db import Db

_FIRST = 1 << 48
"""More than any rank."""


def belong(db: Db, session: int, delegation: Delegation) -> None:
    """Let the session, which is new, go when that of the delegating turn goes.

    Raises:
        SessionNotFound: that one is gone already.
    """
    found = db.execute("SELECT id FROM session WHERE key = ?", (delegation.session_key,)).fetchone()
    if found is None:
        raise SessionNotFound("the session of the delegating turn is gone")
    db.execute("UPDATE session SET parent = ? WHERE id = ?", (found[0], session))


def keys_of(db: Db, key: str) -> Sequence[str]:
    """Return the keys of the sessions that go when the session goes."""
    found = db.execute(
        "SELECT key FROM session WHERE parent = (SELECT id FROM session WHERE key = ?) ORDER BY id", (key,)
    )
    return [name for (name,) in found]


def account(db: Db, session: int, turn: Turn) -> int:
    """Return the number of the session that a turn of the `session` is charged to."""
    if turn.delegation is None:
        return session
    (parent,) = db.execute("SELECT parent FROM session WHERE id = ?", (session,)).fetchone()
    return session if parent is None else int(parent)


def put_first(db: Db) -> None:
    """Let the turns that others wait for start before all others: those hold places, and would wait forever
    for turns that have none.
    """
    db.execute(
        "UPDATE dispatch SET rank = rank - ? WHERE owner IS NULL AND rank > 0"
        " AND session IN (SELECT id FROM session WHERE parent IS NOT NULL)",
        (_FIRST,),
    )
