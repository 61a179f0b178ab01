"""Time: everything that tells or waits for it does so through a `Clock`."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from: `SystemClock` in a server, `nanobot.testing.FakeClock` in a test."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...


class SystemClock:
    """The machine's own clock."""

    # Without a call of Python's own between: each turn asks a dozen times.
    now = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
