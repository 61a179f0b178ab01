"""Deletes from time to time the sessions that have been unused for as long as the settings say."""

import logging
from collections.abc import Sequence
from typing import Protocol

from nanobot.core.clock import Clock
from nanobot.core.errors import StoreError
from nanobot.core.sessions import RetentionRule

_EVERY_S = 600.0
_log = logging.getLogger(__name__)


class Swept(Protocol):
    """What is swept."""

    async def delete_unused(self, rules: Sequence[RetentionRule]) -> int:
        """Delete some; return how many, 0 once none is left."""
        ...


class Sweeper:
    """Deletes from time to time what nobody uses any more, a few sessions at once, so that turns do not wait
    for it.
    """

    def __init__(self, store: Swept, clock: Clock, rules: Sequence[RetentionRule]) -> None:
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
