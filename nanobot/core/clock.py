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

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
