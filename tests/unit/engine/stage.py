"""The set-up for tests of the engine: a real store on a directory of its own whose commits a test can delay
or refuse.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from itertools import count
from typing import Any, cast

import msgspec

from nanobot.agent.limits import AgentSettings
from nanobot.agent.loop import Agent
from nanobot.agent.toolset import Toolset
from nanobot.core.clock import Clock
from nanobot.core.dispatch import Claim, Command
from nanobot.core.errors import ModelNotFound, StoreError
from nanobot.core.event import Fact, MessageAdded, ToolStarted, TurnEnded
from nanobot.core.message import Message, user
from nanobot.core.model import Model
from nanobot.core.store import Store
from nanobot.core.tool import Tool, ToolContext
from nanobot.core.turn import Answer, Identity, Turn, TurnState, WhenBusy
from nanobot.engine.local import LocalEngine
from nanobot.engine.run import Run
from nanobot.reading.schemas import WorkerSchemas
from nanobot.testing import FakeClock, MemoryData, open_memory_store
from nanobot.workers.pool import WorkerPool
from tests.asgi import BOUND_S

_numbers = count(1)
FULL = StoreError("the disk is full")
Facts = tuple[Fact, ...]


def is_end(facts: Facts) -> bool:
    return isinstance(facts[-1], TurnEnded)


def is_step(facts: Facts) -> bool:
    return isinstance(facts[0], MessageAdded) and isinstance(facts[-1], ToolStarted)


class FaultyStore:
    """A store that refuses commits (`fail`) or answers them late (`hold`) when told to; all else passes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._failures = 0
        self._problem: StoreError = FULL
        self._refused: Callable[[Facts], bool] = is_end
        self._held: Callable[[Facts], bool] = lambda facts: False
        self.appends = 0
        self.handed = asyncio.Event()
        self.let_go = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def fail(
        self,
        times: int,
        matching: Callable[[Facts], bool] = is_end,
        problem: StoreError = FULL,
    ) -> None:
        """Refuse the next `times` commits of such facts."""
        self._failures, self._refused, self._problem = times, matching, problem

    def hold(self, matching: Callable[[Facts], bool]) -> None:
        """Commit such facts, but do not say so before `let_go`; `handed` tells that one is on its way."""
        self._held = matching

    async def append(self, claim: Claim, facts: Facts) -> tuple[Message, ...]:
        self.appends += 1
        if self._failures and self._refused(facts):
            self._failures -= 1
            raise self._problem
        joined = await self._store.append(claim, facts)
        if self._held(facts):
            self.handed.set()
            await self.let_go.wait()
        return joined


class OneModel:
    """The models of an engine that has one; by any name but None there is none."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def get(self, name: str | None) -> Model:
        if name is None:
            return self._model
        raise ModelNotFound(f"The model `{name}` does not exist any more.", param="model")


class Place(msgspec.Struct, frozen=True):
    at: str = ""


Look = Callable[[Place, ToolContext], Awaitable[str]]


class Stage:
    """An open store, and the parts of an engine to put on it.

    `look` is what the only tool does in runs that begin from now on.
    """

    def __init__(self) -> None:
        self._data = MemoryData()
        self.clock = FakeClock()
        self.settings = AgentSettings()
        self.store: FaultyStore
        self.looked = 0
        self.look: Look = self.see
        self._orders: AsyncGenerator[Command, None] | None = None

    async def open(self, clock: Clock | None = None) -> None:
        self.store = FaultyStore(await open_memory_store(self._data, clock or self.clock))

    async def close(self) -> None:
        """Let go of the store, as a process that ends does."""
        self.store.let_go.set()
        await self.stop_taking()
        await self.store.close()

    async def stop_taking(self) -> None:
        """Take no more turns, so that another engine can; `claim` begins anew."""
        if self._orders is not None:
            await self._orders.aclose()
            self._orders = None

    def forget(self) -> None:
        """Let go of what the stores kept."""
        self._data.close()

    async def reopen(self) -> None:
        """What a crash and a new start make of the store."""
        await self.close()
        await self.open()

    @property
    def _store(self) -> Store:
        return cast(Store, self.store)

    async def see(self, arguments: Place, context: ToolContext) -> str:
        """What the tool does where a test puts nothing else into `look`."""
        self.looked += 1
        return f"saw {arguments.at}"

    def agent(self) -> Agent:
        return Agent(
            Toolset([Tool("look", "Look.", Place, self.look, repeatable=True)]),
            self.clock,
            self.settings,
            WorkerSchemas(WorkerPool(), 100_000),
        )

    async def ask(
        self, text: str = "Where?", *, key: str = "k", model: str | None = None, when_busy: WhenBusy = "queue"
    ) -> str:
        """Admit a turn and return its id."""
        number = next(_numbers)
        turn = Turn(f"turn_{number}", key, (user(text),), "api", when_busy=when_busy, model=model)
        return (await self._store.admit(turn, Identity(number.to_bytes(32, "big")))).turn_id

    async def ask_again(self, key: str = "k") -> str:
        """Resend what was asked last, as an SDK does; return the id of the turn that answers."""
        number = next(_numbers)
        identity = Identity((number - 1).to_bytes(32, "big"), is_retry=True)
        return (
            await self._store.admit(Turn(f"turn_{number}", key, (user("again"),), "api"), identity)
        ).turn_id

    async def claim(self) -> Claim:
        """Take the next turn, as an engine does that takes one at a time."""
        if self._orders is None:
            self._orders = cast(AsyncGenerator[Command, None], self._store.orders(64))
        async with asyncio.timeout(BOUND_S):
            order = await anext(self._orders)
        assert isinstance(order, Claim)
        return order

    async def claimed(self, text: str = "Where?", *, model: str | None = None) -> Claim:
        """Admit a turn and take it."""
        await self.ask(text, model=model)
        return await self.claim()

    def run(self, claim: Claim, model: Model, *, timeout_s: float | None = None) -> Run:
        return Run(claim, self._store, self.agent(), OneModel(model), self.clock, timeout_s)

    def engine(
        self, model: Model, *, max_running_turns: int = 64, timeout_s: float | None = None
    ) -> LocalEngine:
        return LocalEngine(
            self._store,
            self.agent(),
            OneModel(model),
            self.clock,
            max_running_turns=max_running_turns,
            turn_timeout_s=timeout_s,
        )

    async def state(self, turn_id: str) -> TurnState:
        return await self._store.turn(turn_id)

    async def ended(self, turn_id: str) -> Answer:
        async with asyncio.timeout(BOUND_S):
            return await self._store.ended(turn_id)

    async def transcript(self, key: str = "k") -> list[tuple[str, str]]:
        """Return role and text of each message that the next turn would see."""
        history = await self._store.history(key, 10**9)
        return [(message.role, message.text) for message in history.messages]


async def within_bounds(task: "asyncio.Task[Any]") -> None:
    async with asyncio.timeout(BOUND_S):
        await task
