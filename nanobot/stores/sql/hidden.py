"""Sessions that nobody sees: those that are still being made, and those whose rows are still being deleted.

Both take many transactions, a piece in each, so that the turns of other sessions need not wait. Until a
session is whole, and once it is deleted, its key is one of the server's own, which no request can name. What
a crash leaves of one that was being made is deleted after the next start.
"""

from nanobot.core.session_keys import RESERVED_PREFIX
from nanobot.stores.sql.db import Db

_MAKING = f"{RESERVED_PREFIX}making:"
_DELETED = f"{RESERVED_PREFIX}deleted:"


def shown(key: str) -> str:
    """Return the condition on the column `key` that the session is one that can be seen."""
    return f"substr({key}, 1, {len(RESERVED_PREFIX)}) <> '{RESERVED_PREFIX}'"


def is_shown(key: str) -> bool:
    """Return whether the session of that key can be seen."""
    return not key.startswith(RESERVED_PREFIX)


def is_gone(key: str) -> bool:
    """Return whether the session of that key is still being made, or deleted."""
    return key.startswith((_MAKING, _DELETED))


def is_deleted(key: str) -> bool:
    """Return whether the session of that key is deleted, so that its rows are to go."""
    return key.startswith(_DELETED)


def making(number: int) -> str:
    """Return the key of a session while it is being made; `number` tells it from others of this process."""
    return f"{_MAKING}{number}"


def owners(db: Db, key: str) -> tuple[str | None, str | None]:
    """Return the person and the group of a session with that key, as its row has them: none of one that
    cannot be seen.
    """
    if not is_shown(key):
        return None, None
    scopes = db.scopes.of(key)
    return scopes.person, scopes.group


def show(db: Db, session: int, key: str) -> None:
    """Let the session, which is whole, be seen under `key`, which is free."""
    db.execute(
        "UPDATE session SET key = ?, person = ?, group_name = ? WHERE id = ?",
        (key, *owners(db, key), session),
    )


def hide(db: Db, session: int) -> None:
    """Let the session be seen no more; its rows go with `purging.purge_some`. None of its turns runs."""
    db.recent.forget(session)
    # Not its messages: those that are not in the index yet need not come in.
    db.execute(
        "UPDATE session SET key = ? || id, person = NULL, group_name = NULL, last_seq = indexed_seq"
        " WHERE id = ?",
        (_DELETED, session),
    )


def hide_unfinished(db: Db) -> None:
    """Give up the sessions that were being made when the last server stopped."""
    for (session,) in db.execute(
        "SELECT id FROM session WHERE key >= ? AND key < ?", (_MAKING, _above(_MAKING))
    ).fetchall():
        hide(db, session)


def next_to_purge(db: Db) -> int | None:
    """Return the number of a hidden session that is to be deleted; None where there is none."""
    found = db.execute(
        "SELECT id FROM session WHERE key >= ? AND key < ? LIMIT 1", (_DELETED, _above(_DELETED))
    ).fetchone()
    return None if found is None else int(found[0])


def _above(prefix: str) -> str:
    """Return the first text that comes after all that begin with `prefix`."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
