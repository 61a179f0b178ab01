"""Opens a data directory, and kills itself in the midst of it.

`python -m tests.migration.open_and_die DATA UNIT NUMBER`: what is counted is what the thread that makes a
connection does on it, which is the opening: a `statement` of SQL as SQLite begins it, also those of scripts
and triggers; of these a `write`; a `step` of a few instructions of SQLite's machine, so that death comes in
the middle of long statements too. When another thread begins to use a connection, the database is open. It
says so and dies then, too: before a turn is run. With the number 0 it lives, and prints how many units there
were.
"""

import asyncio
import json
import os
import re
import signal
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

from nanobot.stores.sqlite import moving
from tests.migration.reopened import opened

_INSTRUCTIONS_A_STEP = 10
_WRITE = re.compile(
    r"\s*(?:--.*\s+)*(INSERT|UPDATE|DELETE|REPLACE|CREATE|DROP|ALTER|COMMIT|END|PRAGMA \w+ *=|VACUUM)",
    re.IGNORECASE,
)


class Count:
    """How far the opening has come; dies at the number `at` of the unit `unit`."""

    def __init__(self, unit: str, at: int) -> None:
        self.seen = {"statement": 0, "write": 0, "step": 0}
        self._unit = unit
        self._at = at
        self._is_open = False

    def watch(self, db: sqlite3.Connection) -> None:
        """Count what is done on the connection."""
        opener = threading.get_ident()

        def on_statement(sql: str) -> None:
            if self._is_opening(opener):
                self._one("statement")
                if _WRITE.match(sql):
                    self._one("write")

        def on_step() -> int:
            if self._is_opening(opener):
                self._one("step")
            return 0

        db.set_trace_callback(on_statement)
        db.set_progress_handler(on_step, _INSTRUCTIONS_A_STEP)

    def _is_opening(self, opener: int) -> bool:
        if threading.get_ident() != opener:
            self._is_open = True
            if self._at:
                os.write(1, b"open")
                _die()
        return not self._is_open

    def _one(self, unit: str) -> None:
        self.seen[unit] += 1
        if unit == self._unit and self.seen[unit] == self._at:
            _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def count_connections(count: Count) -> None:
    """Let every connection that is made from now on be counted."""
    connect = sqlite3.connect

    def counted(*args: Any, **options: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*args, **options)
        count.watch(db)
        return db

    sqlite3.connect = counted  # type: ignore[assignment]


async def main(data: Path, unit: str, at: int) -> None:
    # Many small transactions, so that death comes between them as well.
    moving.MOST_ROWS = 10
    count = Count(unit, at)
    count_connections(count)
    async with opened(data):
        sys.stdout.write(json.dumps(count.seen))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
