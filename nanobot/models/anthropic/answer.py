"""From the events of the Messages API to deltas and one message.

Tolerant where servers differ: unknown events and blocks, deltas without a start, usage in any event, answers
that are not streamed.
Source: https://platform.claude.com/docs/en/build-with-claude/streaming
"""

import random
from collections.abc import Callable
from typing import Any

import msgspec

from nanobot.core.errors import ModelBadAnswer
from nanobot.core.event import Delta, TextDelta, ThinkingDelta
from nanobot.core.message import Message, Part, ProviderState, StopReason, Text, Thinking, ToolCall, Usage
from nanobot.models.anthropic.conversation import REDACTED, SIGNATURE
from nanobot.models.lenient import Halves, decode_any, fitted, loads, repaired
from nanobot.models.refusal_body import is_error
from nanobot.models.refusals import ErrorSource, RequestFailed, error_in_answer

# The shapes of the format -------------------------------------------------------------------------


class _MessageUsage(msgspec.Struct, gc=False):
    # Any: usage is a courtesy, and no reason to lose an answer.
    input_tokens: Any = None
    cache_creation_input_tokens: Any = None
    cache_read_input_tokens: Any = None
    output_tokens: Any = None
    output_tokens_details: Any = None


class _Block(msgspec.Struct, gc=False):
    """A block of content as it starts, or whole. `input`: of a call, empty where its pieces follow."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: Any = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"")


class _BlockDelta(msgspec.Struct, gc=False):
    """What is added to a block, or (with `stop_reason`) to the message."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _MessageStart(msgspec.Struct, gc=False):
    usage: _MessageUsage | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    index: int | None = None
    delta: _BlockDelta | None = None
    content_block: _Block | None = None
    message: _MessageStart | None = None
    usage: _MessageUsage | None = None
    error: Any = None
    # Of an answer in one piece.
    content: list[_Block] | None = None
    stop_reason: str | None = None


_decode = msgspec.json.Decoder(_Event).decode
_encode = msgspec.json.Encoder().encode

_STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    # The provider interrupted itself, and goes on when it is asked again.
    "pause_turn": "length",
    "refusal": "content_filter",
}
_DELTA_TYPES = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "input_json_delta": "tool_use",
}
_READ_TYPES = frozenset(_DELTA_TYPES.values())
_MAX_COUNT = 2**53

# --------------------------------------------------------------------------------------------------


class _OpenBlock:
    """A block of content while its pieces come."""

    __slots__ = ("data", "id", "input", "name", "pieces", "signature", "type")

    def __init__(self, start: _Block) -> None:
        self.type = start.type
        self.pieces: list[str] = []
        self.signature = start.signature or ""
        self.data = start.data or ""
        self.id = str(start.id or "")
        self.name = start.name or ""
        self.input = bytes(start.input)


class MessagesAnswerReader:
    """Reads one answer; the `models.answer.AnswerReader` of this format.

    `answered` is called once the message is whole.
    """

    take_texts = None

    def __init__(
        self,
        source: ErrorSource,
        provider: str,
        random: random.Random,
        answered: Callable[[], None],
    ) -> None:
        self.has_content = False
        self.finished = False
        self.done = False
        self.unknown_end = ""
        self.hidden_chars = 0
        self._source = source
        self._provider = provider
        self._random = random
        self._answered = answered
        self._blocks: list[_OpenBlock] = []
        self._by_index: dict[int | None, _OpenBlock] = {}
        self._shown: _OpenBlock | None = None
        self._usages: list[_MessageUsage] = []
        self._taken: set[str] = set()
        self._halves: Halves | None = None
        self._stop_reason = ""

    def take(self, payload: bytes, deltas: list[Delta]) -> None:
        """Read one event, or one whole answer, and append what it adds to `deltas`.

        Raises:
            RequestFailed: it is no event of the format, or an error.
        """
        try:
            event = _decode(payload)
        except (ValueError, RecursionError) as error:
            # Proxies of other formats end all their streams so.
            if payload.strip() == b"[DONE]":
                return
            event = self._decode_leniently(payload, str(error))
        kind = event.type
        if kind == "content_block_delta":
            if event.delta is not None:
                self._extend(event.index, event.delta, deltas)
        elif kind == "content_block_start":
            self._open(event.index, event.content_block or _Block(), deltas)
        elif kind == "message_start":
            self._begin(event.message.usage if event.message is not None else None)
        elif kind == "message_delta":
            self._note_usage(event.usage)
            if event.delta is not None and event.delta.stop_reason:
                self._finish(event.delta.stop_reason)
        elif kind == "message_stop":
            self.finished = self.done = True
        elif kind == "message":
            self._take_whole(event, deltas)
        elif kind == "error" or event.error:
            raise self._error(payload)
        elif not kind and payload.strip() != b"{}":
            if is_error(payload):
                raise self._error(payload)
            raise self._malformed("it has no type")

    def end(self, deltas: list[Delta]) -> None:
        """Nothing is ever held back."""

    def message(self) -> Message:
        """Return the message, its parts in order of arrival.

        Raises:
            RequestFailed: a tool call has no name.
        """
        stop_reason = _STOP_REASONS.get(self._stop_reason, "length" if self._stop_reason else "stop")
        parts = [part for block in self._blocks if (part := self._part(block, stop_reason)) is not None]
        has_calls = any(isinstance(part, ToolCall) for part in parts)
        if has_calls and stop_reason != "length":
            stop_reason = "tool_calls"
        elif not has_calls and stop_reason == "tool_calls":
            stop_reason = "stop"
        usage = _usage_of(self._usages) if self._usages else None
        self._answered()
        return Message("assistant", tuple(parts), stop_reason, usage, self._source.name)

    def _begin(self, usage: _MessageUsage | None) -> None:
        self.has_content = True
        self._note_usage(usage)

    def _note_usage(self, usage: _MessageUsage | None) -> None:
        if usage is not None:
            self._usages.append(usage)

    def _finish(self, reason: str) -> None:
        self.finished = True
        self.unknown_end = "" if reason in _STOP_REASONS else reason
        self._stop_reason = reason

    def _take_whole(self, answer: _Event, deltas: list[Delta]) -> None:
        self._begin(answer.usage)
        for index, block in enumerate(answer.content or ()):
            self._open(index, block, deltas)
        self._finish(answer.stop_reason or "end_turn")

    def _open(self, index: int | None, start: _Block, deltas: list[Delta]) -> _OpenBlock:
        block = _OpenBlock(start)
        self.hidden_chars += len(block.name) + len(block.input)
        self._blocks.append(block)
        self._by_index[index] = block
        if start.type == "text" and start.text:
            self._show(index, block, TextDelta(start.text), deltas)
        elif start.type == "thinking" and start.thinking:
            self._show(index, block, ThinkingDelta(start.thinking), deltas)
        return block

    def _show(
        self, index: int | None, block: _OpenBlock, delta: TextDelta | ThinkingDelta, deltas: list[Delta]
    ) -> None:
        """Add to a block what is shown of it; blocks stand in the message in the order in which they are
        shown, whatever their indices say.
        """
        if block is not self._shown:
            if block.pieces:
                block = self._open(index, _Block(block.type), deltas)
            elif block is not self._blocks[-1]:
                self._blocks.remove(block)
                self._blocks.append(block)
            self._shown = block
        block.pieces.append(delta.text)
        deltas.append(delta)

    def _extend(self, index: int | None, delta: _BlockDelta, deltas: list[Delta]) -> None:
        kind = delta.type
        block = self._block_for(index, kind, deltas)
        if block is None:
            return
        if kind == "text_delta":
            if delta.text:
                self._show(index, block, TextDelta(delta.text), deltas)
        elif kind == "thinking_delta":
            if delta.thinking:
                self._show(index, block, ThinkingDelta(delta.thinking), deltas)
        elif kind == "input_json_delta":
            block.pieces.append(delta.partial_json or "")
            self.hidden_chars += len(delta.partial_json or "")
        elif kind == "signature_delta":
            block.signature += delta.signature or ""

    def _block_for(self, index: int | None, kind: str, deltas: list[Delta]) -> _OpenBlock | None:
        """Return the block that a delta belongs to; None where it is not read.

        Servers that imitate the API leave out the start of a block, or give it the index of another one.
        """
        block = self._by_index.get(index)
        wanted = _DELTA_TYPES.get(kind)
        if wanted is None or (block is not None and block.type == wanted):
            return block if wanted is not None else None
        if block is not None and block.type not in _READ_TYPES:
            return None
        calls = (known for known in reversed(self._blocks) if known.type == wanted == "tool_use")
        return next(calls, None) or self._open(index, _Block(wanted), deltas)

    def _part(self, block: _OpenBlock, stop_reason: StopReason) -> Part | None:
        text = "".join(block.pieces)
        if block.type == "text":
            return Text(text) if text else None
        if block.type == "thinking":
            state = self._state(SIGNATURE, block.signature)
            return Thinking(text, state) if text or state is not None else None
        if block.type == "redacted_thinking":
            state = self._state(REDACTED, block.data)
            return Thinking("", state) if state is not None else None
        # A call in an answer that was withheld may be half a call, and is not to be run.
        if block.type != "tool_use" or stop_reason == "content_filter":
            return None
        if not block.name:
            raise RequestFailed(ModelBadAnswer(f"{self._source.name} sent a tool call without a name"))
        # Some servers give all calls one id.
        has_own_id = block.id and block.id not in self._taken
        call_id = block.id if has_own_id else f"call_{self._random.getrandbits(96):024x}"
        self._taken.add(call_id)
        return ToolCall(call_id, block.name, text or block.input.decode() or "{}")

    def _state(self, name: str, value: str) -> ProviderState | None:
        return ProviderState(self._provider, name, msgspec.Raw(_encode(value))) if value else None

    def _decode_leniently(self, payload: bytes, refused: str) -> _Event:
        if self._halves is None:
            self._halves = Halves()
        try:
            content = loads(payload)
            delta = content.get("delta") if isinstance(content, dict) else None
            if isinstance(delta, dict):
                for field in ("text", "thinking", "partial_json"):
                    if isinstance(text := delta.get(field), str):
                        delta[field] = self._halves.whole(f"{field} {content.get('index')}", text)
            event: _Event = fitted(repaired(content), _Event) if content else _Event("ping")
        except (ValueError, RecursionError):
            # The strict decoder says better what is wrong.
            raise self._malformed(refused) from None
        return event

    def _malformed(self, reason: str) -> RequestFailed:
        return RequestFailed(
            ModelBadAnswer(f"{self._source.name} sent an event that is not one of the Messages API: {reason}")
        )

    def _error(self, payload: bytes) -> RequestFailed:
        return error_in_answer(self._source, decode_any(payload))


def _usage_of(usages: list[_MessageUsage]) -> Usage:
    """Return the tokens that the events count together: each count is the newest that was given.

    The API counts what it read from its cache, and what it wrote there, beside the other input.
    """
    newest: dict[str, int] = {}
    for usage in usages:
        for field in (
            "input_tokens",
            "cache_creation_input_tokens",
            "cache_read_input_tokens",
            "output_tokens",
        ):
            newest[field] = _count(getattr(usage, field)) or newest.get(field, 0)
        details = usage.output_tokens_details
        thought = _count(details.get("thinking_tokens")) if isinstance(details, dict) else 0
        newest["thought"] = thought or newest.get("thought", 0)
    cached = newest["cache_read_input_tokens"]
    prompt = newest["input_tokens"] + newest["cache_creation_input_tokens"] + cached
    return Usage(prompt, newest["output_tokens"], cached, newest["thought"])


def _count(value: object) -> int:
    """Return a count of tokens; 0 for what cannot be one."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MAX_COUNT:
        return int(value)
    return 0
