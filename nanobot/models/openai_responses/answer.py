"""From the events of a streamed response to deltas and one message.

Tolerant where servers differ: unknown events and items, items without a beginning or an end, events that come
twice, answers that are not streamed, calls without an id.
Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

import random
import re
from collections.abc import Callable

import msgspec

from nanobot.core.errors import ModelBadAnswer, ModelRateLimited, ModelRejectedRequest
from nanobot.core.event import Delta
from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import Citation, Message, Part, StopReason, Text, Thinking, ToolCall, Usage
from nanobot.models.citations import bounded
from nanobot.models.lenient import decode_any
from nanobot.models.openai.chunk import tokens
from nanobot.models.openai_responses.output import SEPARATOR, Kind, OutputAssembly, OutputItem
from nanobot.models.openai_responses.stream_event import LenientReading, ResponseEnd, StreamEvent, decode
from nanobot.models.refusals import ErrorSource, RequestFailed, error_in_answer

_TEXT = "response.output_text.delta"
_DELTAS: dict[str, Kind] = {
    _TEXT: "message",
    "response.refusal.delta": "message",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.reasoning_text.delta": "reasoning",
    "response.function_call_arguments.delta": "function_call",
}
_WHOLE: dict[str, Kind] = {
    "response.output_text.done": "message",
    "response.refusal.done": "message",
    "response.reasoning_summary_text.done": "reasoning",
    "response.reasoning_text.done": "reasoning",
    "response.function_call_arguments.done": "function_call",
}
_AGAIN_IN = LatePattern(r"try again in (\d+(?:\.\d+)?) ?(ms|s)", re.IGNORECASE)


class ResponseReader:
    """Reads one answer; the `models.answer.AnswerReader` of this format.

    `asked`: the messages of the request, whose calls keep their ids to themselves. `adapts(body)` is asked
    when the response failed as a request is refused: whether another try goes without what was refused.
    `answered` is called once the message is whole.
    """

    take_texts = None

    def __init__(
        self,
        source: ErrorSource,
        asked: tuple[Message, ...],
        random: random.Random,
        *,
        adapts: Callable[[bytes], bool],
        answered: Callable[[], None],
    ) -> None:
        self.has_content = False
        self.finished = False
        self.done = False
        self.unknown_end = ""
        self.hidden_chars = 0
        self._source = source
        self._provider = source.name.partition(":")[0]
        self._asked = asked
        self._random = random
        self._adapts = adapts
        self._answered = answered
        self._output = OutputAssembly()
        self._newest = -1
        self._usage: Usage | None = None
        self._stop_reason: StopReason = "stop"
        self._lenient: LenientReading | None = None

    def take(self, payload: bytes, deltas: list[Delta]) -> None:
        """Read one event, or one whole response, and append what it adds to `deltas`.

        Raises:
            RequestFailed: it is no event of the format, or an error.
        """
        try:
            event = decode(payload)
        except (ValueError, RecursionError) as error:
            if payload.strip() == b"[DONE]":
                self._end_without_event()
                return
            event = self._decode_leniently(payload, error)
        kind = _DELTAS.get(event.type)
        if kind is not None:
            if event.delta and not self._is_repeated(event):
                self._extend(kind, event, event.delta, deltas)
        elif event.type:
            self._take_other(event, payload, deltas)
        elif event.object == "response" or event.output is not None:
            self._take_response(event, payload, deltas)
        elif event.error:
            raise self._error(payload)
        else:
            raise self._malformed("it has no type")

    def end(self, deltas: list[Delta]) -> None:
        """Nothing is ever held back."""

    def message(self) -> Message:
        """Return the message, its parts in order of arrival.

        Raises:
            RequestFailed: a tool call has no name.
        """
        stop_reason = self._stop_reason
        taken = {call.id for message in self._asked for call in message.tool_calls}
        parts: list[Part] = []
        citations: tuple[Citation, ...] = ()
        has_calls, chars = False, 0
        for item in self._output.items:
            if item.kind != "function_call":
                parts += self._said(item)
                if item.kind == "message":
                    citations += item.citations(chars)
                    chars += len(item.text)
            elif stop_reason != "content_filter":
                # A call in an answer that was withheld may be half a call, and is not to be run.
                parts.append(self._call(item, taken))
                has_calls = True
        if has_calls and stop_reason == "stop":
            stop_reason = "tool_calls"
        self._answered()
        message = Message("assistant", tuple(parts), stop_reason, self._usage, self._source.name)
        return msgspec.structs.replace(message, citations=bounded(citations)) if citations else message

    # Events ---------------------------------------------------------------------------------------

    def _take_other(self, event: StreamEvent, payload: bytes, deltas: list[Delta]) -> None:
        match event.type:
            case "response.output_item.added":
                self._output.begin(event.output_index, event.item)
            case "response.output_item.done":
                self._output.settle(event.output_index, event.item, deltas)
            case "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled":
                self._take_response(event.response or ResponseEnd(), payload, deltas, event.type)
            case "error":
                raise self._error(payload)
            case known if (kind := _WHOLE.get(known)) is not None:
                self._take_whole(kind, event, deltas)

    def _extend(self, kind: Kind, event: StreamEvent, delta: str, deltas: list[Delta]) -> None:
        item = self._output.find(kind, event)
        if kind == "message":
            self._output.extend(item, delta, deltas)
        elif kind == "function_call":
            item.pieces.append(delta)
            self.hidden_chars += len(delta)
        else:
            # Some servers send the reasoning and its summary: one of them is shown.
            item.channel = item.channel or event.type
            if item.channel != event.type:
                return
            part = event.content_index if event.summary_index is None else event.summary_index
            if item.pieces and part != item.part:
                delta = SEPARATOR + delta
            item.part = part
            self._output.extend(item, delta, deltas)

    def _take_whole(self, kind: Kind, event: StreamEvent, deltas: list[Delta]) -> None:
        """Read the whole of a text, which counts where nothing of its item has come, or of arguments."""
        item = self._output.find(kind, event)
        if kind == "function_call":
            if not item.pieces:
                self.hidden_chars += len(event.arguments or "")
            item.arguments = event.arguments or ""
        elif not item.pieces and (text := event.text or event.refusal):
            self._extend(kind, event, text, deltas)
            item.channel = ""

    def _take_response(
        self, response: ResponseEnd, payload: bytes, deltas: list[Delta], type_: str = ""
    ) -> None:
        """Read the response as it is at its end.

        Raises:
            RequestFailed: it failed.
        """
        status = type_.removeprefix("response.") or response.status or "completed"
        if status == "failed" or response.error:
            raise self._error(msgspec.json.encode({"error": response.error}) if response.error else payload)
        if status == "cancelled":
            name = self._source.name
            raise RequestFailed(
                ModelBadAnswer(f"{name} broke off its answer: it was cancelled"), may_retry=True
            )
        if isinstance(response.output, list):
            self._output.finish(response.output, deltas)
        self.has_content = bool(self._output.items) or status == "incomplete"
        if status == "incomplete":
            details = response.incomplete_details
            reason = details.get("reason") if isinstance(details, dict) else None
            self._stop_reason = "content_filter" if reason == "content_filter" else "length"
        self._usage = _usage_of(response.usage)
        self.finished = self.done = True

    def _end_without_event(self) -> None:
        """Read the end mark of other formats: what has come is whole where a server sends only that."""
        if self._output.items:
            self.finished = self.done = True

    def _is_repeated(self, event: StreamEvent) -> bool:
        """Return whether a delta has come before, by its number; some servers give none, or 0 to all."""
        number = event.sequence_number
        if number is None:
            return False
        if number > self._newest:
            self._newest = number
            return False
        return number > 0

    # The message ----------------------------------------------------------------------------------

    def _said(self, item: OutputItem) -> list[Part]:
        text, state = item.text, item.state(self._provider)
        if item.kind == "message":
            return [Text(text, state)] if text else []
        return [Thinking(text, state)] if text or state is not None else []

    def _call(self, item: OutputItem, taken: set[str]) -> ToolCall:
        id_, name, arguments = item.call
        if not name:
            raise RequestFailed(ModelBadAnswer(f"{self._source.name} sent a tool call without a name"))
        # Two calls of one transcript must not share an id.
        if not id_ or id_ in taken:
            id_ = f"call_{self._random.getrandbits(96):024x}"
        taken.add(id_)
        return ToolCall(id_, name, arguments or "{}")

    # Failures -------------------------------------------------------------------------------------

    def _decode_leniently(self, payload: bytes, refused: Exception) -> StreamEvent:
        if self._lenient is None:
            self._lenient = LenientReading()
        try:
            return self._lenient.decode(payload)
        except (ValueError, RecursionError):
            # The strict decoder says better what is wrong.
            raise self._malformed(str(refused)) from None

    def _malformed(self, reason: str) -> RequestFailed:
        return RequestFailed(
            ModelBadAnswer(
                f"{self._source.name} sent an event that is not one of the Responses API: {reason}"
            )
        )

    def _error(self, payload: bytes) -> RequestFailed:
        failed = error_in_answer(self._source, decode_any(payload))
        error = failed.error
        if isinstance(error, ModelRejectedRequest) and self._adapts(payload):
            failed.may_retry = True
        if isinstance(error, ModelRateLimited) and (found := _AGAIN_IN.search(error.message)):
            error.retry_after_s = float(found[1]) / (1000 if found[2].lower() == "ms" else 1)
        return failed


def _usage_of(usage: object) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    read, written = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    return Usage(
        tokens(usage.get("input_tokens")),
        tokens(usage.get("output_tokens")),
        tokens(read.get("cached_tokens")) if isinstance(read, dict) else 0,
        tokens(written.get("reasoning_tokens")) if isinstance(written, dict) else 0,
    )
