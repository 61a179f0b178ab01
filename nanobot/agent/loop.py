"""The agent loop: ask, run the tool calls of the step, repeat; every fact goes to one sink."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

import msgspec

from nanobot.agent.toolset import MalformedCall, Toolset
from nanobot.context import prompt
from nanobot.context.build import build, history_budget, tools_size, with_added
from nanobot.core.clock import Clock
from nanobot.core.errors import ContextOverflow, ModelBadAnswer, NanobotError
from nanobot.core.event import Delta, Fact, MessageAdded, ToolFinished, ToolStarted, TurnEnded
from nanobot.core.message import Message, Part, Text, ToolCall, ToolResult, Usage
from nanobot.core.model import Model
from nanobot.core.store import History
from nanobot.core.turn import Turn

Emit = Callable[[tuple[Fact, ...]], Awaitable[tuple[Message, ...]]]
"""Commits facts; returns user messages that joined the turn meanwhile (see `core.store.Store.append`)."""

OUTCOME_UNKNOWN = "Error: this call was cut off while it was running; its outcome is unknown. Check before you repeat it."


class Settings(msgspec.Struct, frozen=True):
    """Bounds of a turn. `window_tokens`: the most that prompt and answer may have together, whatever the model could take."""

    max_steps: int = 50
    window_tokens: int = 32_000
    max_empty: int = 2
    max_continuations: int = 2
    max_malformed_steps: int = 3
    max_overflows: int = 2


class Agent:
    """Answers turns with a model and a set of tools."""

    def __init__(self, toolset: Toolset, clock: Clock, settings: Settings) -> None:
        self._toolset = toolset
        self._clock = clock
        self._settings = settings
        self._tools_tokens = tools_size(toolset.specs)

    @property
    def window_tokens(self) -> int:
        """The most history that any turn may want to see."""
        return self._settings.window_tokens

    def budget(self, turn: Turn, model: Model) -> int:
        """Return how many tokens of history the turn will want to see."""
        return history_budget(model.context_tokens, self._settings.window_tokens, turn, self._tools_tokens)

    async def run(
        self, turn: Turn, model: Model, history: History, *, made: tuple[Message, ...], emit: Emit, show: Callable[[Delta], None]
    ) -> None:
        """Bring the turn to its end. `history` ends with its input and what it `made` before a restart.

        Raises:
            ModelError: the model failed.
            NanobotError: what `emit` raises.
        """
        await _Work(self, turn, model, history, made, emit, show).run()


class _Work:
    """One turn under way."""

    def __init__(
        self,
        agent: Agent,
        turn: Turn,
        model: Model,
        history: History,
        made: tuple[Message, ...],
        emit: Emit,
        show: Callable[[Delta], None],
    ) -> None:
        self._toolset = agent._toolset
        self._clock = agent._clock
        self._limits = agent._settings
        self._turn = turn
        self._model = model
        self._history = history
        self._emit = emit
        self._show = show
        self._budget_tokens = agent.budget(turn, model)
        self._made = made
        self._usage = sum((message.usage or Usage() for message in made), Usage())
        self._steps = sum(1 for message in made if message.role == "assistant")
        self._call_ids = {call.id for message in made for call in message.tool_calls}
        self._malformed_steps = 0
        self._continuations = 0

    async def run(self) -> None:
        await self._settle_lost_calls()
        while True:
            message = await self._ask()
            self._steps += 1
            if message.tool_calls and self._may_call():
                await self._add(message, *(ToolStarted(call) for call in message.tool_calls))
                await self._run_calls(message.tool_calls)
            elif self._goes_on(message):
                self._continuations += 1
                await self._add(message)
            elif not await self._add(message, TurnEnded("done", self._usage)):
                return

    def _may_call(self) -> bool:
        return self._steps <= self._limits.max_steps and self._malformed_steps < self._limits.max_malformed_steps

    def _goes_on(self, message: Message) -> bool:
        """Whether the model was cut by a limit that the asker did not set."""
        limit = self._turn.sampling.max_output_tokens
        return message.stop_reason == "length" and limit is None and self._continuations < self._limits.max_continuations

    async def _add(self, message: Message, *facts: Fact) -> bool:
        """Commit a message of the model and what comes with it; return whether users' messages joined it."""
        joined = await self._emit((MessageAdded(message), *facts))
        self._history = with_added(self._history, (message, *joined))
        return bool(joined)

    # Asking ---------------------------------------------------------------------------------------------------------------

    async def _ask(self) -> Message:
        """Return the model's next message; an empty one is asked for again, a window that is too small shows less."""
        empty = 0
        overflows = 0
        thoughts: tuple[Part, ...] = ()
        while True:
            try:
                message = await self._ask_once(prompt.ANSWER_WAS_EMPTY if empty else "")
            except ContextOverflow:
                overflows += 1
                if overflows > self._limits.max_overflows:
                    raise
                self._budget_tokens //= 2
                continue
            if message.usage is not None:
                self._usage += message.usage
            if message.text or message.tool_calls or self._is_meant_empty(message):
                return msgspec.structs.replace(message, parts=thoughts + message.parts) if thoughts else message
            thoughts += message.parts  # followers have seen them: they belong to the turn's line
            empty += 1
            if empty > self._limits.max_empty:
                raise ModelBadAnswer(f"{self._model.name} answered nothing, {empty} times")

    def _is_meant_empty(self, message: Message) -> bool:
        """Whether asking again would bring nothing: the provider withheld the answer, or the asker's own limit was used up by thinking."""
        if message.stop_reason == "length":
            return self._turn.sampling.max_output_tokens is not None
        return message.stop_reason == "content_filter"

    async def _ask_once(self, nudge: str) -> Message:
        may_call = self._steps < self._limits.max_steps and self._malformed_steps < self._limits.max_malformed_steps
        last = self._history.messages[-1] if self._history.messages else None
        if not nudge and last is not None and last.role == "assistant" and last.stop_reason == "length":
            nudge = prompt.ANSWER_WAS_CUT
        request = build(
            self._turn,
            self._history,
            tools=self._toolset.specs if may_call else (),
            budget_tokens=self._budget_tokens,
            now=self._clock.now(),
            hint="" if may_call else prompt.LAST_STEP,
            nudge=nudge,
        )
        stream = self._model.stream(request)
        try:
            async for item in stream:
                if isinstance(item, Message):
                    return self._own(item, may_call)
                self._show(item)
        finally:
            await stream.aclose()
        raise ModelBadAnswer(f"{self._model.name} ended without a message")

    def _own(self, message: Message, may_call: bool) -> Message:
        """Give each call an id that is its own in this turn (some providers count from 0 in each message); drop calls nobody asked for."""
        parts = []
        for part in message.parts:
            if isinstance(part, ToolCall):
                if not may_call:
                    continue
                part = ToolCall(self._own_id(part.id), part.name, part.arguments)
            parts.append(part)
        kept = tuple(part for part in parts if not isinstance(part, Text) or part.text)
        return msgspec.structs.replace(message, parts=kept, model=message.model or self._model.name)

    def _own_id(self, id_: str) -> str:
        own = next(own for number in count() if (own := f"{id_}-{number}" if number else id_) not in self._call_ids)
        self._call_ids.add(own)
        return own

    # Tools ----------------------------------------------------------------------------------------------------------------

    async def _settle_lost_calls(self) -> None:
        """After a restart: run again what may be repeated, say of the rest that nobody knows."""
        answered = {result.call_id for message in self._made for result in message.tool_results}
        lost = [call for message in self._made for call in message.tool_calls if call.id not in answered]
        for call in lost:
            if self._toolset.is_repeatable(call):
                await self._run_call(call)
            else:
                await self._finish(ToolResult(call.id, OUTCOME_UNKNOWN, is_error=True))

    async def _run_calls(self, calls: tuple[ToolCall, ...]) -> None:
        self._malformed_steps = self._malformed_steps + 1 if all(self._is_malformed(call) for call in calls) else 0
        together = [call for call in calls if self._toolset.is_concurrent(call)]
        if len(together) > 1:
            try:
                async with asyncio.TaskGroup() as group:
                    for call in together:
                        group.create_task(self._run_call(call))
            except* NanobotError as failures:
                raise failures.exceptions[0] from None
        else:
            for call in together:
                await self._run_call(call)
        for call in calls:
            if not self._toolset.is_concurrent(call):
                await self._run_call(call)

    def _is_malformed(self, call: ToolCall) -> bool:
        try:
            self._toolset.check(call)
        except MalformedCall:
            return True
        return False

    async def _run_call(self, call: ToolCall) -> None:
        await self._finish(await self._toolset.run(call, turn_id=self._turn.id, session_key=self._turn.session_key))

    async def _finish(self, result: ToolResult) -> None:
        message = Message("tool", (result,))
        joined = await self._emit((ToolFinished(message),))
        self._history = with_added(self._history, (message, *joined))
