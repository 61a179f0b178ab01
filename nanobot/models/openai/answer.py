"""From the chunks of a chat completion to deltas and one message.

Tolerant where servers differ: unknown fields, nulls for lists, calls without index or id, usage in any chunk,
answers that are not streamed.
Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

import random
from typing import Any

import msgspec

from nanobot.core.errors import ModelBadAnswer, ModelOverloaded
from nanobot.core.event import Delta, TextDelta, ThinkingDelta
from nanobot.core.message import Message, Part, StopReason, Text, Thinking, ToolCall, Usage
from nanobot.models.openai.calls import CallAssembly, CallPiece, FunctionPiece
from nanobot.models.openai.think import ThinkTags
from nanobot.models.refusals import ErrorSource, RequestFailed, error_in_answer

# The shapes of the format -------------------------------------------------------------------------

_Count = int | float | None


class _Delta(msgspec.Struct, gc=False):
    # Any: most servers send strings, some a list of parts or an object.
    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: list[CallPiece] | None = None
    function_call: FunctionPiece | None = None

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

# --------------------------------------------------------------------------------------------------


class ChatAnswerReader:
    """Reads one answer; the `models.answer.AnswerReader` of this format.

    `asked`: the messages of the request, whose calls keep their ids to themselves.
    """

    def __init__(self, source: ErrorSource, asked: tuple[Message, ...], random: random.Random) -> None:
        self.has_content = False
        self.finished = False
        self.done = False
        self._source = source
        self._asked = asked
        self._random = random
        self._tags: ThinkTags | None = ThinkTags()
        self._parts: list[Part] = []
        self._kind: type[Delta] = TextDelta
        self._pieces: list[str] = []
        self._calls = CallAssembly()
        self._usage: _AnswerUsage | None = None
        self._finish_reason = "stop"

    def take(self, payload: bytes, deltas: list[Delta]) -> None:
        """Read one chunk, or one whole answer, and append what it adds to `deltas`.

        Raises:
            RequestFailed: it is no chunk of a chat completion, or an error in its place.
        """
        if payload[:1] == b"[" and payload.strip() == b"[DONE]":
            self.done = True
            return
        try:
            chunk = _decode(payload)
        except (ValueError, RecursionError) as error:
            raise self._malformed(error) from None
        if chunk.error or chunk.object == "error":
            raise self._error(payload)
        if chunk.usage is not None:
            self._usage = chunk.usage
        if not chunk.choices:
            return
        for choice in chunk.choices:
            if choice.index:
                continue
            self.has_content = True
            delta = choice.delta or choice.message
            if delta is not None:
                text = delta.content
                if (
                    type(text) is str
                    and text
                    and self._kind is TextDelta
                    and self._tags is None
                    and delta.has_only_content()
                ):
                    # The short way, for nearly all chunks of an answer.
                    self._pieces.append(text)
                    deltas.append(TextDelta(text))
                else:
                    self._take_delta(delta, deltas)
            if choice.usage is not None:
                self._usage = choice.usage
            if choice.finish_reason:
                self._finish(choice.finish_reason)

    def end(self, deltas: list[Delta]) -> None:
        """Append what was held back to `deltas`; nothing more comes."""
        if self._tags is not None:
            self._add(self._tags.end(), deltas)
            self._tags = None

    def message(self) -> Message:
        """Return the message: the parts in order of arrival, then the tool calls.

        Raises:
            RequestFailed: a tool call has no name.
        """
        self._close_part()
        stop_reason = _STOP_REASONS.get(self._finish_reason, "stop")
        if self._calls and stop_reason != "length":
            stop_reason = "tool_calls"
        elif not self._calls and stop_reason == "tool_calls":
            stop_reason = "stop"
        parts = (*self._parts, *self._tool_calls()) if self._calls else tuple(self._parts)
        return Message("assistant", parts, stop_reason, _usage_of(self._usage), self._source.name)

    def _malformed(self, error: Exception) -> RequestFailed:
        return RequestFailed(
            ModelBadAnswer(f"{self._source.name} sent a chunk that is not one of a chat completion: {error}")
        )

    def _error(self, payload: bytes) -> RequestFailed:
        try:
            content: object = msgspec.json.decode(payload)
        except (ValueError, RecursionError) as error:
            return self._malformed(error)
        return error_in_answer(self._source, content)

    def _take_delta(self, delta: _Delta, deltas: list[Delta]) -> None:
        thought = delta.reasoning_content or delta.reasoning
        if thought and isinstance(thought, str):
            self._add([ThinkingDelta(thought)], deltas)
        content = delta.content
        if content:
            if isinstance(content, str):
                self._take_text(content, deltas)
            elif isinstance(content, list):
                self._take_parts(content, deltas)
        if delta.refusal and isinstance(delta.refusal, str):
            self._take_text(delta.refusal, deltas)
        if delta.tool_calls:
            for piece in delta.tool_calls:
                self._calls.add(piece)
        if delta.function_call is not None:
            self._calls.add(CallPiece(0, None, delta.function_call))

    def _take_text(self, text: str, deltas: list[Delta]) -> None:
        if self._tags is None:
            self._add([TextDelta(text)], deltas)
            return
        self._add(self._tags.feed(text), deltas)
        if self._tags.passed:
            self._tags = None

    def _take_parts(self, parts: list[Any], deltas: list[Delta]) -> None:
        """Read content that comes as a list of `text` and `thinking` parts (Mistral)."""
        for part in parts:
            if not isinstance(part, dict):
                continue
            if isinstance(text := part.get("text"), str) and text:
                self._take_text(text, deltas)
            thoughts = part.get("thinking")
            for thought in thoughts if isinstance(thoughts, list) else [{"text": thoughts}]:
                if isinstance(thought, dict) and isinstance(text := thought.get("text"), str) and text:
                    self._add([ThinkingDelta(text)], deltas)

    def _add(self, new: list[Delta], deltas: list[Delta]) -> None:
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
            raise RequestFailed(
                ModelBadAnswer(f"{name} broke off its answer: finish_reason {reason!r}"), may_retry=True
            )
        if reason == "insufficient_system_resource":
            raise RequestFailed(
                ModelOverloaded(f"{name} broke off its answer: it is short of resources"), may_retry=True
            )
        self.finished = True
        self._finish_reason = reason

    def _tool_calls(self) -> list[ToolCall]:
        taken = {part.id for message in self._asked for part in message.parts if isinstance(part, ToolCall)}
        calls: list[ToolCall] = []
        for call in self._calls.calls():
            if not call.name:
                raise RequestFailed(ModelBadAnswer(f"{self._source.name} sent a tool call without a name"))
            # Some servers number the calls of each answer from zero: two calls of one transcript would share
            # an id.
            needs_id = not call.id or call.id in taken
            call_id = f"call_{self._random.getrandbits(96):024x}" if needs_id else call.id
            taken.add(call_id)
            calls.append(ToolCall(call_id, call.name, "".join(call.arguments)))
        return calls


def _usage_of(usage: _AnswerUsage | None) -> Usage | None:
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
