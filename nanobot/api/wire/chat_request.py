"""The request of OpenAI's chat completions, parsed.

Shapes: the OpenAI API reference, `POST /v1/chat/completions`. Unknown fields are ignored; SDKs and gateways
  add their own.
"""

from typing import Annotated, Literal

import msgspec

from nanobot.api.wire.chat_tools import ChatTool, ChatToolChoice, chat_tool_choice, chat_tools
from nanobot.api.wire.client_tools import NOTHING
from nanobot.api.wire.content import (
    IMAGE_URL,
    AudioFormat,
    Detail,
    ParticipantName,
    file_part,
    image_part,
    instruction,
    tool_result,
)
from nanobot.api.wire.decoding import decode
from nanobot.api.wire.parsed import ParsedRequest, divided
from nanobot.api.wire.request_bounds import DEFAULT_BOUNDS, MOST_PARTS_A_MESSAGE, RequestBounds
from nanobot.api.wire.sampling import Effort, MaxTokens, Penalty, StopText, Temperature, TopP, Verbosity
from nanobot.api.wire.tools import (
    FormatKind,
    JsonSchema,
    Metadata,
    ToolMode,
    is_given,
    labels,
    output_format,
)
from nanobot.core.errors import InvalidRequest
from nanobot.core.message import (
    Audio,
    ClientTool,
    Message,
    Part,
    Text,
    ToolCall,
    freeform_arguments,
)
from nanobot.core.turn import Sampling
from nanobot.http.schema_extra import schema_extra


def _kind(kind: str, field: str, **schema: object) -> dict[str, object]:
    """Return the schema of a part: one whose type is `kind` must have `field`."""
    return {"properties": {"type": {"const": kind}, field: schema}, "required": [field]}


_PARTS = schema_extra(
    anyOf=[
        _kind("text", "text", type="string"),
        _kind("refusal", "refusal", type="string"),
        _kind("image_url", "image_url", type=["string", "object"]),
        _kind("file", "file", type="object"),
        _kind("input_audio", "input_audio", type="object"),
    ]
)

# The request --------------------------------------------------------------------------------------


class _ImageUrl(msgspec.Struct):
    url: Annotated[str, schema_extra(pattern=IMAGE_URL)]
    detail: Detail | None = None


class _File(msgspec.Struct):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


_ONE_OF_TWO = schema_extra(
    oneOf=[
        {
            "properties": {"file_data": {"type": "string"}, "file_id": {"type": "null"}},
            "required": ["file_data"],
        },
        {
            "properties": {"file_id": {"type": "string"}, "file_data": {"type": "null"}},
            "required": ["file_id"],
        },
    ]
)


class _ChatAudio(msgspec.Struct):
    data: Annotated[str, msgspec.Meta(min_length=1), schema_extra(contentEncoding="base64")]
    format: AudioFormat


class _Part(msgspec.Struct, gc=False):
    type: Literal["text", "refusal", "image_url", "file", "input_audio"]
    text: str | None = None
    image_url: _ImageUrl | Annotated[str, schema_extra(pattern=IMAGE_URL)] | None = None
    file: Annotated[_File, _ONE_OF_TWO] | None = None
    input_audio: _ChatAudio | None = None
    refusal: str | None = None


class _Function(msgspec.Struct, gc=False):
    name: str
    arguments: str = ""


class _CustomCall(msgspec.Struct, gc=False):
    name: str
    input: str = ""


class _ToolCall(msgspec.Struct, gc=False):
    id: str
    function: _Function | None = None
    custom: _CustomCall | None = None


_CALL = schema_extra(
    anyOf=[{"properties": {kind: {"type": "object"}}, "required": [kind]} for kind in ("function", "custom")]
)


class _Message(msgspec.Struct, gc=False):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Annotated[_Part, _PARTS]] | None = None
    refusal: str | None = None
    tool_calls: list[Annotated[_ToolCall, _CALL]] | None = None
    function_call: _Function | None = None
    tool_call_id: str | None = None
    name: ParticipantName | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _ResponseFormat(msgspec.Struct):
    type: FormatKind
    json_schema: JsonSchema | None = None


_MESSAGES = schema_extra(
    minItems=1,
    description=(
        "A result (role `tool` or `function`) behind the last message of the assistant answers a call that"
        " waits for it; another one is a 400 `unknown_tool_call`."
    ),
    contains={
        "required": ["role"],
        "properties": {"role": {"enum": ["user", "tool", "function", "assistant"]}},
    },
)
_MESSAGE = schema_extra(
    anyOf=[
        {
            "properties": {
                "role": {"const": "user"},
                "content": {"type": ["string", "array"], "minItems": 1},
            },
            "required": ["content"],
        },
        {
            "properties": {"role": {"const": "tool"}, "tool_call_id": {"type": "string"}},
            "required": ["tool_call_id"],
        },
        {
            "properties": {"role": {"const": "function"}, "name": {"type": "string", "minLength": 1}},
            "required": ["name"],
        },
        {"properties": {"role": {"const": "assistant"}}},
        {
            "properties": {
                "role": {"enum": ["system", "developer"]},
                "content": {"items": {"properties": {"type": {"enum": ["text", "refusal"]}}}},
            }
        },
    ]
)


class ChatBody(msgspec.Struct, kw_only=True):
    """The body of `POST /v1/chat/completions`. Fields that it does not have are ignored."""

    model: Annotated[str, schema_extra(required=True, minLength=1, examples=["nanobot"])] = ""
    messages: Annotated[list[Annotated[_Message, _MESSAGE]], _MESSAGES]
    stream: bool | msgspec.UnsetType | None = msgspec.UNSET
    stream_options: _StreamOptions | msgspec.UnsetType | None = msgspec.UNSET
    store: bool | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    max_tokens: MaxTokens | None = None
    max_completion_tokens: MaxTokens | None = None
    n: Annotated[int, schema_extra(const=1)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: StopText | Annotated[list[StopText], msgspec.Meta(max_length=16)] | None = None
    reasoning_effort: Effort | None = None
    logprobs: Annotated[bool, schema_extra(const=False)] | None = None
    top_logprobs: Annotated[int, schema_extra(const=0)] | None = None
    modalities: Annotated[list[str], schema_extra(enum=[[], ["text"]])] | None = None
    audio: Annotated[msgspec.Raw, schema_extra(type="null")] = msgspec.field(default_factory=msgspec.Raw)
    tools: list[ChatTool] | None = None
    tool_choice: ToolMode | ChatToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[msgspec.Raw, schema_extra(type=["array", "null"], maxItems=0)] = msgspec.field(
        default_factory=msgspec.Raw
    )
    response_format: _ResponseFormat | None = None
    verbosity: Verbosity | None = None
    metadata: Metadata | None = None
    user: str | None = None
    safety_identifier: str | None = None


class ChatRequest(ParsedRequest, frozen=True, kw_only=True):
    """What a body asks. `include_usage`: a stream ends with a chunk that has the usage."""

    include_usage: bool


_decoder = msgspec.json.Decoder(ChatBody)


def parse_chat(body: bytes, bounds: RequestBounds = DEFAULT_BOUNDS) -> ChatRequest:
    """Return what the body asks.

    Raises:
        InvalidJson: not JSON, or not an object.
        InvalidRequest: a field is missing, of the wrong type, out of range or bounds, or not supported;
            `param` names it.
    """
    request = decode(body, _decoder)
    if not request.model:
        raise InvalidRequest("you must provide a model parameter", param="model")
    if not request.messages:
        raise InvalidRequest("messages is empty: at least one message is needed", param="messages")
    bounds.check_messages(request.messages, "messages")
    _refuse_unsupported(request)
    earlier, new, instructions = _messages(request.messages, bounds)
    declared = chat_tools(request.tools, bounds) if request.tools else NOTHING
    tools, choice = chat_tool_choice(request.tool_choice, declared.specs)
    format_ = request.response_format
    return ChatRequest(
        model=request.model,
        input=new,
        earlier=earlier,
        instructions=instructions,
        sampling=_sampling(request),
        stream=request.stream is True,
        stream_fields=(request.stream is not msgspec.UNSET) + (request.stream_options is not msgspec.UNSET),
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
        trace=request.store is not False,
        tools=tools,
        tool_choice=choice,
        declared=declared.forms,
        tools_left_out=declared.left_out,
        format=None
        if format_ is None
        else output_format(format_.type, format_.json_schema, "response_format", bounds),
        format_param="response_format.schema",
        labels=labels(request.metadata, request.user, request.safety_identifier),
    )


def _refuse_unsupported(request: ChatBody) -> None:
    if request.n is not None and request.n != 1:
        raise InvalidRequest(f"n is {request.n}: only 1 is supported", param="n")
    if request.logprobs or request.top_logprobs:
        raise InvalidRequest("logprobs are not supported: leave them out", param="logprobs")
    if (request.modalities and request.modalities != ["text"]) or is_given(request.audio):
        raise InvalidRequest(
            "audio output is not supported: modalities may only be ['text']", param="modalities"
        )
    if is_given(request.functions) and bytes(request.functions).strip(b"[] \t\r\n"):
        raise InvalidRequest(
            "functions are not supported: describe them as tools, of the type function", param="functions"
        )


def _sampling(request: ChatBody) -> Sampling:
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    return Sampling(
        temperature=request.temperature,
        top_p=request.top_p,
        # The second is the older name of the first.
        max_output_tokens=request.max_completion_tokens or request.max_tokens,
        stop=stop,
        seed=request.seed,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        reasoning_effort=request.reasoning_effort,
        parallel_tool_calls=request.parallel_tool_calls,
        verbosity=request.verbosity,
    )


# Messages -----------------------------------------------------------------------------------------


def _messages(
    sent: list[_Message], bounds: RequestBounds
) -> tuple[tuple[Message, ...], tuple[Message, ...], str]:
    """Return `(earlier, new, instructions)`; see `divided`.

    An assistant message without content, such as a failed try leaves behind, is none.
    """
    instructions: list[str] = []
    conversation: list[Message] = []
    parts = 0
    for index, message in enumerate(sent):
        content, role = message.content, message.role
        # Most messages of a long history: no further look is needed.
        if type(content) is str and message.tool_calls is None and message.name is None:
            if role == "user":
                conversation.append(Message("user", (Text(content),)))
                continue
            if role == "assistant" and message.refusal is None and message.function_call is None:
                if content and not content.isspace():
                    conversation.append(Message("assistant", (Text(content),), "stop"))
                continue
        path = f"messages[{index}]"
        parts += len(content) if isinstance(content, list) else 0
        parts += len(message.tool_calls or ())
        bounds.check_parts(parts, "messages")
        if role in ("system", "developer"):
            said = instruction(_content(message, path), role, f"{path}.content")
            instructions.append(f"{message.name}: {said}" if message.name and said else said)
            continue
        whole = _message(message, path)
        if role == "assistant" and _is_blank(whole):
            continue
        conversation.append(whole)
    if not conversation:
        raise InvalidRequest("messages must contain at least one user message", param="messages")
    earlier, new = divided(conversation)
    bounds.check_new(new, "messages")
    bounds.check_text(earlier, "messages")
    if parts > MOST_PARTS_A_MESSAGE:
        bounds.check_message_parts(conversation, "messages")
    return earlier, new, "\n\n".join(text for text in instructions if text)


def _message(message: _Message, path: str) -> Message:
    if message.role == "user":
        parts = _content(message, path)
        if not parts:
            raise InvalidRequest(
                f"{path}.content is missing: a string or a list of parts is needed", param=f"{path}.content"
            )
        return Message("user", parts, name=message.name or None)
    if message.role == "assistant":
        return _answer(message, path)
    if message.role == "function":
        if not message.name:
            raise InvalidRequest(f"Missing required parameter: '{path}.name'.", param=f"{path}.name")
        return Message("tool", tool_result(message.name, _content(message, path)))
    if message.tool_call_id is None:
        raise InvalidRequest(
            f"Missing required parameter: '{path}.tool_call_id'.", param=f"{path}.tool_call_id"
        )
    return Message("tool", tool_result(message.tool_call_id, _content(message, path)))


def _answer(message: _Message, path: str) -> Message:
    """Return a message of the assistant.

    A call of the time before tools has no id: the function's name says which result is its.
    """
    calls = tuple(
        _call(call, f"{path}.tool_calls[{index}]") for index, call in enumerate(message.tool_calls or ())
    )
    if (old := message.function_call) is not None:
        calls += (ToolCall(old.name, old.name, old.arguments, True),)
    refused = (Text(message.refusal),) if message.refusal else ()
    return Message(
        "assistant",
        _content(message, path) + refused + calls,
        "tool_calls" if calls else "stop",
        name=message.name or None,
    )


def _is_blank(message: Message) -> bool:
    return all(isinstance(part, Text) and not part.text.strip() for part in message.parts)


def _call(call: _ToolCall, path: str) -> ToolCall:
    if call.function is not None:
        return ToolCall(call.id, call.function.name, call.function.arguments, True)
    if call.custom is None:
        raise InvalidRequest(f"Missing required parameter: '{path}.function'.", param=f"{path}.function")
    declared = ClientTool(call.custom.name, call.custom.name, is_freeform=True)
    return ToolCall(call.id, call.custom.name, freeform_arguments(call.custom.input), True, declared=declared)


def _content(message: _Message, path: str) -> tuple[Part, ...]:
    if message.content is None:
        return ()
    if isinstance(message.content, str):
        return (Text(message.content),)
    return tuple(_part(part, f"{path}.content[{index}]") for index, part in enumerate(message.content))


def _part(part: _Part, path: str) -> Part:
    if part.type in ("text", "refusal"):
        text = part.text if part.type == "text" else part.refusal
        if text is None:
            raise InvalidRequest(f"{path}.{part.type} is missing", param=f"{path}.{part.type}")
        return Text(text)
    if part.type == "image_url":
        if part.image_url is None:
            raise InvalidRequest(f"{path}.image_url is missing", param=f"{path}.image_url")
        image = part.image_url if isinstance(part.image_url, _ImageUrl) else _ImageUrl(part.image_url)
        return image_part(image.url, image.detail, f"{path}.image_url")
    if part.type == "file":
        if part.file is None:
            raise InvalidRequest(f"{path}.file is missing", param=f"{path}.file")
        return file_part(part.file.file_data, part.file.filename, part.file.file_id, f"{path}.file")
    if part.input_audio is None:
        raise InvalidRequest(f"{path}.input_audio is missing", param=f"{path}.input_audio")
    return Audio(part.input_audio.data, part.input_audio.format)
