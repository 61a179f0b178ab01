"""The request of OpenAI's responses, taken apart.

Shapes: the OpenAI API reference, `POST /v1/responses`, and Open Responses. Unknown fields are ignored; SDKs
  and gateways add their own.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from nanobot.api.wire.client_tools import NOTHING
from nanobot.api.wire.decoding import decode
from nanobot.api.wire.input_items import (
    NO_SUMMARIES,
    InputMessages,
    ReferencedMessages,
    input_messages,
)
from nanobot.api.wire.input_shapes import ITEM, InputItem
from nanobot.api.wire.parsed import ParsedRequest, divided
from nanobot.api.wire.request_bounds import DEFAULT_BOUNDS, RequestBounds
from nanobot.api.wire.response_answer import Echo, WireConversation, WireFormat, WireReasoning, WireText
from nanobot.api.wire.response_tools import (
    ResponseTool,
    ResponseToolChoice,
    echoed_choice,
    echoed_tools,
    raw_copy,
    response_tool_choice,
    response_tools,
)
from nanobot.api.wire.sampling import Effort, MaxTokens, Penalty, Temperature, TopP, Verbosity
from nanobot.api.wire.tools import (
    NAME_PATTERN,
    FormatKind,
    JsonSchema,
    Metadata,
    ToolMode,
    check_name,
    is_given,
    labels,
    output_format,
)
from nanobot.core.errors import InvalidRequest
from nanobot.core.message import Message, user
from nanobot.core.session_keys import KEY_PATTERN
from nanobot.core.turn import OutputFormat, Sampling
from nanobot.http.schema_extra import schema_extra

_INCLUDE = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
)
"""What may be asked for besides; the answer is the same: what this server has of it is always shown."""


class _ResponseStreamOptions(msgspec.Struct):
    include_obfuscation: bool | None = None


class NamedConversation(msgspec.Struct):
    id: Annotated[str, schema_extra(pattern=KEY_PATTERN)]


class _Reasoning(msgspec.Struct):
    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class _Format(msgspec.Struct):
    type: FormatKind
    name: Annotated[str, schema_extra(pattern=NAME_PATTERN)] | None = None
    description: str | None = None
    schema: Annotated[msgspec.Raw, schema_extra(type=["object", "boolean", "null"])] = msgspec.field(
        default_factory=msgspec.Raw
    )
    strict: bool | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None
    verbosity: Verbosity | None = None


class ResponseBody(msgspec.Struct):
    """The body of `POST /v1/responses`. Fields that it does not have are ignored."""

    model: Annotated[str, schema_extra(required=True, minLength=1, examples=["nanobot"])] = ""
    input: Annotated[
        str | Annotated[list[Annotated[InputItem, ITEM]], schema_extra(minItems=1)] | None,
        schema_extra(type=["string", "array"], required=True),
    ] = None
    instructions: str | None = None
    stream: bool | msgspec.UnsetType | None = msgspec.UNSET
    stream_options: _ResponseStreamOptions | msgspec.UnsetType | None = msgspec.UNSET
    background: bool | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    conversation: Annotated[str, schema_extra(pattern=KEY_PATTERN)] | NamedConversation | None = None
    tools: list[ResponseTool] | None = None
    tool_choice: ToolMode | ResponseToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: MaxTokens | None = None
    max_tool_calls: Annotated[int | None, schema_extra(type="null")] = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    top_logprobs: Annotated[int, schema_extra(const=0)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    include: list[Annotated[str, schema_extra(enum=list(_INCLUDE))]] | None = None
    reasoning: _Reasoning | None = None
    text: _Text | None = None
    metadata: Metadata | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt: Annotated[msgspec.Raw, schema_extra(type="null")] = msgspec.field(default_factory=msgspec.Raw)


class ResponseRequest(ParsedRequest, frozen=True, kw_only=True):
    """What a body asks. `previous`: the response that this one follows; `echo`: what the response repeats of
    it.
    """

    background: bool
    conversation: str | None
    previous: str | None
    echo: Echo


_decoder = msgspec.json.Decoder(ResponseBody)


def decode_response(body: bytes) -> ResponseBody:
    """Return the body, decoded.

    Raises:
        InvalidJson, InvalidRequest
    """
    return decode(body, _decoder)


def parse_response(
    request: ResponseBody,
    referenced: ReferencedMessages,
    bounds: RequestBounds = DEFAULT_BOUNDS,
    summaries: Mapping[int, Message] = NO_SUMMARIES,
) -> ResponseRequest:
    """Return what the body asks. `referenced`: the messages that its input only refers to; `summaries`: what
    some items stand for, by their places.

    Raises:
        InvalidRequest: a field is missing, out of range or bounds, or not supported; `param` names it.
    """
    if not request.model:
        raise InvalidRequest("you must provide a model parameter", param="model")
    if request.input is None:
        raise InvalidRequest("Missing required parameter: 'input'.", param="input")
    if isinstance(request.input, list):
        bounds.check_messages(request.input, "input")
    _refuse_unsupported(request)
    said = _said(request.input, referenced, bounds, summaries, is_all=request.store is False)
    earlier, new = _divided(said, bounds, follows=request.previous_response_id is not None)
    declared = response_tools(request.tools, bounds) if request.tools else NOTHING
    tools, choice = response_tool_choice(request.tool_choice, declared.specs)
    format_ = request.text.format if request.text is not None else None
    return ResponseRequest(
        model=request.model,
        input=new,
        earlier=earlier,
        instructions="\n\n".join(filter(None, (request.instructions, *said.instructions))),
        sampling=_sampling(request),
        stream=request.stream is True,
        stream_fields=(request.stream is not msgspec.UNSET) + (request.stream_options is not msgspec.UNSET),
        background=bool(request.background),
        trace=request.store is not False,
        may_cut=request.truncation != "disabled",
        conversation=request.conversation.id
        if isinstance(request.conversation, NamedConversation)
        else request.conversation,
        previous=request.previous_response_id,
        tools=tools,
        tool_choice=choice,
        declared=declared.forms,
        tools_left_out=declared.left_out,
        items_left_out=said.left_out,
        items_known=said.known,
        format=None if format_ is None else _format(format_, bounds),
        format_param="text.format.schema",
        labels=labels(request.metadata, request.user, request.safety_identifier),
        echo=_echo(request),
    )


def _refuse_unsupported(request: ResponseBody) -> None:
    if is_given(request.prompt):
        raise InvalidRequest(
            "prompt is not supported: this server keeps no prompt templates, send instructions and input",
            param="prompt",
        )
    if request.top_logprobs:
        raise InvalidRequest("logprobs are not supported: leave top_logprobs out", param="top_logprobs")
    if request.max_tool_calls is not None:
        raise InvalidRequest(
            "max_tool_calls is not supported: the steps of a turn are bounded by agent.max_steps",
            param="max_tool_calls",
        )
    for value in request.include or ():
        if value not in _INCLUDE:
            raise InvalidRequest(
                f"include has {value[:60]!r}: it may have {', '.join(_INCLUDE)}", param="include"
            )
    if request.previous_response_id is not None and request.conversation is not None:
        raise InvalidRequest(
            "previous_response_id and conversation cannot be used together: a response belongs to one "
            "conversation",
            param="conversation",
        )
    if request.background and request.store is False:
        raise InvalidRequest(
            "background is true and store is false: what runs in the background must be kept to be found",
            param="background",
        )


def _said(
    sent: str | list[InputItem],
    referenced: ReferencedMessages,
    bounds: RequestBounds,
    summaries: Mapping[int, Message],
    *,
    is_all: bool,
) -> InputMessages:
    """Return what the input says. `is_all`: as in `input_messages`."""
    if isinstance(sent, str):
        return InputMessages((user(sent),))
    return input_messages(sent, referenced, "input", bounds, summaries, is_all=is_all)


def _divided(
    said: InputMessages, bounds: RequestBounds, *, follows: bool
) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Return `(earlier, new)`; new is what stands after the last answer, or all where it follows another
    response.
    """
    messages = tuple(
        each for each in said.messages if each.role != "assistant" or each.tool_calls or each.text.strip()
    )
    if not messages:
        raise InvalidRequest(
            "input must contain at least one message of the user, or the output of a call", param="input"
        )
    earlier, new = divided(messages)
    bounds.check_new(messages if follows else new, "input")
    if follows:
        return (), (*earlier, *new)
    bounds.check_text(earlier, "input")
    return earlier, new


# Sampling and form --------------------------------------------------------------------------------


def _sampling(request: ResponseBody) -> Sampling:
    return Sampling(
        temperature=request.temperature,
        top_p=request.top_p,
        max_output_tokens=request.max_output_tokens,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        reasoning_effort=request.reasoning.effort if request.reasoning is not None else None,
        parallel_tool_calls=request.parallel_tool_calls,
        verbosity=request.text.verbosity if request.text is not None else None,
    )


def _format(format_: _Format, bounds: RequestBounds) -> OutputFormat | None:
    if format_.type == "json_schema" and format_.name is None:
        raise InvalidRequest("Missing required parameter: 'text.format.name'.", param="text.format.name")
    if format_.name is not None:
        check_name(format_.name, "text.format.name")
    return output_format(
        format_.type,
        JsonSchema(format_.name or "", format_.description, format_.schema, format_.strict),
        "text.format",
        bounds,
    )


# Echo ---------------------------------------------------------------------------------------------


def _echo(request: ResponseBody) -> Echo:
    reasoning = request.reasoning or _Reasoning()
    text = request.text or _Text()
    return Echo(
        model=request.model or "",
        background=bool(request.background),
        instructions=request.instructions,
        max_output_tokens=request.max_output_tokens,
        metadata=request.metadata or {},
        parallel_tool_calls=request.parallel_tool_calls is not False,
        presence_penalty=request.presence_penalty or 0.0,
        frequency_penalty=request.frequency_penalty or 0.0,
        previous_response_id=request.previous_response_id,
        prompt_cache_key=request.prompt_cache_key,
        reasoning=WireReasoning(reasoning.effort, reasoning.summary or reasoning.generate_summary),
        safety_identifier=request.safety_identifier,
        store=request.store is not False,
        temperature=1.0 if request.temperature is None else request.temperature,
        text=WireText(_echoed_format(text.format), text.verbosity or "medium"),
        tool_choice=msgspec.Raw(echoed_choice(request.tool_choice)),
        tools=echoed_tools(request.tools or ()),
        top_p=1.0 if request.top_p is None else request.top_p,
        truncation=request.truncation or "auto",
        user=request.user,
    )


def _echoed_format(format_: _Format | None) -> WireFormat:
    if format_ is None or format_.type != "json_schema":
        return WireFormat(type=format_.type if format_ is not None else "text")
    return WireFormat(
        type="json_schema",
        name=format_.name,
        description=format_.description,
        schema=raw_copy(format_.schema, b"{}"),
        strict=bool(format_.strict),
    )


def with_conversation(request: ResponseRequest, session_key: str) -> Echo:
    """Return what the response repeats, with the conversation that it is part of."""
    return msgspec.structs.replace(request.echo, conversation=WireConversation(session_key))


def with_events(echo: Echo, wanted: frozenset[str]) -> Echo:
    """Return what the response repeats, with the events that were asked for: of those, responses have the
    calls of tools.
    """
    return msgspec.structs.replace(echo, events=("tools",)) if "tools" in wanted else echo


def with_store(request: ResponseRequest, *, store: bool) -> ResponseRequest:
    """Return the request as one that says `store`."""
    echo = msgspec.structs.replace(request.echo, store=store)
    return msgspec.structs.replace(request, trace=store, echo=echo)
