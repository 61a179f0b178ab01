"""From the chunks of a chat completion to deltas and one message.

Tolerant where servers differ: unknown fields, nulls for lists, calls without index or id, usage in any
chunk, answers that are not streamed or come whole at the end of a stream.
Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

import logging
import random
from collections.abc import Callable
from typing import Any

import msgspec

from nanobot.core.errors import ModelBadAnswer
from nanobot.core.event import Delta, TextDelta, ThinkingDelta
from nanobot.core.message import Message, Part, ProviderState, StopReason, Text, Thinking, ToolCall
from nanobot.core.tool import ToolSpec
from nanobot.models.lenient import decode_any
from nanobot.models.lessons import Lesson, Lessons
from nanobot.models.openai.calls import CallAssembly, CallPiece, FunctionPiece
from nanobot.models.openai.chunk import (
    Chunk,
    ChunkChoice,
    ChunkDelta,
    ChunkUsage,
    LenientDecoder,
    TextChunks,
    decode,
    usage_of,
)
from nanobot.models.openai.failed_calls import calls_in
from nanobot.models.openai.finish_reason import stop_reason_of
from nanobot.models.openai.sources import NO_SOURCES, Sources
from nanobot.models.openai.state import (
    CONTENT,
    ITS_TEXT,
    REASONING_CONTENT,
    add_details,
    kept,
    with_details,
    with_state,
)
from nanobot.models.openai.think import ThinkTags, split_unopened
from nanobot.models.refusal_body import is_error
from nanobot.models.refusals import ErrorSource, RequestFailed, error_in_answer

_UNOPENED = Lesson("unopened_thinking")
_CLOSING_TAG = "</think>"
_AROUND_DONE = b' \t\r\n"[]'
_log = logging.getLogger(__name__)


class ChatAnswerReader:
    """Reads one answer; the `models.answer.AnswerReader` of this format.

    `asked`: the messages of the request, whose calls keep their ids to themselves. `lessons`: what is known
    of the model. `answered` is called once the message is whole. `tools`: those of the request.
    """

    def __init__(
        self,
        source: ErrorSource,
        asked: tuple[Message, ...],
        random: random.Random,
        lessons: Lessons,
        answered: Callable[[], None],
        tools: tuple[ToolSpec, ...] = (),
    ) -> None:
        self.has_content = False
        self.finished = False
        self.done = False
        self.unknown_end = ""
        self.hidden_chars = 0
        self._source = source
        self._asked = asked
        self._random = random
        self._lessons = lessons
        self._answered = answered
        self._tools = tools
        self._provider = source.name.partition(":")[0]
        self._keeps_tags = "minimax" in f"{source.name} {source.model}".lower()
        self._field: str | None = None
        self._details: list[dict[str, Any]] = []
        self._extra_content = msgspec.Raw()
        self._tags: ThinkTags | None = ThinkTags(unopened=_UNOPENED in lessons.known())
        self._parts: list[Part] = []
        self._kind: type[Delta] = TextDelta
        self._pieces: list[str] = []
        self._calls = CallAssembly()
        self._usage: ChunkUsage | None = None
        self._stop_reason: StopReason = "stop"
        self._has_said = False
        self._lenient: LenientDecoder | None = None
        self._texts = TextChunks()
        self._sources = Sources()

    def take_texts(self, payloads: list[bytes], start: int, deltas: list[Delta]) -> int:
        """Read the chunks from `start` on that are nothing but further text, as one delta; return the place
        of the first other one.
        """
        if self._tags is not None or self._kind is not TextDelta:
            return start
        texts = self._texts.of(payloads, start)
        if texts and (text := "".join(texts)):
            self._pieces.append(text)
            deltas.append(TextDelta(text))
        return start + len(texts)

    def take(self, payload: bytes, deltas: list[Delta]) -> None:
        """Read one chunk, or one whole answer, and append what it adds to `deltas`.

        Raises:
            RequestFailed: it is no chunk of a chat completion, or an error in its place.
        """
        if payload[:1] == b"[" and payload.strip().upper() == b"[DONE]":
            self.done = True
            return
        try:
            chunk = decode(payload)
        except (ValueError, RecursionError) as error:
            if payload.strip(_AROUND_DONE).upper() == b"DONE":
                self.done = True
                return
            chunk = self._decode_leniently(payload, error)
        if chunk.error or chunk.object == "error" or (chunk.base_resp and chunk.base_resp.status_code):
            if self._take_failed_calls(payload):
                return
            raise self._error(payload)
        if chunk.usage is not None:
            self._count(chunk.usage)
        elif chunk.x_groq is not None and chunk.x_groq.usage is not None:
            self._count(chunk.x_groq.usage)
        if chunk.citations or chunk.search_results:
            self._sources.take_lists(chunk)
        if not chunk.choices:
            if chunk.choices is None and chunk.usage is None and is_error(payload):
                raise self._error(payload)
            return
        for choice in chunk.choices:
            if not choice.index:
                self._take_choice(choice, chunk, payload, deltas)

    def _take_choice(self, choice: ChunkChoice, chunk: Chunk, payload: bytes, deltas: list[Delta]) -> None:
        """Read the one choice that counts.

        Raises:
            RequestFailed: the answer broke off.
        """
        self.has_content = True
        delta = choice.delta
        if delta is not None:
            text = delta.content
            if (
                type(text) is str
                and text
                and self._kind is TextDelta
                and self._tags is None
                and delta.tool_calls is None
                and delta.reasoning_content is None
                and delta.reasoning is None
                and delta.reasoning_details is None
                and not delta.extra_content
                and (not delta.annotations or bytes(delta.annotations) in NO_SOURCES)
                and delta.refusal is None
                and delta.function_call is None
            ):
                # The short way, for nearly all chunks of an answer.
                self._pieces.append(text)
                deltas.append(TextDelta(text))
                if len(chunk.choices or ()) == 1 and not (
                    choice.finish_reason or choice.usage or chunk.usage or chunk.error
                ):
                    self._texts.learn(payload, text)
            else:
                self._take_delta(delta, deltas)
        elif choice.message is not None:
            self._take_whole(choice.message, deltas)
        if choice.usage is not None:
            self._count(choice.usage)
        if choice.error:
            raise error_in_answer(self._source, {"error": choice.error})
        if choice.finish_reason:
            meant = stop_reason_of(choice.finish_reason, self._source.name)
            self.unknown_end = choice.finish_reason if meant is None else ""
            self._stop_reason = meant or "length"
            self.finished = True

    def _count(self, usage: ChunkUsage) -> None:
        # Some servers end with a count of nothing.
        if self._usage is None or not usage.is_blank:
            self._usage = usage

    def rescued(self, body: bytes) -> Message | None:
        """Return the message that a refusal holds: calls that the server could not read, and nothing else.

        None where it holds none, or not plainly.
        """
        return self.message() if self._take_failed_calls(body) else None

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
        if (
            len(self._parts) == 1
            and type(text := self._parts[0]) is Text
            and (split := self._split(text.text))
        ):
            self._parts = [Thinking(split[0]), *([Text(split[1])] if split[1] else [])]
            self._lessons.confirm((_UNOPENED,))
        if self._details:
            self._parts = with_details(self._parts, self._provider, self._details)
        if self._extra_content and (state := kept(self._provider, "extra_content", self._extra_content)):
            self._parts = with_state(self._parts, state)
        stop_reason = self._stop_reason
        if self._calls and stop_reason != "length":
            stop_reason = "tool_calls"
        elif not self._calls and stop_reason == "tool_calls":
            stop_reason = "stop"
        parts = (*self._parts, *self._tool_calls()) if self._calls else tuple(self._parts)
        self._answered()
        message = Message("assistant", parts, stop_reason, usage_of(self._usage), self._source.name)
        return self._sources.named_in(message)

    def _decode_leniently(self, payload: bytes, refused: Exception) -> Chunk:
        if self._lenient is None:
            self._lenient = LenientDecoder()
        try:
            return self._lenient.decode(payload)
        except (ValueError, RecursionError):
            if self.finished:
                # The answer is whole, whatever its server says behind it.
                _log.debug("%s sent something behind its answer that is no chunk", self._source.name)
                return Chunk()
            # The strict decoder says better what is wrong.
            raise self._malformed(refused) from None

    def _malformed(self, error: Exception) -> RequestFailed:
        return RequestFailed(
            ModelBadAnswer(f"{self._source.name} sent a chunk that is not one of a chat completion: {error}")
        )

    def _take_failed_calls(self, body: bytes) -> bool:
        """Read the calls in an error that holds what the model wrote; return whether there were some."""
        if not self._tools or b'"failed_generation"' not in body or self._calls:
            return False
        try:
            content = decode_any(body)
        except (ValueError, RecursionError):
            return False
        error = content.get("error") if isinstance(content, dict) else None
        generation = error.get("failed_generation") if isinstance(error, dict) else None
        if not isinstance(generation, str):
            return False
        calls = calls_in(generation, {tool.name for tool in self._tools})
        for index, call in enumerate(calls):
            self._calls.add(CallPiece(index, None, FunctionPiece(call.name, call.arguments)))
        if calls:
            self.has_content = self.finished = self.done = True
        return bool(calls)

    def _error(self, payload: bytes) -> RequestFailed:
        try:
            content = decode_any(payload)
        except (ValueError, RecursionError) as error:
            return self._malformed(error)
        return error_in_answer(self._source, content)

    def _take_whole(self, message: ChunkDelta, deltas: list[Delta]) -> None:
        """Read a whole message: the answer of a server that does not stream, or its repetition at the end of
        a stream, of which only what has not come in pieces is new.
        """
        if not self._has_said:
            self._take_delta(message, deltas)
            return
        if message.annotations:
            self._sources.take(message.annotations)
        new = ChunkDelta(tool_calls=None if self._calls else message.tool_calls)
        if message.content and self._kind is ThinkingDelta and not self._has_text:
            new.content = message.content
        if new.content or new.tool_calls:
            self._take_delta(new, deltas)

    @property
    def _has_text(self) -> bool:
        return any(isinstance(part, Text) for part in self._parts)

    def _take_delta(self, delta: ChunkDelta, deltas: list[Delta]) -> None:
        thought = delta.reasoning_content or delta.reasoning
        field = REASONING_CONTENT if delta.reasoning_content else "reasoning"
        if isinstance(delta.reasoning_details, list):
            shown = add_details(self._details, delta.reasoning_details)
            thought = thought or shown
        if delta.extra_content:
            self._extra_content = delta.extra_content
        if delta.annotations:
            self._sources.take(delta.annotations)
        content = delta.content
        if content or thought or delta.tool_calls or delta.refusal or delta.function_call:
            self._has_said = True
        if thought and isinstance(thought, str):
            self._add([ThinkingDelta(thought)], deltas, field)
            if self._tags is not None:
                self._tags.may_be_closed = True
        if content:
            if isinstance(content, str):
                self._take_text(content, deltas)
            elif isinstance(content, list):
                self._take_parts(content, deltas)
        if delta.refusal and isinstance(delta.refusal, str):
            self._take_text(delta.refusal, deltas)
        if delta.tool_calls:
            for piece in delta.tool_calls:
                self.hidden_chars += self._calls.add(piece)
        if delta.function_call is not None:
            self.hidden_chars += self._calls.add(CallPiece(0, None, delta.function_call))

    def _take_text(self, text: str, deltas: list[Delta]) -> None:
        tags = self._tags
        if tags is None:
            self._add([TextDelta(text)], deltas)
            return
        shown = len(deltas)
        self._add(tags.feed(text), deltas)
        if not tags.passed:
            return
        self._tags = None
        if tags.was_unopened:
            self._lessons.confirm((_UNOPENED,))
        elif (split := self._split(text)) and deltas[shown:] == [TextDelta(text)]:
            # What the message will call thinking is shown as such, where it comes in time.
            deltas[shown:] = [ThinkingDelta(split[0]), *([TextDelta(split[1])] if split[1] else [])]

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

    def _add(self, new: list[Delta], deltas: list[Delta], field: str | None = None) -> None:
        """Add deltas to the message. `field`: the one that thinking came in; None where it came in tags."""
        for delta in new:
            if type(delta) is not self._kind:
                self._close_part()
                self._kind = type(delta)
                self._field = field
            self._pieces.append(delta.text)
            deltas.append(delta)

    def _close_part(self) -> None:
        if self._pieces:
            text = "".join(self._pieces)
            self._parts.append(
                Text(text) if self._kind is TextDelta else Thinking(text, self._thought_state())
            )
            self._pieces.clear()

    def _split(self, text: str) -> tuple[str, str] | None:
        """Return the thinking that was not opened, and the answer; None where `text` is an answer alone."""
        return split_unopened(text) if _CLOSING_TAG in text and self._may_split() else None

    def _may_split(self) -> bool:
        """Return whether a closing tag may end the model's thinking: not where the user speaks of it."""
        question = next((message for message in reversed(self._asked) if message.role == "user"), None)
        return question is None or _CLOSING_TAG[2:] not in question.text

    def _thought_state(self) -> ProviderState | None:
        field = self._field or (CONTENT if self._keeps_tags else None)
        return ProviderState(self._provider, field, ITS_TEXT) if field is not None else None

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
            state = kept(self._provider, "extra_content", call.extra_content) if call.extra_content else None
            calls.append(ToolCall(call_id, call.name, call.whole_arguments(), provider_state=state))
        return calls
