"""The agent loop: ask the model, run the tool calls of the step, repeat; every fact goes to one sink."""

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from nanobot.agent.limits import AgentSettings, Show
from nanobot.agent.model_call import ModelCall, TakeBack, window_set
from nanobot.agent.permissions import Permissions, TurnPermissions
from nanobot.agent.question import question
from nanobot.agent.recaller import Recaller
from nanobot.agent.tool_calls import ToolCalls, what_was_read
from nanobot.agent.toolset import Toolset
from nanobot.context.build import (
    further_tools,
    hint_of,
    history_budget,
    not_among,
    offered_tools,
    tools_size,
    with_added,
)
from nanobot.context.files import uncut_excess
from nanobot.context.history import left_out, refuse_too_long
from nanobot.context.profile import NO_PROFILE, Profile, profile
from nanobot.context.results import result_budget, results_excess
from nanobot.core.audience import Audience
from nanobot.core.clock import Clock
from nanobot.core.dispatch import History, LeftOut
from nanobot.core.errors import ApprovalChanged, ContextOverflow
from nanobot.core.event import Fact, MessageAdded, ToolFinished, ToolStarted, TurnEnded
from nanobot.core.message import (
    Message,
    SeenResult,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    estimate_tokens,
)
from nanobot.core.model import Model
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.core.output import OutputSchemas
from nanobot.core.persona import Persona, Personas
from nanobot.core.policy import Policy
from nanobot.core.turn import Turn

_MOST_TRIES = 3
_FITS_ANY_WINDOW = 200
_CHARS_A_TOKEN = 4
Emit = Callable[[tuple[Fact, ...]], Awaitable[tuple[Message, ...]]]
"""Commits facts; returns the users' messages that joined the turn meanwhile, as `Dispatch.append` does."""


class Agent:
    """Answers turns with a model and a set of tools.

    `secret`: what the names of sessions are made with that models get; by default one of its own.
    `personas`: who answers in which sessions. `recaller`: looks for earlier messages that the model does not
    see. `permissions`: decides which calls run.
    """

    def __init__(
        self,
        toolset: Toolset,
        clock: Clock,
        settings: AgentSettings,
        schemas: OutputSchemas,
        observer: Observer = NULL_OBSERVER,
        *,
        secret: bytes = b"",
        personas: Personas | None = None,
        recaller: Recaller | None = None,
        permissions: Permissions | None = None,
    ) -> None:
        # By default what the tools say of themselves holds, and nobody can be asked.
        self._permissions = permissions or Permissions(Policy(), None, clock)
        self._personas = personas or Personas()
        self._secret = secret or os.urandom(32)
        self._schemas = schemas
        self._observer = observer
        self._toolset = toolset
        self._clock = clock
        self._settings = settings
        self._recaller = recaller
        self._tools_tokens: dict[tuple[frozenset[str] | None, bool, int], int] = {}

    @property
    def window_tokens(self) -> int:
        """The most history that any turn may need."""
        return self._settings.window_tokens

    def budget(self, turn: Turn, model: Model) -> int:
        """Return how many tokens of history the turn may show to the model."""
        persona = self._personas.of(turn.session_key)
        window = self._settings.window_tokens
        tokens = self._size_of_tools(persona, model, turn.session_key)
        return history_budget(model.context_tokens, window, turn, tokens, persona)

    def _size_of_tools(self, persona: Persona, model: Model, session_key: str) -> int:
        """Return how many tokens the server's own tools take that the persona may offer to the model."""
        toolset = self._toolset
        own = toolset.specs_for(model.abilities, session_key=session_key)
        asked = persona.tools, "reading_on" in model.abilities, len(own)
        tokens = self._tools_tokens.get(asked)
        if tokens is None:
            own += not_among(own, toolset.file_specs + toolset.history_specs)
            tokens = self._tools_tokens[asked] = tools_size(persona.offered(own))
        return tokens

    def model_of(self, session_key: str) -> str | None:
        """Return the preset that answers in the session where nothing else names one; None: the default."""
        return self._personas.of(session_key).model

    def session_hint(self, session_key: str) -> str:
        """Return the name that models get of the session; see `ModelRequest`."""
        return hint_of(session_key, self._secret)

    def left_out(self, turn: Turn, model: Model) -> LeftOut | None:
        """Return what the turn does not show of its conversation; None where more may be of use: to find its
        question, or the ids of the calls that its client knows.
        """
        if turn.tools or turn.input[-1].role != "user":
            return None
        return partial(left_out, budget_tokens=self.budget(turn, model))

    def unloaded_tokens(self, turn: Turn, model: Model, history: History) -> int:
        """Return how many tokens of history must be loaded because files and results in `history` are not
        shown whole; 0 where it is enough.
        """
        budget_tokens = self.budget(turn, model)
        excess = self.unshown_tokens(history.messages, budget_tokens)
        if not excess or sum(map(estimate_tokens, history.messages)) - excess >= budget_tokens:
            return 0
        return budget_tokens + excess

    def unshown_tokens(self, messages: Sequence[Message], budget_tokens: int) -> int:
        """Return how many tokens the files and results in `messages` have more than what is shown of them."""
        shown = result_budget(budget_tokens, self._settings.result_share)
        return uncut_excess(messages, budget_tokens) + results_excess(messages, shown)

    def check_length(self, turn: Turn, model: Model) -> None:
        """Return where each new message of the turn fits the window by itself, and the instructions do.

        Raises:
            ContextOverflow
        """
        fixed = len(turn.instructions) // _CHARS_A_TOKEN
        if fixed > model.context_tokens:
            raise ContextOverflow(
                f"the instructions have about {fixed} tokens, more than the window of {model.name} "
                f"({model.context_tokens} tokens: model.context_tokens): shorten them, or choose a larger "
                "model"
            )
        for message in turn.input:
            # Short ones fit any window.
            if (
                len(message.parts) == 1
                and isinstance(message.parts[0], Text)
                and len(message.text) <= _FITS_ANY_WINDOW
            ):
                continue
            try:
                refuse_too_long(message, self.budget(turn, model))
            except ContextOverflow as error:
                raise ContextOverflow(f"{error.message} ({window_set(model, self._settings)})") from None

    async def run(
        self,
        turn: Turn,
        model: Model,
        history: History,
        *,
        produced: tuple[Message, ...],
        emit: Emit,
        show: Show,
        take_back: TakeBack,
        audience: Audience | None = None,
    ) -> None:
        """Bring the turn to its end. `history` ends with its input, followed by the messages that it
        `produced` before a restart. `audience` reads what is shown.

        Raises:
            ModelError: the model failed.
            NanobotError: what `emit` raises.
        """
        # A client tells its calls apart by their ids over the whole conversation, not only within a turn.
        earlier = (*history.messages, *produced) if turn.tools else produced
        persona = self._personas.of(turn.session_key)
        toolset = self._toolset.limited_to(persona.tools)
        permissions = TurnPermissions(
            self._permissions,
            turn,
            toolset,
            [call for message in produced for call in message.tool_calls] if produced else (),
        )
        persona = permissions.limited(persona)
        profile = self._profile_of(turn, model, history) if persona.remembers else NO_PROFILE
        budget_tokens = self.budget(turn, model) - profile.tokens
        model_call = ModelCall(
            turn,
            model,
            show,
            take_back,
            audience=audience,
            persona=persona,
            tools=offered_tools(
                turn,
                self._toolset.specs_for(
                    model.abilities, session_key=turn.session_key, leaves_trace=turn.trace
                ),
                persona,
            ),
            file_tools=further_tools(turn, self._toolset.file_specs, persona),
            history_tools=further_tools(turn, self._toolset.history_specs, persona),
            recaller=self._recaller,
            profile=profile,
            budget_tokens=budget_tokens,
            call_ids={part.id for message in earlier for part in message.parts if isinstance(part, ToolCall)},
            usage=sum((message.usage or Usage() for message in produced), Usage()),
            clock=self._clock,
            limits=self._settings,
            schemas=self._schemas,
            observer=self._observer,
            secret=self._secret,
        )
        read = what_was_read(turn, produced, self._toolset)
        most_calls = self._settings.max_calls_per_step
        result_tokens = result_budget(budget_tokens, self._settings.result_share)
        tool_calls = ToolCalls(
            toolset,
            turn,
            most_calls,
            result_tokens,
            permissions,
            read,
            sees_images="images" in model.abilities,
        )
        await _TurnRun(turn, history, produced, emit, model_call, tool_calls, self._settings).run()

    def _profile_of(self, turn: Turn, model: Model, history: History) -> Profile:
        """Return what the turn's model is told of what is remembered."""
        tokens = self._settings.profile_tokens
        if not turn.trace or not tokens or not history.known.facts:
            return NO_PROFILE
        is_short = "reading_on" not in model.abilities
        return profile(history.known, tokens, secret=self._secret, is_short=is_short)


class _TurnRun:
    """One turn under way: its transcript, and how many of its steps are used up."""

    def __init__(
        self,
        turn: Turn,
        history: History,
        produced: tuple[Message, ...],
        emit: Emit,
        model_call: ModelCall,
        tool_calls: ToolCalls,
        limits: AgentSettings,
    ) -> None:
        self._turn = turn
        self._known = history
        self._added: list[Message] = []
        self._produced = produced
        self._emit = emit
        self._model_call = model_call
        self._tool_calls = tool_calls
        self._limits = limits
        self._steps = sum(1 for message in produced if message.role == "assistant")
        self._continuations = 0

    async def run(self) -> None:
        if self._produced:
            # Before the model is asked: it must read what became of the calls that the restart cut off.
            await self._tool_calls.settle(self._produced, self._add_results)
            if self._waits_for_client():
                await self._emit((self._end(),))
                return
        while True:
            await self._take_answer()
            message = await self._model_call.ask(self._history(), may_call=self._may_call())
            self._steps += 1
            if message.client_calls:
                await self._hand_over(message)
                return
            if message.tool_calls:
                if await self._run_calls(message):
                    return
            elif self._goes_on(message):
                self._continuations += 1
                await self._add(message)
            elif not await self._add(message, self._end()):
                # Otherwise users' messages joined: the store has dropped the end, and the turn goes on.
                return

    def _history(self) -> History:
        """Return the transcript so far; what was added since the last time is joined to it at once."""
        if self._added:
            self._known = with_added(self._known, tuple(self._added))
            self._added.clear()
        return self._known

    def _end(self) -> TurnEnded:
        return TurnEnded("done", self._model_call.usage)

    def _waits_for_client(self) -> bool:
        """Whether all that was left to do before a restart was to hand over the client's calls."""
        last = next((message for message in reversed(self._produced) if message.role == "assistant"), None)
        return last is not None and bool(last.client_calls)

    def _may_call(self) -> bool:
        """Whether the next message may call tools."""
        limits = self._limits
        return (
            self._steps < limits.max_steps and self._tool_calls.malformed_steps < limits.max_malformed_steps
        )

    def _goes_on(self, message: Message) -> bool:
        """Whether the message was cut off by a limit that the asker did not set, and is to be continued."""
        return (
            message.stop_reason == "length"
            and not self._model_call.was_stopped
            and self._turn.sampling.max_output_tokens is None
            and self._continuations < self._limits.max_continuations
        )

    async def _hand_over(self, message: Message) -> None:
        """End the turn with calls that the client is to run, once the server's own calls of the same step
        have their results.
        """
        end = self._end()
        if all(call.for_client for call in message.tool_calls):
            await self._emit((MessageAdded(message), end))
            return
        await self._run_calls(message)
        # Nothing joins here: while a client's call is open, no steered input does.
        await self._emit((end,))

    async def _run_calls(self, message: Message) -> bool:
        """Commit a message of the model, and run the server's calls in it; return whether the turn has ended
        with a question to its user about some of them.
        """
        for tries_left in reversed(range(_MOST_TRIES)):
            judged = await self._tool_calls.judge(message, _asker(self._history()))
            calls, too_many = self._tool_calls.split(judged)
            run = tuple(call for call in calls if not call.is_withheld)
            waiting = tuple(call for call in calls if call.is_withheld)
            if waiting and not run and not too_many:
                return await self._ask_user(waiting, judged)
            try:
                await self._add(judged, *(ToolStarted(call) for call in run))
                break
            except ApprovalChanged:
                # What a person had agreed to was taken back a moment ago.
                if not tries_left:
                    raise
        await self._tool_calls.run(run, too_many, self._add_results)
        return bool(waiting) and await self._ask_user(waiting)

    async def _ask_user(self, calls: tuple[ToolCall, ...], step: Message | None = None) -> bool:
        """End the turn with a question about calls that are withheld, and return whether it has ended: not
        where users' messages joined it. `step`: the message that makes them, unless it is committed already.
        """
        asks, results = self._tool_calls.ask(calls)
        asking = question(asks)
        told = [Message("tool", (result,)) for result in results]
        joined = await self._emit(
            (
                *((MessageAdded(step),) if step is not None else ()),
                *(ToolFinished(message) for message in told),
                MessageAdded(asking),
                self._end(),
            )
        )
        self._added += (*((step,) if step is not None else ()), *told, asking, *joined)
        return not joined

    async def _take_answer(self) -> None:
        """Where the newest messages answer a question about calls, run those that were agreed to."""
        for tries_left in reversed(range(_MOST_TRIES)):
            asked = _open_question(self._history().messages)
            settled = await self._tool_calls.answered(*asked) if asked is not None else None
            if settled is None:
                return
            told = [Message("tool", (result,)) for result in settled.results]
            try:
                joined = await self._emit(
                    (
                        MessageAdded(settled.message),
                        *(ToolStarted(call) for call in settled.calls),
                        *(ToolFinished(message) for message in told),
                    )
                )
            except ApprovalChanged:
                if not tries_left:
                    raise
                continue
            self._added += (settled.message, *told, *joined)
            if settled.calls:
                await self._tool_calls.run(settled.calls, (), self._add_results)
            return

    async def _add(self, message: Message, *facts: Fact) -> bool:
        """Commit a message of the model and what comes with it; return whether users' messages joined it."""
        joined = await self._emit((MessageAdded(message), *facts))
        self._added += (message, *joined)
        return bool(joined)

    async def _add_results(self, results: Sequence[ToolResult]) -> None:
        messages = [
            result.message() if isinstance(result, SeenResult) else Message("tool", (result,))
            for result in results
        ]
        joined = await self._emit(tuple(ToolFinished(message) for message in messages))
        self._added += (*messages, *joined)


def _open_question(messages: Sequence[Message]) -> tuple[Message, tuple[Message, ...]] | None:
    """Return the question about calls that stands before the newest messages, all of users, and those; None
    where there is none.
    """
    at = len(messages)
    while at and messages[at - 1].role == "user":
        at -= 1
    if not 0 < at < len(messages) or not messages[at - 1].asks:
        return None
    return messages[at - 1], tuple(messages[at:])


def _asker(history: History) -> str | None:
    """Return the name of the participant who spoke last; None where they have none."""
    return next((message.name for message in reversed(history.messages) if message.role == "user"), None)
