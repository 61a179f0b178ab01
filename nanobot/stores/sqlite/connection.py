"""A connection to SQLite, as `stores.sql.db.Db`."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from nanobot.core.scopes import DEFAULT_RULES
from nanobot.stores.sql.db import Dialect, Value
from nanobot.stores.sql.prepared import NONE_PREPARED
from nanobot.stores.sql.recent_messages import RecentMessages
from nanobot.stores.sql.slices import Slices
from nanobot.stores.sqlite import dialect


def _same(value: None) -> None:
    return value


# Values of these types are bound as they are. Without an adapter for them, each one is first asked whether it
# has one of its own, which takes longer than to bind it.
sqlite3.register_adapter(bytes, bytes)
sqlite3.register_adapter(bool, int)
sqlite3.register_adapter(type(None), _same)


class Connection(sqlite3.Connection):
    """`stores.sql.db.Db`;

    `execute` is SQLite's own; `scopes` are the default rules until others are set. Opened in autocommit mode:
    `transaction` says when one begins.
    """

    dialect: Dialect = dialect

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.running: dict[str, int] = {}
        # None is kept but where it is opened to write.
        self.recent = RecentMessages()
        self.slices = Slices()
        self.prepared = NONE_PREPARED
        self.scopes = DEFAULT_RULES

    def insert(self, sql: str, values: Sequence[Value] = (), /) -> int:
        return int(self.execute(sql, values).lastrowid or 0)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            self.roll_back()
            raise

    def roll_back(self) -> None:
        """Undo the transaction, and forget what was counted and read in it."""
        self.running.clear()
        self.recent.clear()
        self.slices.clear()
        # Some errors of the disk have rolled it back already.
        if self.in_transaction:
            self.execute("ROLLBACK")
