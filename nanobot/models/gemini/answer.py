"""From the chunks of `streamGenerateContent` to deltas and one message.

Tolerant where servers differ: unknown fields and parts, empty chunks, a finish reason in each chunk, usage in
any, arrays of chunks, answers that are not streamed.
Source: https://ai.google.dev/api/generate-content#GenerateContentResponse
"""

import logging
import random
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from nanobot.core.errors import ModelBadAnswer
from nanobot.core.event import Delta, TextDelta, ThinkingDelta
from nanobot.core.message import Message, Part, ProviderState, StopReason, Text, Thinking, ToolCall, Usage
from nanobot.models.gemini.conversation import THOUGHT_SIGNATURE
from nanobot.models.gemini.grounding import with_sources
from nanobot.models.lenient import decode_any, fitted
from nanobot.models.refusals import ErrorSource, RequestFailed, error_in_answer

_log = logging.getLogger(__name__)

# The shapes of the format -------------------------------------------------------------------------


class _Call(msgspec.Struct, gc=False):
    id: Any = None
    name: str | None = None
    args: msgspec.Raw = msgspec.Raw()


class _AnswerPart(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: msgspec.Raw = msgspec.Raw()
    function_call: _Call | None = None


class _AnswerContent(msgspec.Struct):
    parts: list[_AnswerPart] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    index: int | None = None
    content: _AnswerContent | None = None
    finish_reason: str | None = None
    grounding_metadata: msgspec.Raw = msgspec.Raw()
    finish_message: str | None = None


class _PromptFeedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _UsageCounts(msgspec.Struct, gc=False, rename="camel"):
    # Any: usage is a courtesy, and no reason to lose an answer.
    prompt_token_count: Any = None
    tool_use_prompt_token_count: Any = None
    cached_content_token_count: Any = None
    candidates_token_count: Any = None
    thoughts_token_count: Any = None


class _Chunk(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _PromptFeedback | None = None
    usage_metadata: _UsageCounts | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode

_STOP_REASONS: tuple[tuple[str, StopReason], ...] = (
    ("MAX_TOKENS", "length"),
    ("SAFETY", "content_filter"),
    ("RECITATION", "content_filter"),
    ("PROHIBITED", "content_filter"),
    ("BLOCK", "content_filter"),
    ("SPII", "content_filter"),
    ("LANGUAGE", "content_filter"),
    ("MODEL_ARMOR", "content_filter"),
    ("STOP", "stop"),
    ("FINISH_REASON_UNSPECIFIED", "stop"),
)
"""What a finish reason means, by the first of these words that is in it."""
_BROKEN_OFF = ("MALFORMED", "UNEXPECTED", "TOO_MANY_TOOL_CALLS", "MISSING", "ERROR")
_MAX_COUNT = 2**53
_NAMESPACES = ("default_api:", "default_api.")
"""What models put before the names of tools now and then."""

# --------------------------------------------------------------------------------------------------


class ContentReader:
    """Reads one answer; the `models.answer.AnswerReader` of this format.

    `asked`: the messages of the request, whose calls keep their ids to themselves. `tool_names`: the names of
    the tools by those that the API knows them by. `answered` is called once the message is whole.
    """

    take_texts = None

    def __init__(
        self,
        source: ErrorSource,
        provider: str,
        asked: tuple[Message, ...],
        tool_names: Mapping[str, str],
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
        self._asked = asked
        self._tool_names = tool_names
        self._random = random
        self._answered = answered
        self._parts: list[Part] = []
        self._kind: type[Delta] = TextDelta
        self._pieces: list[str] = []
        self._taken: set[str] | None = None
        self._usages: list[_UsageCounts] = []
        self._stop_reason: StopReason = "stop"
        self._grounding = msgspec.Raw()

    def take(self, payload: bytes, deltas: list[Delta]) -> None:
        """Read one chunk, an array of them, or one whole answer; append what it adds to `deltas`.

        Raises:
            RequestFailed: it does not belong to the format, or is an error in the place of an answer.
        """
        if payload.lstrip()[:1] == b"[":
            self._take_list(payload, deltas)
            return
        chunk = self._chunk(payload)
        if chunk.error:
            raise error_in_answer(self._source, decode_any(payload))
        if chunk.usage_metadata is not None:
            self._usages.append(chunk.usage_metadata)
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason:
            self.has_content = True
            self._finish(chunk.prompt_feedback.block_reason, "content_filter")
        for candidate in chunk.candidates or ():
            if candidate.index:
                continue
            self.has_content = True
            if candidate.content is not None:
                for part in candidate.content.parts or ():
                    self._take_part(part, deltas)
            if candidate.grounding_metadata:
                self._grounding = candidate.grounding_metadata
            if candidate.finish_reason:
                self._finish(candidate.finish_reason)

    def end(self, deltas: list[Delta]) -> None:
        """Nothing is ever held back."""

    def message(self) -> Message:
        """Return the message, its parts in order of arrival.

        Raises:
            RequestFailed: a tool call has no name.
        """
        self._close_part()
        stop_reason, parts = self._stop_reason, self._parts
        has_calls = any(isinstance(part, ToolCall) for part in parts)
        if has_calls and stop_reason == "content_filter":
            # A call in an answer that was withheld is not to be run.
            parts = [part for part in parts if not isinstance(part, ToolCall)]
        elif has_calls and stop_reason != "length":
            stop_reason = "tool_calls"
        usage = _usage_of(self._usages) if self._usages else None
        self._answered()
        message = Message("assistant", tuple(parts), stop_reason, usage, self._source.name)
        return with_sources(message, self._grounding) if self._grounding else message

    # Chunks ---------------------------------------------------------------------------------------

    def _take_list(self, payload: bytes, deltas: list[Delta]) -> None:
        try:
            chunks = _decode_list(payload)
        except (ValueError, RecursionError) as error:
            # Proxies of other formats end all their streams so.
            if payload.strip() == b"[DONE]":
                self.done = True
                return
            raise self._malformed(str(error)) from None
        for chunk in chunks:
            self.take(bytes(chunk), deltas)

    def _chunk(self, payload: bytes) -> _Chunk:
        try:
            return _decode(payload)
        except (ValueError, RecursionError) as error:
            refused = str(error)
        try:
            content = decode_any(payload)
            chunk: _Chunk = fitted(content, _Chunk) if content else _Chunk()
            return chunk
        except (ValueError, RecursionError):
            # The first decoder says better what is wrong.
            raise self._malformed(refused) from None

    def _take_part(self, part: _AnswerPart, deltas: list[Delta]) -> None:
        state = self._state(part.thought_signature)
        if part.function_call is not None:
            self._close_part()
            call = self._tool_call(part.function_call, state)
            self.hidden_chars += len(call.name) + len(call.arguments)
            self._parts.append(call)
            return
        text = part.text or ""
        if not text and state is None:
            return
        kind: type[TextDelta | ThinkingDelta] = ThinkingDelta if part.thought else TextDelta
        if kind is not self._kind or state is not None:
            self._close_part()
            self._kind = kind
        if text:
            deltas.append(kind(text))
        if state is None:
            self._pieces.append(text)
        else:
            # What was signed must not be joined with what was not.
            self._parts.append(Thinking(text, state) if part.thought else Text(text, state))

    def _close_part(self) -> None:
        if self._pieces:
            text = "".join(self._pieces)
            self._parts.append(Text(text) if self._kind is TextDelta else Thinking(text))
            self._pieces.clear()

    def _state(self, signature: msgspec.Raw) -> ProviderState | None:
        raw = bytes(signature)
        if len(raw) <= 2 or raw[:1] != b'"' or not raw.isascii():
            return None
        return ProviderState(self._provider, THOUGHT_SIGNATURE, msgspec.Raw(raw))

    def _tool_call(self, call: _Call, state: ProviderState | None) -> ToolCall:
        if not call.name:
            raise RequestFailed(ModelBadAnswer(f"{self._source.name} sent a tool call without a name"))
        if self._taken is None:
            self._taken = {made.id for message in self._asked for made in message.tool_calls}
        id_ = str(call.id or "")
        if not id_ or id_ in self._taken:
            id_ = f"call_{self._random.getrandbits(96):024x}"
        self._taken.add(id_)
        arguments = _unquoted(bytes(call.args)).decode("utf-8", "replace")
        return ToolCall(
            id_, self._name(call.name), "{}" if arguments in ("", "null") else arguments, provider_state=state
        )

    def _name(self, name: str) -> str:
        for namespace in _NAMESPACES:
            if name not in self._tool_names:
                name = name.removeprefix(namespace)
        return self._tool_names.get(name, name)

    def _finish(self, reason: str, meaning: StopReason | None = None) -> None:
        """Note why the model stopped, by the words in its reason.

        Raises:
            RequestFailed: the answer broke off.
        """
        name, said = self._source.name, reason.upper()
        if meaning is None and any(word in said for word in _BROKEN_OFF):
            raise RequestFailed(
                ModelBadAnswer(f"{name} broke off its answer: finishReason {reason[:40]!r}"), may_retry=True
            )
        known = meaning or next((meant for word, meant in _STOP_REASONS if word in said), None)
        if known is None:
            _log.warning("%s ended with finishReason %.40r, which is taken for a cut answer", name, reason)
        self.finished = True
        self.unknown_end = reason if known is None else ""
        self._stop_reason = known or "length"

    def _malformed(self, reason: str) -> RequestFailed:
        return RequestFailed(
            ModelBadAnswer(f"{self._source.name} sent a chunk that is not one of the Gemini API: {reason}")
        )


def _unquoted(arguments: bytes) -> bytes:
    """Return arguments that are an object; some servers write it as text once more."""
    if arguments[:1] != b'"':
        return arguments
    text: str = msgspec.json.decode(arguments)
    return text.encode() if text.lstrip()[:1] == "{" else arguments


def _usage_of(usages: list[_UsageCounts]) -> Usage:
    """Return the tokens that the chunks count together: each count is the newest that was given.

    The API counts thinking beside the answer, and results of tools beside the prompt.
    """
    newest: dict[str, int] = {}
    for usage in usages:
        for field in _UsageCounts.__struct_fields__:
            newest[field] = _count(getattr(usage, field)) or newest.get(field, 0)
    thought = newest["thoughts_token_count"]
    return Usage(
        newest["prompt_token_count"] + newest["tool_use_prompt_token_count"],
        newest["candidates_token_count"] + thought,
        newest["cached_content_token_count"],
        thought,
    )


def _count(value: object) -> int:
    """Return a count of tokens; 0 for what cannot be one."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value) if len(value) < 17 else 0
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MAX_COUNT:
        return int(value)
    return 0
