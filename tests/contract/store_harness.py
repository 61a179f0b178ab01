"""For the suite on `core.store.Store`: an open store of any implementation, and a stub of the engine that
takes its commands.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterator
from itertools import count
from pathlib import Path

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.dispatch import Cancel, Claim, Command, LeftOut
from nanobot.core.event import Fact, MessageAdded, TurnEnded, TurnError
from nanobot.core.message import Message, StopReason, Text, user
from nanobot.core.store import Limits, Store
from nanobot.core.turn import Admission, Answer, Identity, Turn, WhenBusy
from nanobot.stores.sqlite.store import open_store
from nanobot.testing import FakeClock, MemoryData, open_memory_store
from tests.asgi import BOUND_S
from tests.harness import with_new_database

_numbers = count(1)
Open = Callable[[Path, Clock, Limits], Awaitable[Store]]


async def open_sqlite(directory: Path, clock: Clock, limits: Limits) -> Store:
    if not directory.exists():
        with_new_database(directory)
    return await open_store(directory, clock, limits, "normal")


@contextlib.contextmanager
def on_disk() -> Iterator[Open]:
    """SQLite in the data directory, with its threads."""
    yield open_sqlite


@contextlib.contextmanager
def in_memory() -> Iterator[Open]:
    """SQLite in memory, without threads."""
    data = MemoryData()

    async def open_(directory: Path, clock: Clock, limits: Limits) -> Store:
        return await open_memory_store(data, clock, limits)

    yield open_
    data.close()


IMPLEMENTATIONS: dict[str, Callable[[], contextlib.AbstractContextManager[Open]]] = {
    "sqlite": on_disk,
    "memory": in_memory,
}
"""Every implementation of the protocol; the suite runs on each."""


class StubEngine:
    """Takes a store's commands, and leaves it to the test what becomes of each."""

    def __init__(
        self,
        store: Store,
        max_running: int,
        history_tokens: int = 0,
        left_out_by: Callable[[Turn], LeftOut | None] | None = None,
    ) -> None:
        self._store = store
        self._commands: asyncio.Queue[Command] = asyncio.Queue()
        self._task = asyncio.get_running_loop().create_task(
            self._take(store.orders(max_running, history_tokens, left_out_by))
        )

    async def _take(self, commands: AsyncIterator[Command]) -> None:
        async for command in commands:
            self._commands.put_nowait(command)

    async def claim(self) -> Claim:
        """Return the next command, which is a turn to run."""
        command = await asyncio.wait_for(self._commands.get(), BOUND_S)
        assert isinstance(command, Claim), command
        return command

    async def cancel(self) -> Cancel:
        """Return the next command, which is a cancellation."""
        command = await asyncio.wait_for(self._commands.get(), BOUND_S)
        assert isinstance(command, Cancel), command
        return command

    async def settled(self) -> None:
        """Return when all that was committed so far has been handed out."""
        await self._store.check()
        for _ in range(5):
            await asyncio.sleep(0)

    async def none(self) -> bool:
        """Return whether there is nothing to do."""
        await self.settled()
        return self._commands.empty()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))


class StoreHarness:
    """A store on a directory of its own, with a clock that the test turns."""

    def __init__(self, open_: Open, directory: Path, limits: Limits) -> None:
        self._open = open_
        self.directory = directory
        self.limits = limits
        self.clock = FakeClock()
        self.store: Store
        self.engine: StubEngine
        self.last_id = ""

    async def open(self, max_running: int = 64, *, limits: Limits | None = None) -> None:
        """Open the store, and take its commands."""
        self.limits = limits or self.limits
        self.store = await self._open(self.directory, self.clock, self.limits)
        self.engine = StubEngine(self.store, max_running)
        await self.engine.settled()

    async def close(self) -> None:
        await self.engine.stop()
        await self.store.close()

    async def reopen(self, max_running: int = 64, *, limits: Limits | None = None) -> None:
        """Close it with whatever runs, as a crash does, and open it again."""
        await self.close()
        await self.open(max_running, limits=limits)

    # Asking ---------------------------------------------------------------------------------------

    def turn(
        self, key: str, text: str = "hello", *, when_busy: WhenBusy = "queue", trace: bool = True
    ) -> Turn:
        self.last_id = f"turn_{next(_numbers):026d}"
        return Turn(self.last_id, key, (user(text),), "api", when_busy, trace=trace)

    async def admit(
        self,
        key: str,
        text: str = "hello",
        *,
        when_busy: WhenBusy = "queue",
        trace: bool = True,
        body: str | None = None,
        dedupe_key: str | None = None,
        is_retry: bool = False,
        earlier: tuple[Message, ...] = (),
        left: Container[str] = (),
        after: str | None = None,
        is_whole: bool = False,
    ) -> Admission:
        """Admit a turn; `body` stands for what the client sent (the text, where it is None)."""
        identity = Identity(
            hashlib.blake2b((body or text).encode(), digest_size=32).digest(), dedupe_key, is_retry
        )
        turn = self.turn(key, text, when_busy=when_busy, trace=trace)
        turn = msgspec.structs.replace(turn, after=after, is_whole=is_whole)
        return await self.store.admit(turn, identity, earlier, left=left)

    async def start(
        self, key: str, text: str = "hello", *, trace: bool = True, earlier: tuple[Message, ...] = ()
    ) -> Claim:
        """Admit a turn of a session that is not busy, and return the claim on it."""
        await self.admit(key, text, trace=trace, earlier=earlier)
        return await self.engine.claim()

    async def say(
        self, key: str, text: str, answer: str, *, trace: bool = True, earlier: tuple[Message, ...] = ()
    ) -> Claim:
        """Run a whole turn."""
        claim = await self.start(key, text, trace=trace, earlier=earlier)
        await self.store.append(claim, done(answer))
        return claim

    # Looking --------------------------------------------------------------------------------------

    async def texts(self, key: str) -> list[str]:
        """Return the live transcript, `U:` before what users said and `A:` before what the model did."""
        rows = await self.store.messages(key, limit=10_000)
        return [shown(row.message) for row in rows]

    async def ended(self, turn_id: str) -> Answer:
        return await asyncio.wait_for(self.store.ended(turn_id), BOUND_S)


def shown(message: Message) -> str:
    said = message.text or "".join(result.content for result in message.tool_results)
    return f"{message.role[0].upper()}:{said}"


def said(text: str, stop_reason: StopReason = "stop") -> Message:
    return Message("assistant", (Text(text),), stop_reason)


def done(text: str) -> tuple[Fact, ...]:
    """Return the facts of an answer in one step."""
    return (MessageAdded(said(text)), TurnEnded("done"))


def failed(code: str = "model_overloaded", *, retryable: bool) -> TurnEnded:
    return TurnEnded("failed", error=TurnError(code, "the model is overloaded", 503, retryable))


def cancelled() -> TurnEnded:
    return TurnEnded("cancelled", error=TurnError("turn_cancelled", "enough", 409))


def unfollowed() -> TurnEnded:
    """Return the end of a turn whose request may be sent again."""
    return TurnEnded(
        "cancelled", error=TurnError("turn_cancelled", "no client followed the turn", 409, retryable=True)
    )
