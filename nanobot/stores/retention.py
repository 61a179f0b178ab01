"""Sessions that nobody uses any more: which, and when they go."""

import logging
import sqlite3
from collections.abc import Sequence
from typing import Protocol

import msgspec

from nanobot.core.accounts import glob
from nanobot.core.clock import Clock
from nanobot.core.errors import StoreError
from nanobot.stores import catalogue

Db = sqlite3.Connection
_MOST_AT_ONCE = 8
_EVERY_S = 600.0
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


class Sweeper:
    """Deletes from time to time what nobody uses any more, a few sessions at once, so that turns do not wait
    for it.
    """

    def __init__(self, store: Swept, clock: Clock, rules: Sequence[Unused]) -> None:
        self._store = store
        self._clock = clock
        self._rules = rules

    async def run(self) -> None:
        """Sweep at once, and again and again; never ends by itself where there is a rule."""
        while any(rule.seconds for rule in self._rules):
            try:
                await self._sweep()
            except StoreError as error:
                _log.error(
                    "sessions that nobody uses could not be deleted, next try in %g s: %s",
                    _EVERY_S,
                    error.message,
                )
            await self._clock.sleep(_EVERY_S)

    async def _sweep(self) -> None:
        count = 0
        while deleted := await self._store.delete_unused(self._rules):
            count += deleted
        if count:
            _log.info("%d sessions deleted that nobody used for as long as sessions.ttl says", count)
