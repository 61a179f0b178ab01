"""Time: everything that tells or waits for it does so through a `Clock`. When what failed is tried again."""

import asyncio
import time
from collections.abc import Iterator
from itertools import count
from typing import Protocol

import msgspec

_FIRST_WAIT_S, _WAIT_S = 0.5, 1.0


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


async def came_within(clock: Clock, event: asyncio.Event, seconds: float) -> bool:
    """Return whether the event comes within so many seconds; at once where there are none."""
    if event.is_set() or seconds <= 0:
        return event.is_set()
    waits = asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
    return event.is_set()


class Retry(msgspec.Struct, frozen=True):
    """A further try, after `wait_s` seconds. `is_told`: the log is told of the failure before it."""

    wait_s: float
    is_told: bool


def retries() -> Iterator[Retry]:
    """Yield the further tries of what fails for a reason that passes, such as a full disk, without an end: a
    second apart, as people wait for it. Of many failures one after the other the log is told less and less:
    of the first, the second, the fourth, …
    """
    for number in count(1):
        yield Retry(_FIRST_WAIT_S if number == 1 else _WAIT_S, number & (number - 1) == 0)
