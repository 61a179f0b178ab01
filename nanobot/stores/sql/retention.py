"""Unused sessions: which ones are due, and their deletion."""

from collections.abc import Sequence

from nanobot.core.sessions import RetentionRule
from nanobot.stores.sql import catalogue, delegated, hidden
from nanobot.stores.sql.db import Db

_MOST_AT_ONCE = 8


def delete_some(db: Db, *, rules: Sequence[RetentionRule], now: float) -> tuple[catalogue.Deleted, ...]:
    """Delete a few sessions that are due, those first that have been due longest; the first rule that fits a
    key decides. None has a turn that waits or runs.
    """
    if not rules:
        return ()
    values: list[str | float] = []
    for rule in rules:
        values += [db.dialect.pattern(rule.pattern), now - rule.seconds if rule.seconds else -1]
    case = f"WHEN {db.dialect.matches('key')} THEN ?"
    due = f"CASE {' '.join([case] * len(rules))} ELSE -1 END"
    found = db.execute(
        f"SELECT key FROM session s WHERE updated_at < {due} AND {hidden.shown('key')}"
        " AND NOT EXISTS (SELECT 1 FROM dispatch d"
        " WHERE d.session = s.id)"
        " ORDER BY period, updated_at LIMIT ?",
        (*values, _MOST_AT_ONCE),
    ).fetchall()
    return tuple(
        catalogue.delete(db, key=each, keeps_facts=True)
        for (key,) in found
        for each in (*delegated.keys_of(db, key), key)
    )
