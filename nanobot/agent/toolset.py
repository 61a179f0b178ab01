"""The tools of a turn: find, validate, time-limit, run one call."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from nanobot.core.errors import ToolError
from nanobot.core.message import AskingResult, SeenResult, ToolCall, ToolResult
from nanobot.core.model import Ability
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.core.origin import Origin, ReadOrigin
from nanobot.core.tool import (
    NONE_DEFERRED,
    PASSING_PREFIX,
    DeferredTools,
    Tell,
    Tool,
    ToolContext,
    ToolSpec,
    tell_nobody,
)
from nanobot.core.tool_question import AnsweredQuestion
from nanobot.core.turn import Turn

MAX_RESULT_CHARS = 400_000
_NO_NAMES: frozenset[str] = frozenset()
_log = logging.getLogger(__name__)


class MalformedCall(ToolError):
    """The model called a tool that the server does not have, or with arguments that do not fit."""

    code = "malformed_call"


class _Specs(NamedTuple):
    """What models are told of a toolset; as the properties of `Toolset` say, `simple` without the tools that
    are demanding, `noting` with those of them that are for wishes in
    so many words.
    """

    always: tuple[ToolSpec, ...]
    simple: tuple[ToolSpec, ...]
    noting: tuple[ToolSpec, ...]
    files: tuple[ToolSpec, ...]
    history: tuple[ToolSpec, ...]


class Toolset:
    """The server's own tools; their names are unique.

    `specs`: of those that able models are offered, if some of them (`deferrable`) perhaps not from the
    beginning, and some only in sessions where they are of use; `file_specs`: of those that are where files or
    results go on; `history_specs`: of those that are where messages are out of view. `is_for_all`: no session
    lacks a tool where no policy says so.
    """

    def __init__(self, tools: Sequence[Tool], observer: Observer = NULL_OBSERVER) -> None:
        self._observer = observer
        self.version = 0
        """Counts how often the tools have changed."""
        self._specs: _Specs | None = None
        self._have(tools)

    def _have(self, tools: Sequence[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        if len(self._tools) != len(tools):
            raise ValueError("two tools have one name")
        always = [tool for tool in tools if _is_always_there(tool)]
        self._somewhere = {tool.name: tool.is_of_use for tool in always if tool.is_of_use is not None}
        self.deferrable = frozenset(tool.name for tool in tools if tool.deferrable)
        self.of_memory = frozenset(tool.name for tool in tools if tool.group == "memory")
        self._lasting = frozenset(tool.name for tool in tools if tool.lasting)
        self._specs = None
        self.tools = tuple(self._tools.values())
        self.names = tuple(self._tools)
        self.is_for_all = all(tool.by_default != "deny" and tool.sessions is None for tool in tools)

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return self._described().always

    @property
    def file_specs(self) -> tuple[ToolSpec, ...]:
        return self._described().files

    @property
    def history_specs(self) -> tuple[ToolSpec, ...]:
        return self._described().history

    def _described(self) -> _Specs:
        """Return what models are told. The schemas take some milliseconds, and are made when they are first
        asked for: neither a start nor a turn that is limited to some of the tools needs these.
        """
        if self._specs is None:
            specs = [(tool, tool.spec) for tool in self.tools]
            self._specs = _Specs(
                tuple(spec for tool, spec in specs if _is_always_there(tool)),
                tuple(spec for tool, spec in specs if _is_always_there(tool) and not tool.demanding),
                tuple(
                    spec
                    for tool, spec in specs
                    if _is_always_there(tool) and (tool.noting or not tool.demanding)
                ),
                tuple(spec for tool, spec in specs if tool.reads_on),
                tuple(spec for tool, spec in specs if tool.looks_back),
            )
        return self._specs

    def digest_of(self, name: str) -> str | None:
        """Return the digest of what is said of the tool, empty where it is ours; None: there is none."""
        tool = self._tools.get(name)
        return tool.digest if tool is not None else None

    def replace(self, group: str, tools: Sequence[Tool]) -> None:
        """Replace the tools of the group by these. A tool takes the place of the one of its name and new ones
        go to the end, so that prompts begin as before. Turns under way keep those that they were offered, as
        far as they are still there.
        """
        new = {tool.name: tool for tool in tools}
        kept: list[Tool] = []
        for tool in self._tools.values():
            # A name that another group has is taken.
            now = new.pop(tool.name, None)
            if tool.group != group:
                kept.append(tool)
            elif now is not None:
                kept.append(now)
        self._have([*kept, *new.values()])
        self.version += 1

    def of_use_in(self, session_key: str) -> frozenset[str]:
        """Return the names of the tools that the session is offered and others are not."""
        if not session_key or not self._somewhere:
            return _NO_NAMES
        here = _NO_NAMES
        # One or two tools at most, and each turn asks: a generator would cost more than all of them.
        for name, is_of_use in self._somewhere.items():
            if is_of_use(session_key):
                here |= {name}
        return here

    def specs_for(
        self, abilities: frozenset[Ability], *, session_key: str = "", leaves_trace: bool = True
    ) -> tuple[ToolSpec, ...]:
        """Return the specs of the tools that a model with these abilities is offered from the start, in a
        turn that leaves a trace or not. `session_key` empty: those that are offered in all sessions.
        """
        described = self._described()
        if "reading_on" in abilities:
            specs = described.always
        else:
            specs = described.noting if "noting" in abilities else described.simple
        left_out = self._somewhere.keys() - self.of_use_in(session_key)
        if not leaves_trace:
            left_out |= self._lasting
        return tuple(spec for spec in specs if spec.name not in left_out) if left_out else specs

    def limited_to(self, names: frozenset[str] | None) -> "Toolset":
        """Return a toolset with those of the tools that `names` has; None: all of them."""
        if names is None:
            return self
        return Toolset([tool for name, tool in self._tools.items() if name in names], self._observer)

    def groups(self, names: Iterable[str]) -> list[str]:
        """Return the groups of these tools, each once; those of none are left out."""
        return sorted({group for name in names if (group := self._tools[name].group)})

    def delegable(self, names: Iterable[str] | None) -> frozenset[str]:
        """Return the names of the tools that a turn may use which does a part of another's work; of `names`,
        None: of all.
        """
        chosen = self._tools.keys() if names is None else set(names) & self._tools.keys()
        return frozenset(name for name in chosen if not self._tools[name].of_session)

    def take_up(self, turn_id: str, parts: Sequence[str], calls: Sequence[ToolCall]) -> None:
        """Tell the tools that a turn goes on after a restart, which has made these calls; `parts`: as in
        `Tool`.
        """
        for tool in self._tools.values():
            if tool.take_up is not None:
                tool.take_up(turn_id, parts, [call.id for call in calls if call.name == tool.name])

    def is_repeatable(self, call: ToolCall) -> bool:
        """Return whether the call may be run again where the server died before it ended."""
        tool = self._tools.get(call.name)
        if tool is None:
            # One that is gone may have run before it went; one that never was has not.
            return not call.name.startswith(PASSING_PREFIX)
        return tool.repeatable

    def is_concurrent(self, call: ToolCall) -> bool:
        """Return whether the call may overlap with others of its step."""
        tool = self._tools.get(call.name)
        return tool is None or tool.concurrent

    def brings(self, call: ToolCall) -> ReadOrigin | None:
        """Return what the result of the call is that nobody in the conversation said, if it is such."""
        tool = self._tools.get(call.name)
        brings = tool.brings if tool is not None else None
        if brings is None or isinstance(brings, str):
            return brings
        try:
            return brings(self.check(call)[1])
        except MalformedCall:
            return None

    def check(self, call: ToolCall) -> tuple[Tool, msgspec.Struct | dict[str, Any]]:
        """Return the tool and its arguments.

        Raises:
            MalformedCall: what is wrong, for the model to correct.
        """
        tool = self._tools.get(call.name)
        if tool is None:
            # Those of others may be many, and are not for every session.
            own = [
                spec.name
                for spec in self.specs
                if spec.name not in self.deferrable and not spec.name.startswith(PASSING_PREFIX)
            ]
            raise MalformedCall(f"there is no tool {call.name!r}; the tools are: {', '.join(own) or 'none'}")
        # Models send an empty text for "no arguments", and write numbers as strings.
        text = call.arguments.strip() or "{}"
        try:
            arguments = msgspec.json.decode(text, type=tool.arguments, strict=False)
            if isinstance(arguments, msgspec.Struct):
                _check_names(call.name, text, arguments.__struct_encode_fields__)
            return tool, arguments
        except msgspec.ValidationError as error:
            raise MalformedCall(f"the arguments of {call.name} do not fit: {error}") from error
        except (msgspec.DecodeError, RecursionError) as error:
            raise MalformedCall(f"the arguments of {call.name} are not valid JSON: {error}") from error

    async def run(
        self,
        call: ToolCall,
        *,
        turn_id: str,
        session_key: str,
        result_tokens: int = 4_000,
        origin: Origin = "conversation",
        sees_images: bool = False,
        leaves_trace: bool = True,
        deferred: DeferredTools = NONE_DEFERRED,
        turn: Turn | None = None,
        answered: AnsweredQuestion | None = None,
        tell: Tell = tell_nobody,
    ) -> ToolResult:
        """Return the result of the call. A failure is a result too, which tells the model what happened.
        `turn`: the one that makes it. `answered`: what the call has asked before. `tell`: as in
        `ToolContext`.
        """
        result: ToolResult | None = None
        context = ToolContext(
            turn_id,
            session_key,
            call.id,
            result_tokens,
            origin,
            sees_images=sees_images,
            leaves_trace=leaves_trace,
            deferred=deferred,
            key_id=turn.key_id if turn is not None else None,
            model=turn.model if turn is not None else None,
            entry=turn.origin if turn is not None else "api",
            delegated_by=turn.account_key if turn is not None and turn.delegation is not None else None,
            answered=answered,
            tell=tell,
        )
        self._observer.tool_started(turn_id, call)
        try:
            result = await self._run(call, context)
            return result
        finally:
            self._observer.tool_ended(turn_id, call, result, is_known=call.name in self._tools)

    async def _run(self, call: ToolCall, context: ToolContext) -> ToolResult:
        try:
            tool, arguments = self.check(call)
        except MalformedCall as error:
            return ToolResult(call.id, f"Error: {error.message}", is_error=True)
        limit = asyncio.timeout(tool.timeout_s)
        try:
            async with limit:
                output = await tool.run(arguments, context)
        except ToolError as error:
            return ToolResult(call.id, f"Error: {error.message}", is_error=True)
        except Exception:  # noqa: BLE001 - a tool's bug is logged whole; the model is told
            # Asked of the timer: a tool may raise a TimeoutError of its own.
            if limit.expired():
                return ToolResult(
                    call.id,
                    f"Error: {call.name} did not end within {tool.timeout_s:g} s and was stopped",
                    is_error=True,
                )
            _log.exception("tool %s failed in turn %s", call.name, context.turn_id)
            return ToolResult(call.id, "Error: tool failed", is_error=True)
        if isinstance(output, str):
            return ToolResult(call.id, _bounded(output))
        if output.question is not None:
            return AskingResult(call.id, _bounded(output.text), is_error=True, question=output.question)
        return SeenResult(
            call.id,
            _bounded(output.text),
            files=output.files,
            plan=output.plan,
            found=output.found,
            begun=output.begun,
            answered=output.answered,
            images=output.images,
        )


def _check_names(tool: str, text: str, known: Sequence[str]) -> None:
    """Return where all arguments are ones that the tool has, or it takes none at all: what it would leave out
    may be what the call is about.

    Raises:
        MalformedCall
    """
    for name in msgspec.json.decode(text, type=dict[str, msgspec.Raw]) if known else ():
        if name not in known:
            raise MalformedCall(f"{tool} has no argument {name[:80]!r}; it has: {', '.join(known)}")


def _bounded(text: str) -> str:
    if len(text) <= MAX_RESULT_CHARS:
        return text
    return (
        f"{text[:MAX_RESULT_CHARS]}\n[cut: {len(text) - MAX_RESULT_CHARS} of {len(text)} characters left out]"
    )


def _is_always_there(tool: Tool) -> bool:
    """Return whether the tool is offered wherever it is of use, and not only where the window leaves things
    out.
    """
    return (tool.demanding or not tool.reads_on) and not tool.looks_back
