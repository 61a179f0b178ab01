"""Time, as everything in the house is given it."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from. `nanobot.testing.FakeClock` is the other one."""

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
