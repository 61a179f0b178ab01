"""A data directory with some conversations, for tests of the SQLite store."""

from pathlib import Path

from nanobot.core.store import Limits
from nanobot.testing import FakeClock
from tests.contract.store_harness import StoreHarness, open_sqlite

CLOCK = FakeClock()


async def fill(data: Path, sessions: int = 3) -> None:
    """Make a store with some conversations in `data`."""
    harness = StoreHarness(open_sqlite, data, Limits())
    await harness.open()
    for number in range(sessions):
        await harness.say(f"key {number}", "hello " * 200, "hi " * 200)
    await harness.close()
