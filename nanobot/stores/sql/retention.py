"""Unused sessions: which ones are due, and their deletion."""

from collections.abc import Sequence

from nanobot.core.sessions import RetentionRule
from nanobot.stores.sql import catalogue, delegated, hidden
from nanobot.stores.sql.db import Db, Value, among
from nanobot.stores.sql.transcript import period_of

_MOST_AT_ONCE = 8


def due(db: Db, *, rules: Sequence[RetentionRule], now: float) -> tuple[str, ...]:
    """Return the keys of a few sessions that are due, those first that have been due longest; the first rule
    that fits a key decides. None has a turn that waits or runs.

    All sessions may have to be looked at for it.
    """
    keeps = [rule.seconds for rule in rules if rule.seconds]
    if not keeps:
        return ()
    # None that was used since is due by any of the rules.
    last = period_of(now - min(keeps))
    return _due(db, rules, now, "period <= ?", (last,))


def delete(
    db: Db, *, keys: Sequence[str], rules: Sequence[RetentionRule], now: float
) -> tuple[catalogue.Deleted, ...]:
    """Delete those of the sessions that are still due."""
    marks, values = among(keys)
    return tuple(
        catalogue.delete(db, key=each, keeps_facts=True)
        for key in _due(db, rules, now, f"key IN {marks}", values)
        for each in (*delegated.keys_of(db, key), key)
    )


def _due(
    db: Db, rules: Sequence[RetentionRule], now: float, condition: str, bound: Sequence[Value]
) -> tuple[str, ...]:
    values: list[Value] = []
    for rule in rules:
        values += [db.dialect.pattern(rule.pattern), now - rule.seconds if rule.seconds else -1]
    case = f"WHEN {db.dialect.matches('key')} THEN ?"
    due_before = f"CASE {' '.join([case] * len(rules))} ELSE -1 END"
    found = db.execute(
        f"SELECT key FROM session s WHERE {condition} AND updated_at < {due_before} AND {hidden.shown('key')}"
        " AND NOT EXISTS (SELECT 1 FROM dispatch d"
        " WHERE d.session = s.id)"
        " ORDER BY period, updated_at LIMIT ?",
        (*bound, *values, _MOST_AT_ONCE),
    ).fetchall()
    return tuple(key for (key,) in found)
