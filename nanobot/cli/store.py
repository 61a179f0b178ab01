"""How commands reach the store: beside a server, or as the only one that uses the data directory."""

import contextlib
from collections.abc import AsyncIterator

from nanobot.app import scope_rules
from nanobot.config import Config
from nanobot.core.clock import SystemClock
from nanobot.core.errors import StoreLocked
from nanobot.core.offline import DatabaseLibrary, OfflineStore
from nanobot.core.store import Limits, Store
from nanobot.stores.sqlite.offline import SqliteOffline, sqlite_library
from nanobot.stores.sqlite.store import open_store


def database_library() -> DatabaseLibrary:
    """Return the database library of this Python, and whether the store can run on it."""
    return sqlite_library()


def offline_store(config: Config) -> OfflineStore:
    """Return the store that the settings name, to be used beside a running server too."""
    return SqliteOffline(config.data, scope_rules(config), config.memory.rules)


@contextlib.asynccontextmanager
async def exclusive_store(config: Config) -> AsyncIterator[Store]:
    """Open the store, created where it is missing, and close it afterwards.

    Raises:
        StoreLocked: a server uses it.
        StoreError: it cannot be used.
    """
    limits = Limits(memory=config.memory.rules)
    store = await open_store(config.data, SystemClock(), limits, scopes=scope_rules(config))
    try:
        yield store
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def store_to_change(config: Config, action: str) -> AsyncIterator[Store]:
    """Open the store for a change, which `action` names in the words of an instruction.

    Raises:
        StoreLocked: a server uses it; the message says to stop it and then do the action.
        StoreError: it cannot be used.
    """
    try:
        async with exclusive_store(config) as store:
            yield store
    except StoreLocked:
        raise StoreLocked(f"{config.data} is in use by a running nanobot: stop it, then {action}") from None
