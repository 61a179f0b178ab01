"""A store in memory: the same policy on the same SQL, without files, threads or fsync."""

import atexit
import functools
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from nanobot.core.accounts import PriceList
from nanobot.core.clock import Clock
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.core.scopes import DEFAULT_RULES, ScopeRules
from nanobot.core.store import Limits
from nanobot.core.vectors import Vectors
from nanobot.core.workspace import SessionIdentity
from nanobot.stores.blobs import no_upload
from nanobot.stores.sql import assigning, running, turns
from nanobot.stores.sql.ports.store import SqlStore
from nanobot.stores.sql.recent_messages import MOST_BYTES, RecentMessages
from nanobot.stores.sqlite import index
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.database import DirectDatabase
from nanobot.stores.sqlite.derived import derive
from nanobot.stores.sqlite.migrate import migrate

_PATH = Path(":memory:")
_OWNER = "local"


class MemoryData:
    """What a data directory holds, in memory. It outlives the stores that are opened on it; `close` it at the
    end.
    """

    def __init__(self) -> None:
        self.db = sqlite3.connect(_PATH, isolation_level=None, factory=Connection)
        self.db.recent = RecentMessages(MOST_BYTES)
        self.blobs = MemoryBlobs()
        _new_database().backup(self.db)
        derive(self.db)

    def close(self) -> None:
        """Let go of everything."""
        self.db.close()


@functools.cache
def _new_database() -> Connection:
    """Return a new database to copy, which takes much less than the migrations that make one."""
    db = sqlite3.connect(_PATH, isolation_level=None, check_same_thread=False, factory=Connection)
    migrate(db, _PATH)
    index.renew(db)
    atexit.register(db.close)
    return db


class MemoryBlobs:
    """`stores.sql.ports.shared.Blobs` in memory."""

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}

    def write(self, file_id: str, content: bytes) -> None:
        self._contents[file_id] = content

    def read(self, file_id: str) -> bytes:
        if file_id not in self._contents:
            raise no_upload(file_id)
        return self._contents[file_id]

    def read_piece(self, file_id: str, start: int, most: int) -> bytes:
        return self.read(file_id)[start : start + most]

    def delete(self, file_ids: Iterable[str]) -> None:
        for file_id in file_ids:
            self._contents.pop(file_id, None)

    def check(self) -> None:
        """Memory does not go."""


class NoWorkspaces:
    """`stores.sql.ports.shared.WorkspaceContents` where no session has files."""

    def copy(self, source: SessionIdentity, target: SessionIdentity) -> None:
        """There are none."""

    def delete(self, identities: Iterable[SessionIdentity]) -> None:
        """There are none."""

    def check(self) -> None:
        """There are none."""


async def open_memory_store(
    data: MemoryData,
    clock: Clock,
    limits: Limits | None = None,
    observer: Observer = NULL_OBSERVER,
    prices: PriceList | None = None,
    scopes: ScopeRules = DEFAULT_RULES,
    vectors: Vectors | None = None,
) -> SqlStore:
    """Open a store on data in memory, as `open_store` does on a data directory: turns that were running when
    the last store on it was closed are put back in the queue.

    Everything happens on the thread that asks, so the store is as fast as a test wants it, and nothing
    outlives the process.
    """
    limits = limits or Limits()
    prices = prices or PriceList()
    data.db.scopes = scopes
    assigning.assign_all(data.db)
    with data.db.transaction():
        running.recover(data.db, _OWNER, limits.max_attempts, clock.now(), prices)
    return SqlStore(
        DirectDatabase(data.db, _PATH),
        index=index,
        blobs=data.blobs,
        workspaces=NoWorkspaces(),
        owner=_OWNER,
        unended=turns.unended(data.db),
        clock=clock,
        limits=limits,
        prices=prices,
        observer=observer,
        vectors=vectors,
    )
