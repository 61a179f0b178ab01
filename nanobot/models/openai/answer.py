"""An answer as OpenAI-compatible servers write it, chunk by chunk, to deltas and one message.

Tolerant where servers differ: unknown fields, nulls for lists, calls without index or id, usage in any chunk,
whole answers.
Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

import random
from typing import Any

import msgspec

from nanobot.core.errors import ModelBadAnswer, ModelOverloaded
from nanobot.core.event import Delta, TextDelta, ThinkingDelta
from nanobot.core.message import Message, Part, StopReason, Text, Thinking, ToolCall, Usage
from nanobot.models.openai.think import ThinkTags
from nanobot.models.refusals import ErrorSource, Failed, error_in_answer

# The wire's words ---------------------------------------------------------------------------------

_Count = int | float | None


class _DeltaFunction(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _DeltaCall(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _DeltaFunction | None = None


class _Delta(msgspec.Struct, gc=False):
    # Any: a string from most, a list of parts or an object from some.
    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: list[_DeltaCall] | None = None
    function_call: _DeltaFunction | None = None

    def has_only_content(self) -> bool:
        return (
            self.tool_calls is None
            and self.reasoning_content is None
            and self.reasoning is None
            and self.refusal is None
            and self.function_call is None
        )


class _PromptUsage(msgspec.Struct, gc=False):
    cached_tokens: _Count = None


class _CompletionUsage(msgspec.Struct, gc=False):
    reasoning_tokens: _Count = None


class _AnswerUsage(msgspec.Struct, gc=False):
    prompt_tokens: _Count = None
    completion_tokens: _Count = None
    prompt_cache_hit_tokens: _Count = None
    prompt_tokens_details: _PromptUsage | None = None
    completion_tokens_details: _CompletionUsage | None = None


class _AnswerChoice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None
    usage: _AnswerUsage | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_AnswerChoice] | None = None
    usage: _AnswerUsage | None = None
    error: Any = None
    object: str | None = None


_decode = msgspec.json.Decoder(_Chunk).decode

_STOP_REASONS: dict[str, StopReason] = {
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_BROKEN_OFF = frozenset({"error", "abort", "network_error"})

# ------------------------------------------------------------------------------------------------------------------------


class _OpenCall:
    """A tool call while its pieces come."""

    __slots__ = ("arguments", "id", "index", "name")

    def __init__(self, index: int) -> None:
        self.index = index
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []


class _CallAssembly:
    """Puts tool calls together from their pieces, whichever of index, id and name a server uses to tell them
    apart.
    """

    __slots__ = ("_at", "_calls")

    def __init__(self) -> None:
        self._calls: list[_OpenCall] = []
        self._at: dict[int, _OpenCall] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, piece: _DeltaCall) -> None:
        function = piece.function or _DeltaFunction()
        call = self._find(piece, function.name)
        call.id = call.id or piece.id or ""
        call.name = call.name or function.name or ""
        if isinstance(function.arguments, str):
            call.arguments.append(function.arguments)
        elif function.arguments is not None:
            call.arguments.append(msgspec.json.encode(function.arguments).decode())

    def calls(self) -> list[_OpenCall]:
        """Return the calls in index order."""
        return sorted(self._calls, key=lambda call: call.index)

    def _find(self, piece: _DeltaCall, name: str | None) -> _OpenCall:
        if piece.index is not None:
            known = self._at.get(piece.index)
            # Some servers number every call 0; a new id with a name is a new call all the same.
            another = known is not None and piece.id and known.id and piece.id != known.id and name
            return known if known is not None and not another else self._open(piece.index)
        if piece.id:
            known = next((call for call in self._calls if call.id == piece.id), None)
            return known or self._open(len(self._calls))
        if self._calls and not name:
            return self._calls[-1]
        return self._open(len(self._calls))

    def _open(self, index: int) -> _OpenCall:
        call = _OpenCall(index)
        self._calls.append(call)
        self._at[index] = call
        return call


class AnswerReader:
    """Collects one answer.

    `heard`: a choice has come. `finished`: the model has said that it is done; its usage may follow.
    """

    def __init__(self, source: ErrorSource, asked: tuple[Message, ...], random: random.Random) -> None:
        self.heard = False
        self.finished = False
        self._source = source
        self._asked = asked
        self._random = random
        self._tags: ThinkTags | None = ThinkTags()
        self._parts: list[Part] = []
        self._kind: type[Delta] = TextDelta
        self._pieces: list[str] = []
        self._calls = _CallAssembly()
        self._usage: _AnswerUsage | None = None
        self._finish_reason = "stop"

    def take(self, payload: bytes, deltas: list[Delta]) -> None:
        """Read one chunk (or one whole answer) and append what it adds to `deltas`.

        Raises:
            Failed: it is no chunk of a chat completion, or an error in its place.
        """
        try:
            chunk = _decode(payload)
            failure: object = msgspec.json.decode(payload) if chunk.error or chunk.object == "error" else None
        except (ValueError, RecursionError) as error:
            raise Failed(
                ModelBadAnswer(
                    f"{self._source.name} sent a chunk that is not one of a chat completion: {error}"
                )
            ) from None
        if failure is not None:
            raise error_in_answer(self._source, failure)
        if chunk.usage is not None:
            self._usage = chunk.usage
        if not chunk.choices:
            return
        for choice in chunk.choices:
            if choice.index:
                continue
            self.heard = True
            said = choice.delta or choice.message
            if said is not None:
                text = said.content
                if (
                    type(text) is str
                    and text
                    and self._kind is TextDelta
                    and self._tags is None
                    and said.has_only_content()
                ):
                    # most of an answer comes through here
                    self._pieces.append(text)
                    deltas.append(TextDelta(text))
                else:
                    self._hear(said, deltas)
            if choice.usage is not None:
                self._usage = choice.usage
            if choice.finish_reason:
                self._finish(choice.finish_reason)

    def end(self, deltas: list[Delta]) -> None:
        """Append what was held back to `deltas`; nothing more comes."""
        if self._tags is not None:
            self._keep(self._tags.end(), deltas)
            self._tags = None

    def message(self) -> Message:
        """Return the message: the parts in order of arrival, then the tool calls.

        Raises:
            Failed: a tool call has no name.
        """
        self._close_part()
        stop_reason = _STOP_REASONS.get(self._finish_reason, "stop")
        if self._calls and stop_reason != "length":
            stop_reason = "tool_calls"
        elif not self._calls and stop_reason == "tool_calls":
            stop_reason = "stop"
        parts = (*self._parts, *self._tool_calls()) if self._calls else tuple(self._parts)
        return Message("assistant", parts, stop_reason, _counted(self._usage), self._source.name)

    def _hear(self, said: _Delta, deltas: list[Delta]) -> None:
        thought = said.reasoning_content or said.reasoning
        if thought and isinstance(thought, str):
            self._keep([ThinkingDelta(thought)], deltas)
        content = said.content
        if content:
            if isinstance(content, str):
                self._hear_text(content, deltas)
            elif isinstance(content, list):
                self._hear_parts(content, deltas)
        if said.refusal and isinstance(said.refusal, str):
            self._hear_text(said.refusal, deltas)
        if said.tool_calls:
            for piece in said.tool_calls:
                self._calls.add(piece)
        if said.function_call is not None:
            self._calls.add(_DeltaCall(0, None, said.function_call))

    def _hear_text(self, text: str, deltas: list[Delta]) -> None:
        if self._tags is None:
            self._keep([TextDelta(text)], deltas)
            return
        self._keep(self._tags.feed(text), deltas)
        if self._tags.passed:
            self._tags = None

    def _hear_parts(self, parts: list[Any], deltas: list[Delta]) -> None:
        """Hear content that comes as a list of `text` and `thinking` parts (Mistral)."""
        for part in parts:
            if not isinstance(part, dict):
                continue
            if isinstance(text := part.get("text"), str) and text:
                self._hear_text(text, deltas)
            thoughts = part.get("thinking")
            for thought in thoughts if isinstance(thoughts, list) else [{"text": thoughts}]:
                if isinstance(thought, dict) and isinstance(text := thought.get("text"), str) and text:
                    self._keep([ThinkingDelta(text)], deltas)

    def _keep(self, new: list[Delta], deltas: list[Delta]) -> None:
        for delta in new:
            if type(delta) is not self._kind:
                self._close_part()
                self._kind = type(delta)
            self._pieces.append(delta.text)
            deltas.append(delta)

    def _close_part(self) -> None:
        if self._pieces:
            text = "".join(self._pieces)
            self._parts.append(Text(text) if self._kind is TextDelta else Thinking(text))
            self._pieces.clear()

    def _finish(self, reason: str) -> None:
        name = self._source.name
        if reason in _BROKEN_OFF:
            raise Failed(ModelBadAnswer(f"{name} broke off its answer: finish_reason {reason!r}"), again=True)
        if reason == "insufficient_system_resource":
            raise Failed(
                ModelOverloaded(f"{name} broke off its answer: it is short of resources"), again=True
            )
        self.finished = True
        self._finish_reason = reason

    def _tool_calls(self) -> list[ToolCall]:
        taken = {part.id for message in self._asked for part in message.parts if isinstance(part, ToolCall)}
        calls: list[ToolCall] = []
        for call in self._calls.calls():
            if not call.name:
                raise Failed(ModelBadAnswer(f"{self._source.name} sent a tool call without a name"))
            # Servers that count from zero in each answer would make two calls of one transcript look like the
            # same.
            known = not call.id or call.id in taken
            call_id = f"call_{self._random.getrandbits(96):024x}" if known else call.id
            taken.add(call_id)
            calls.append(ToolCall(call_id, call.name, "".join(call.arguments)))
        return calls


def _counted(usage: _AnswerUsage | None) -> Usage | None:
    if usage is None:
        return None
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    cached = prompt.cached_tokens if prompt is not None else None
    return Usage(
        int(usage.prompt_tokens or 0),
        int(usage.completion_tokens or 0),
        int((usage.prompt_cache_hit_tokens if cached is None else cached) or 0),
        int((completion.reasoning_tokens if completion is not None else None) or 0),
    )
