"""The agent loop: ask, run the tool calls of the step, repeat; every fact goes to one sink."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

import msgspec

from nanobot.agent.toolset import MalformedCall, Toolset
from nanobot.context import prompt
from nanobot.context.build import build, history_budget, offered, tools_size, with_added
from nanobot.context.output import InvalidOutput, conform, in_words, mend_in_words
from nanobot.core.clock import Clock
from nanobot.core.dispatch import History
from nanobot.core.errors import ContextOverflow, ModelBadAnswer, ModelLacksAbility, NanobotError
from nanobot.core.event import (
    Delta,
    Fact,
    MessageAdded,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolStarted,
    TurnEnded,
)
from nanobot.core.message import Message, Part, Text, Thinking, ToolCall, ToolResult, Usage
from nanobot.core.model import Model, ModelRequest
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.core.turn import Turn

Emit = Callable[[tuple[Fact, ...]], Awaitable[tuple[Message, ...]]]
"""Commits facts; returns user messages that joined the turn meanwhile (see `core.store.Store.append`)."""


def _nothing(delta: Delta) -> None:
    """Show nobody."""


OUTCOME_UNKNOWN = (
    "Error: this call was cut off while it was running; its outcome is unknown. Check before you repeat it."
)


class AgentSettings(msgspec.Struct, frozen=True):
    """Bounds of a turn.

    `window_tokens`: the most that prompt and answer may have together, whatever the model could take.
    """

    max_steps: int = 50
    window_tokens: int = 32_000
    max_empty: int = 2
    max_continuations: int = 2
    max_malformed_steps: int = 3
    max_overflows: int = 2
    max_repairs: int = 1


class Agent:
    """Answers turns with a model and a set of tools."""

    def __init__(
        self, toolset: Toolset, clock: Clock, settings: AgentSettings, observer: Observer = NULL_OBSERVER
    ) -> None:
        self._observer = observer
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
        self,
        turn: Turn,
        model: Model,
        history: History,
        *,
        made: tuple[Message, ...],
        emit: Emit,
        show: Callable[[Delta], None],
    ) -> None:
        """Bring the turn to its end. `history` ends with its input and what it `made` before a restart.

        Raises:
            ModelError: the model failed.
            NanobotError: what `emit` raises.
        """
        await _TurnRun(self, turn, model, history, made, emit, show).run()


class _TurnRun:
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
        self._observer = agent._observer
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
        # a client tells its calls apart by their ids, in all of the conversation
        said = (*history.messages, *made) if turn.tools else made
        self._call_ids = {part.id for message in said for part in message.parts if isinstance(part, ToolCall)}
        self._offered = offered(turn, agent._toolset.specs)
        self._clients = (
            frozenset(tool.name for tool in turn.tools) if turn.tool_choice.mode != "none" else frozenset()
        )
        self._malformed_steps = 0
        self._continuations = 0

    async def run(self) -> None:
        await self._settle_lost_calls()
        if self._waits_for_client():
            await self._emit((TurnEnded("done", self._usage),))
            return
        while True:
            message = await self._ask()
            self._steps += 1
            if message.client_calls:
                await self._hand_over(message)
                return
            if message.tool_calls and self._may_call():
                await self._add(message, *(ToolStarted(call) for call in message.tool_calls))
                await self._run_calls(message.tool_calls)
            elif self._goes_on(message):
                self._continuations += 1
                await self._add(message)
            elif not await self._add(message, TurnEnded("done", self._usage)):
                return

    def _waits_for_client(self) -> bool:
        """Whether all that was left to do before a restart was to hand over the client's calls."""
        last = next((message for message in reversed(self._made) if message.role == "assistant"), None)
        return last is not None and bool(last.client_calls)

    async def _hand_over(self, message: Message) -> None:
        """End the turn with calls that the client is to run, once the server's own of the same step have
        their results.
        """
        end = TurnEnded("done", self._usage)
        own = tuple(call for call in message.tool_calls if not call.for_client)
        if not own:
            await self._emit((MessageAdded(message), end))
            return
        await self._add(message, *(ToolStarted(call) for call in own))
        await self._run_calls(own)
        await self._emit((end,))

    def _may_call(self) -> bool:
        return (
            self._steps <= self._limits.max_steps and self._malformed_steps < self._limits.max_malformed_steps
        )

    def _goes_on(self, message: Message) -> bool:
        """Whether the model was cut by a limit that the asker did not set."""
        limit = self._turn.sampling.max_output_tokens
        return (
            message.stop_reason == "length"
            and limit is None
            and self._continuations < self._limits.max_continuations
        )

    async def _add(self, message: Message, *facts: Fact) -> bool:
        """Commit a message of the model and what comes with it; return whether users' messages joined it."""
        joined = await self._emit((MessageAdded(message), *facts))
        self._history = with_added(self._history, (message, *joined))
        return bool(joined)

    # Asking ---------------------------------------------------------------------------------------

    async def _ask(self) -> Message:
        """Return the model's next message; an empty one is asked for again, as is one without the form that
        it must have; a window that is too small shows less.
        """
        empty = 0
        overflows = 0
        repairs = 0
        nudge = draft = ""
        thoughts: tuple[Part, ...] = ()
        while True:
            # what may have to be asked for again is not shown before it is right
            is_held = self._must_call or self._says_form
            try:
                message = await self._ask_once(nudge, draft, show=_nothing if is_held else self._show)
            except ModelLacksAbility:
                if not self._says_form:
                    raise
                continue
            except ContextOverflow:
                overflows += 1
                if overflows > self._limits.max_overflows:
                    raise
                self._budget_tokens //= 2
                continue
            if message.usage is not None:
                self._usage += message.usage
            if message.text or message.tool_calls or self._is_meant_empty(message):
                if is_held:
                    try:
                        message = self._in_form(message)
                    except InvalidOutput as problem:
                        repairs += 1
                        if repairs > self._limits.max_repairs:
                            raise ModelBadAnswer(
                                f"{self._model.name} did not answer as it was asked, {repairs} times: {problem}"
                            ) from problem
                        nudge, draft = (
                            prompt.NO_CALL if self._must_call else mend_in_words(problem),
                            message.text,
                        )
                        continue
                    self._show_all(message)
                return (
                    msgspec.structs.replace(message, parts=thoughts + message.parts) if thoughts else message
                )
            # followers have seen them: they belong to the turn's line
            thoughts += () if is_held else message.parts
            nudge, draft = prompt.ANSWER_WAS_EMPTY, ""
            empty += 1
            if empty > self._limits.max_empty:
                raise ModelBadAnswer(f"{self._model.name} answered nothing, {empty} times")

    @property
    def _must_call(self) -> bool:
        """Whether the client insists on a call of its tools."""
        return self._turn.tool_choice.mode == "required" and bool(self._turn.tools)

    @property
    def _says_form(self) -> bool:
        """Whether the model must be told in words what its answer is to look like, and what it answers be
        checked.
        """
        wanted = self._turn.format
        return wanted is not None and wanted.kind not in self._model.abilities

    def _in_form(self, message: Message) -> Message:
        """Return the message as it was asked for.

        Raises:
            Unfit
        """
        if message.tool_calls or message.stop_reason == "length":
            return message
        if self._must_call:
            raise InvalidOutput("it calls no tool")
        if self._turn.format is None:
            return message
        said = conform(message.text, self._turn.format)
        kept = tuple(part for part in message.parts if not isinstance(part, Text))
        return msgspec.structs.replace(message, parts=(*kept, Text(said)))

    def _show_all(self, message: Message) -> None:
        for part in message.parts:
            if isinstance(part, Text):
                self._show(TextDelta(part.text))
            elif isinstance(part, Thinking):
                self._show(ThinkingDelta(part.text))

    def _is_meant_empty(self, message: Message) -> bool:
        """Whether asking again would bring nothing: the provider withheld the answer, or the asker's own
        limit was used up by thinking.
        """
        if message.stop_reason == "length":
            return self._turn.sampling.max_output_tokens is not None
        return message.stop_reason == "content_filter"

    async def _ask_once(self, nudge: str, draft: str, show: Callable[[Delta], None]) -> Message:
        may_call = (
            self._steps < self._limits.max_steps and self._malformed_steps < self._limits.max_malformed_steps
        )
        last = self._history.messages[-1] if self._history.messages else None
        if not nudge and last is not None and last.role == "assistant" and last.stop_reason == "length":
            nudge = prompt.ANSWER_WAS_CUT
        request = build(
            self._turn,
            self._history,
            tools=self._offered if may_call else (),
            budget_tokens=self._budget_tokens,
            now=self._clock.now(),
            hint="" if may_call else prompt.LAST_STEP,
            nudge=nudge,
            draft=draft,
            form=in_words(self._turn.format) if self._turn.format is not None and self._says_form else "",
        )
        return self._own(await self._listen(request, show), may_call)

    async def _listen(self, request: ModelRequest, show: Callable[[Delta], None]) -> Message:
        """Show what the model says as it comes; return its message."""
        observer, turn, name = self._observer, self._turn, self._model.name
        has_spoken = False
        problem: NanobotError | None = None
        answer: Message | None = None
        observer.model_asked(turn, name)
        stream = self._model.stream(request)
        try:
            async for item in stream:
                if not has_spoken:
                    has_spoken = True
                    observer.model_spoke(turn, name)
                if isinstance(item, Message):
                    answer = item
                    return item
                show(item)
            problem = ModelBadAnswer(f"{name} ended without a message")
            raise problem
        except NanobotError as error:
            problem = error
            raise
        finally:
            if answer is None:
                observer.model_failed(turn, name, problem)
            else:
                observer.model_answered(turn, name, answer)
            await stream.aclose()

    def _own(self, message: Message, may_call: bool) -> Message:
        """Give each call an id that is its own in this turn (some providers count from 0 in each message);
        drop calls nobody asked for.
        """
        parts = []
        is_alone = self._turn.sampling.parallel_tool_calls is False
        has_call = False
        for part in message.parts:
            if isinstance(part, ToolCall):
                if not may_call or (is_alone and has_call):
                    continue
                has_call = True
                part = ToolCall(self._own_id(part.id), part.name, part.arguments, part.name in self._clients)
            parts.append(part)
        kept = tuple(part for part in parts if not isinstance(part, Text) or part.text)
        return msgspec.structs.replace(message, parts=kept, model=message.model or self._model.name)

    def _own_id(self, id_: str) -> str:
        own = next(
            own for number in count() if (own := f"{id_}-{number}" if number else id_) not in self._call_ids
        )
        self._call_ids.add(own)
        return own

    # Tools ----------------------------------------------------------------------------------------

    async def _settle_lost_calls(self) -> None:
        """After a restart: run again what may be repeated, say of the rest that nobody knows."""
        answered = {result.call_id for message in self._made for result in message.tool_results}
        lost = [
            call
            for message in self._made
            for call in message.tool_calls
            if call.id not in answered and not call.for_client
        ]
        for call in lost:
            if self._toolset.is_repeatable(call):
                await self._run_call(call)
            else:
                await self._finish(ToolResult(call.id, OUTCOME_UNKNOWN, is_error=True))

    async def _run_calls(self, calls: tuple[ToolCall, ...]) -> None:
        self._malformed_steps = (
            self._malformed_steps + 1 if all(self._is_malformed(call) for call in calls) else 0
        )
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
        await self._finish(
            await self._toolset.run(call, turn_id=self._turn.id, session_key=self._turn.session_key)
        )

    async def _finish(self, result: ToolResult) -> None:
        message = Message("tool", (result,))
        joined = await self._emit((ToolFinished(message),))
        self._history = with_added(self._history, (message, *joined))
