"""Sessions that nobody uses any more: which, and when they go."""

import logging
import sqlite3
from collections.abc import Sequence
from typing import Protocol

import msgspec

from nanobot.core.accounts import glob
from nanobot.stores import catalogue

Db = sqlite3.Connection
_MOST_AT_ONCE = 8
_log = logging.getLogger(__name__)


class Unused(msgspec.Struct, frozen=True):
    """Sessions whose key fits `pattern` (`*`: any run of characters) are kept for `seconds` after their last
    use; 0: for ever.
    """

    pattern: str
    seconds: float


def delete_some(db: Db, *, rules: Sequence[Unused], now: float) -> tuple[catalogue.Deleted, ...]:
    """Delete a few sessions that are due, those first that have been due longest; the first rule that fits a
    key decides. None has a turn that waits or runs.
    """
    if not rules:
        return ()
    values: list[str | float] = []
    for rule in rules:
        values += [glob(rule.pattern), now - rule.seconds if rule.seconds else -1]
    due = f"CASE {' '.join(['WHEN key GLOB ? THEN ?'] * len(rules))} ELSE -1 END"
    found = db.execute(
        f"SELECT key FROM session s WHERE updated_at < {due} AND NOT EXISTS (SELECT 1 FROM dispatch d WHERE d.session = s.id)"
        " ORDER BY updated_at LIMIT ?",
        (*values, _MOST_AT_ONCE),
    ).fetchall()
    return tuple(catalogue.delete(db, key=key) for (key,) in found)


class Swept(Protocol):
    """What is swept."""

    async def delete_unused(self, rules: Sequence[Unused]) -> int:
        """Delete some; return how many, 0 once none is left."""
        ...


async def delete_unused(store: Swept, rules: Sequence[Unused]) -> None:
    """Delete every session that `rules` no longer keep, a few at a time so that turns need not wait.

    Raises:
        StoreError
    """
    if not any(rule.seconds for rule in rules):
        return
    count = 0
    while deleted := await store.delete_unused(rules):
        count += deleted
    if count:
        _log.info("%d sessions deleted that nobody used for as long as sessions.ttl says", count)
