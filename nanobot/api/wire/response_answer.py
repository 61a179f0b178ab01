"""The response object of OpenAI's responses, built from the state of a turn and its request."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

import msgspec

from nanobot.api.wire.chat_answer import ContextDetails, context_details
from nanobot.api.wire.items import ItemRef, WireItem, item_id, items, response_id
from nanobot.api.wire.tool_items import PREFIX, ToolCallItem, begun, cut_off, finished, shown_calls
from nanobot.core.event import TurnError
from nanobot.core.ids import time_of
from nanobot.core.message import Message, Usage
from nanobot.core.turn import TurnState
from nanobot.http.schema_extra import schema_extra


class WireConversation(msgspec.Struct, frozen=True):
    id: str


class WireReasoning(msgspec.Struct, frozen=True):
    effort: str | None = None
    summary: str | None = None


class WireFormat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str
    name: str | None = None
    description: str | None = None
    schema: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    strict: bool | None = None


class WireText(msgspec.Struct, frozen=True):
    format: WireFormat
    verbosity: str = "medium"


class WireTool(msgspec.Struct, frozen=True, kw_only=True):
    type: str = "function"
    name: str
    description: str | None
    # `Raw | None` would not decode an object: what is missing is the JSON text `null`.
    parameters: Annotated[msgspec.Raw, schema_extra(type=["object", "null"])]
    strict: bool | None


class Echo(msgspec.Struct, frozen=True, kw_only=True):
    """What a response repeats of its request. `events`: what was asked for by `x-events`; with `tools` the
    calls of the server's own tools are among the items.
    """

    model: str
    background: bool = False
    conversation: WireConversation | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    max_tool_calls: None = None
    metadata: dict[str, str] = {}
    parallel_tool_calls: bool = True
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None
    reasoning: WireReasoning = msgspec.field(default_factory=WireReasoning)
    safety_identifier: str | None = None
    service_tier: str = "default"
    store: bool = True
    temperature: float = 1.0
    text: WireText = msgspec.field(default_factory=lambda: WireText(WireFormat(type="text")))
    tool_choice: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b'"auto"'))
    tools: tuple[WireTool, ...] = ()
    top_logprobs: int = 0
    top_p: float = 1.0
    truncation: str = "auto"
    user: str | None = None
    events: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET

    @property
    def shows_tools(self) -> bool:
        return isinstance(self.events, tuple) and "tools" in self.events


class _InputDetails(msgspec.Struct, frozen=True):
    cached_tokens: int
    cache_write_tokens: int = 0


class _OutputDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int


class ResponseUsage(msgspec.Struct, frozen=True):
    input_tokens: int
    input_tokens_details: _InputDetails
    output_tokens: int
    output_tokens_details: _OutputDetails
    total_tokens: int
    context_details: ContextDetails | msgspec.UnsetType = msgspec.UNSET


class ResponseFault(msgspec.Struct, frozen=True):
    code: str
    message: str


class _Incomplete(msgspec.Struct, frozen=True):
    reason: str


class ResponseObject(Echo, frozen=True, kw_only=True):
    """A response. `output` has what the model said and thought, the calls that the client is to run, and
    those of the server's own tools where they were asked for.
    """

    id: str
    object: str = "response"
    created_at: int
    completed_at: int | None = None
    status: str
    error: ResponseFault | None = None
    incomplete_details: _Incomplete | None = None
    output: tuple[WireItem, ...] = ()
    usage: ResponseUsage | None = None


class ResponseDeleted(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str = "response"
    deleted: bool = True


_STATUS = {
    "queued": "queued",
    "running": "in_progress",
    "joined": "in_progress",
    "failed": "failed",
    "cancelled": "cancelled",
}
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def response_object(state: TurnState, echo: Echo, *, inputs: int) -> ResponseObject:
    """Return the response that the turn is. `inputs`: how many messages its input has."""
    end = state.end
    reason = _cut(state.messages) if state.status == "done" else None
    status = _STATUS.get(state.status) or ("incomplete" if reason else "completed")
    return ResponseObject(
        **{name: getattr(echo, name) for name in Echo.__struct_fields__},
        id=response_id(state.id),
        # The turn's id has the time, so that a stream can begin without reading the store.
        created_at=int(time_of(state.id)),
        completed_at=int(state.ended_at) if state.ended_at is not None and state.status == "done" else None,
        status=status,
        error=fault(end.error)
        if end is not None and end.error is not None and state.status == "failed"
        else None,
        incomplete_details=_Incomplete(reason) if reason else None,
        output=output(state, echo, inputs=inputs),
        usage=response_usage(end.usage, state.messages) if end is not None else None,
    )


def output(state: TurnState, echo: Echo, *, inputs: int) -> tuple[WireItem, ...]:
    """Return what the turn said of its own, and what its tools did where that is shown."""
    shown: list[WireItem] = []
    running: dict[str, tuple[int, ToolCallItem]] = {}
    as_summary = echo.reasoning.summary is not None
    for number, message in enumerate(state.messages, inputs):
        ref = ItemRef(state.id, number)
        if message.role == "assistant":
            shown += items(message, ref, as_summary=as_summary)
        if not echo.shows_tools:
            continue
        for place, call in enumerate(shown_calls(message)):
            item = begun(item_id(PREFIX, ref, place), call)
            running[call.id] = len(shown), item
            shown.append(item)
        for result in message.tool_results:
            if result.call_id in running:
                at, item = running.pop(result.call_id)
                shown[at] = finished(item, result)
    if state.end is not None:
        for at, item in running.values():
            shown[at] = cut_off(item)
    return tuple(shown)


def _cut(messages: tuple[Message, ...]) -> str | None:
    last = next((message for message in reversed(messages) if message.role == "assistant"), None)
    return _INCOMPLETE.get(last.stop_reason or "") if last is not None else None


def fault(error: TurnError) -> ResponseFault:
    """Return why the turn failed, by the codes that OpenAI's clients know."""
    if error.http_status == HTTPStatus.TOO_MANY_REQUESTS:
        return ResponseFault("rate_limit_exceeded", error.message)
    return ResponseFault(
        "server_error" if error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_prompt",
        error.message,
    )


def response_usage(usage: Usage, messages: Sequence[Message]) -> ResponseUsage:
    """Return the usage as OpenAI's responses shape it, and what the model saw of the conversation."""
    return ResponseUsage(
        usage.prompt_tokens,
        _InputDetails(usage.cached_tokens),
        usage.completion_tokens,
        _OutputDetails(usage.reasoning_tokens),
        usage.prompt_tokens + usage.completion_tokens,
        context_details(messages),
    )
