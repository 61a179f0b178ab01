"""Which session a number or a key stands for."""

from collections.abc import Sequence

from nanobot.core.errors import SessionNotFound
from nanobot.core.workspace import SessionIdentity
from nanobot.stores.sql import hidden
from nanobot.stores.sql.db import Db

_COLUMNS = "id, created_at, key"


def identity(db: Db, *, key: str) -> SessionIdentity:
    """Return the identity of the session that has this key.

    Raises:
        SessionNotFound
    """
    row = db.execute(f"SELECT {_COLUMNS} FROM session WHERE key = ?", (key,)).fetchone()
    if row is None:
        raise SessionNotFound(f"no session {key!r} here")
    return SessionIdentity(*row)


def identities(db: Db, *, numbers: Sequence[int]) -> tuple[SessionIdentity, ...]:
    """Return the identities of those of the sessions that can be seen."""
    marks = ", ".join("?" * len(numbers))
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM session WHERE id IN ({marks}) AND {hidden.shown('key')}", tuple(numbers)
    ).fetchall()
    return tuple(SessionIdentity(*row) for row in rows)
