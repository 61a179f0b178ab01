"""For tests of nanobot and of what you build with it: a scripted model, a clock that you move, a store in
memory.
"""

import asyncio
import heapq
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import count
from typing import get_args

import msgspec

from nanobot.core.errors import ModelError
from nanobot.core.event import Delta, TextDelta
from nanobot.core.message import Message, Text, ToolCall, Usage
from nanobot.core.model import Ability, ModelRequest
from nanobot.stores.sqlite.memory import MemoryData, open_memory_store

__all__ = ["FakeClock", "MemoryData", "Say", "ScriptedModel", "call", "open_memory_store", "say"]


class Say(msgspec.Struct, frozen=True):
    """One scripted answer: `deltas` one by one, then `message`, by default one made of the deltas.

    The model waits for the event `before` ahead of the first delta and for `between` after it, so that a
    test can hold it there. `error` is raised in place of the message.
    """

    deltas: tuple[str, ...] = ()
    message: Message | None = None
    before: asyncio.Event | None = None
    between: asyncio.Event | None = None
    error: ModelError | None = None


def say(text: str) -> Say:
    """Return the scripted answer `text`, in two deltas."""
    middle = len(text) // 2
    return Say((text[:middle], text[middle:]))


def call(name: str, arguments: str = "{}", id: str = "call_1", text: str = "") -> Say:  # noqa: A002
    """Return the scripted answer that calls a tool."""
    parts = (Text(text),) if text else ()
    deltas = (text,) if text else ()
    return Say(
        deltas, Message("assistant", (*parts, ToolCall(id, name, arguments)), "tool_calls", Usage(10, 5))
    )


class ScriptedModel:
    """A `Model` that gives the answers of its script one after another, and the last one forever after.

    An entry is a text, a `Say`, a `ModelError` to raise, or a function from the request to one of these.
    `requests` holds what the model was asked, `asked` is set with the first request, `closed_streams` counts
    the streams that have ended.
    """

    def __init__(
        self,
        *script: "str | Say | ModelError | Callable[[ModelRequest], str | Say | ModelError]",
        name: str = "scripted",
        context_tokens: int = 128_000,
        abilities: frozenset[Ability] = frozenset(get_args(Ability)),
    ) -> None:
        self._script = list(script) or ["ok"]
        self.name = name
        self.context_tokens = context_tokens
        self.abilities = abilities
        self.requests: list[ModelRequest] = []
        self.asked = asyncio.Event()
        self.closed_streams = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        self.requests.append(request)
        self.asked.set()
        entry = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if callable(entry):
            entry = entry(request)
        if isinstance(entry, ModelError):
            raise entry
        answer = say(entry) if isinstance(entry, str) else entry
        try:
            async for item in self._play(answer):
                yield item
        finally:
            self.closed_streams += 1

    async def _play(self, answer: Say) -> AsyncGenerator[Delta | Message, None]:
        if answer.before is not None:
            await answer.before.wait()
        for number, text in enumerate(answer.deltas):
            if text:
                yield TextDelta(text)
            if number == 0 and answer.between is not None:
                await answer.between.wait()
        if answer.error is not None:
            raise answer.error
        text = "".join(answer.deltas)
        yield answer.message or Message(
            "assistant", (Text(text),) if text else (), "stop", Usage(10, len(text)), self.name
        )

    async def warm(self) -> None:
        """Nothing to load."""

    async def check(self) -> None:
        """Return at once: it can always answer."""

    async def close(self) -> None:
        """Nothing to release."""


class FakeClock:
    """A `Clock` that stands still until `advance` moves it. `slept` lists the lengths of all sleeps."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._number = count()
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._number), future))
        await future

    @property
    def sleepers(self) -> Sequence[float]:
        """When the pending sleeps end, in order."""
        return tuple(sorted(until for until, _, future in self._sleepers if not future.done()))

    def advance(self, seconds: float) -> None:
        """Move the clock forward, and end the sleeps that are over."""
        self._now += seconds
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
