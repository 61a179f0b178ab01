"""Deletes from time to time the sessions that have been unused for as long as the settings say."""

import logging
from collections.abc import Sequence
from typing import Protocol

from nanobot.core.sessions import RetentionRule

_log = logging.getLogger(__name__)


class Swept(Protocol):
    """What is swept."""

    async def delete_unused(self, rules: Sequence[RetentionRule]) -> int:
        """Delete some; return how many, 0 once none is left."""
        ...


async def delete_unused(store: Swept, rules: Sequence[RetentionRule]) -> None:
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
