"""One turn of the agent at work: its tools, where its facts go, and the answers of its model."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from nanobot.agent.limits import AgentSettings
from nanobot.agent.loop import Agent
from nanobot.agent.toolset import Toolset
from nanobot.core.dispatch import History
from nanobot.core.errors import ToolError
from nanobot.core.event import Event, Fact, MessageAdded, TextDelta, ThinkingDelta, ToolFinished, TurnEnded
from nanobot.core.message import Message, StopReason, Text, ToolCall, ToolResult, Usage, reply_text, user
from nanobot.core.model import Model, ModelRequest
from nanobot.core.tool import Tool, ToolContext
from nanobot.core.turn import OutputFormat, Sampling, Turn
from nanobot.reading.schemas import WorkerSchemas
from nanobot.testing import FakeClock, Say
from nanobot.workers.pool import WorkerPool
from tests.asgi import BOUND_S


class Look(msgspec.Struct, frozen=True):
    at: str = ""


class Tools:
    """Tools that write down what they were asked.

    `look` may be repeated, `push` may not, `alone` must not overlap.
    """

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.set = Toolset(
            [
                Tool("look", "Look.", Look, self._run, repeatable=True),
                Tool("push", "Push.", Look, self._run),
                Tool("alone", "Alone.", Look, self._run, concurrent=False),
            ]
        )

    async def _run(self, arguments: Look, context: ToolContext) -> str:
        self.ran.append(arguments.at)
        if arguments.at == "refuse":
            raise ToolError("there is nothing there")
        if arguments.at == "crash":
            raise KeyError("inside")
        return f"saw {arguments.at}"


class Sink:
    """Where the loop's facts go.

    `steer` is what users say meanwhile: it joins with the next fact for which `joins` holds. `is_followed`:
    somebody receives each delta at once.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_followed = True
        self.steering: list[tuple[Callable[[tuple[Fact, ...]], bool], tuple[Message, ...]]] = []

    def steer(self, *messages: Message, when: Callable[[tuple[Fact, ...]], bool]) -> None:
        self.steering.append((when, messages))

    def take_back(self) -> bool:
        if self.is_followed:
            return False
        while self.events and isinstance(self.events[-1], TextDelta | ThinkingDelta):
            self.events.pop()
        return True

    async def emit(self, facts: tuple[Fact, ...]) -> tuple[Message, ...]:
        joined: tuple[Message, ...] = ()
        if self.steering and self.steering[0][0](facts):
            joined = self.steering.pop(0)[1]
            facts = tuple(fact for fact in facts if not isinstance(fact, TurnEnded))
        self.events.extend((*facts, *(MessageAdded(message) for message in joined)))
        return joined

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(event.message for event in self.events if isinstance(event, MessageAdded | ToolFinished))

    @property
    def results(self) -> list[ToolResult]:
        return [result for message in self.messages for result in message.tool_results]

    @property
    def end(self) -> TurnEnded:
        (end,) = (event for event in self.events if isinstance(event, TurnEnded))
        assert self.events[-1] is end
        return end

    @property
    def answer(self) -> str:
        return reply_text(self.messages)


class Work:
    """One turn: run it with `await work(model)`."""

    def __init__(self, **settings: Any) -> None:
        self.tools = Tools()
        self.sink = Sink()
        self.settings = AgentSettings(**settings)
        self.asks = "Where is it?"
        self.sampling = Sampling()
        self.format: OutputFormat | None = None
        self.earlier: tuple[Message, ...] = ()
        self.produced: tuple[Message, ...] = ()

    async def __call__(self, model: Model) -> Sink:
        turn = Turn("turn_1", "k", (user(self.asks),), "api", sampling=self.sampling, format=self.format)
        history = History((*self.earlier, *turn.input, *self.produced))
        agent = Agent(self.tools.set, FakeClock(), self.settings, WorkerSchemas(WorkerPool(), 100_000))
        async with asyncio.timeout(BOUND_S):
            await agent.run(
                turn,
                model,
                history,
                produced=self.produced,
                emit=self.sink.emit,
                show=self.sink.events.append,
                take_back=self.sink.take_back,
            )
        return self.sink


def look(*places: str, name: str = "look", text: str = "") -> Say:
    """The answer that looks at `places`, all in one step."""
    calls = tuple(ToolCall(f"call_{place}", name, f'{{"at": "{place}"}}') for place in places)
    return Say(
        (text,), Message("assistant", (*((Text(text),) if text else ()), *calls), "tool_calls", Usage(10, 5))
    )


def ends(text: str, why: StopReason) -> Say:
    return Say((text,), Message("assistant", (Text(text),) if text else (), why, Usage(10, 5)))


EMPTY = Say((), Message("assistant", (), "stop", Usage(7, 0)))


def last_text(request: ModelRequest) -> str:
    return request.messages[-1].text
