"""A request as OpenAI's chat completions take it: the same values always give the same bytes.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from nanobot.core.message import Audio, File, Image, Message, Text, ToolCall, ToolResult
from nanobot.core.model import Ability, ModelRequest
from nanobot.core.tool import ToolSpec
from nanobot.core.turn import Labels, OutputFormat, Sampling

# The shapes of the format; a field that is not set is left out ------------------------------------


class _SentImageUrl(msgspec.Struct, omit_defaults=True):
    url: str
    detail: str | None = None


class _TextPart(msgspec.Struct, gc=False, tag_field="type", tag="text"):
    text: str


class _ImagePart(msgspec.Struct, tag_field="type", tag="image_url"):
    image_url: _SentImageUrl


class _SentAudio(msgspec.Struct):
    data: str
    format: str


class _AudioPart(msgspec.Struct, tag_field="type", tag="input_audio"):
    input_audio: _SentAudio


_Content = str | list[_TextPart | _ImagePart | _AudioPart]


class _SystemMessage(msgspec.Struct, gc=False, tag_field="role", tag="system"):
    content: str


class _UserMessage(msgspec.Struct, gc=False, tag_field="role", tag="user"):
    content: _Content


class _SentFunction(msgspec.Struct, gc=False):
    name: str
    arguments: str


class _SentCall(msgspec.Struct, gc=False, tag_field="type", tag="function"):
    id: str
    function: _SentFunction


class _AssistantMessage(msgspec.Struct, gc=False, omit_defaults=True, tag_field="role", tag="assistant"):
    content: str | None
    tool_calls: list[_SentCall] = []


class _ToolMessage(msgspec.Struct, gc=False, tag_field="role", tag="tool"):
    tool_call_id: str
    content: str


_Wire = _SystemMessage | _UserMessage | _AssistantMessage | _ToolMessage


class _SentName(msgspec.Struct):
    name: str


class _SentToolChoice(msgspec.Struct, tag_field="type", tag="function"):
    function: _SentName


class _ToolSpec(msgspec.Struct, gc=False, tag_field="type", tag="function"):
    function: ToolSpec


# --------------------------------------------------------------------------------------------------

RESERVED_FIELDS = frozenset({"model", "messages", "stream", "tools"})
"""Fields that are written from the request; extra fields cannot replace them."""

NO_AUDIO_NOTE = "(A recording came with this message; you cannot listen to it.)"
"""Stands for a recording where the model takes no audio: another one may have heard it earlier."""

_encode = msgspec.json.Encoder().encode


def encode(
    request: ModelRequest,
    *,
    model: str,
    limit_field: Literal["max_tokens", "max_completion_tokens"],
    includes_usage: bool,
    includes_openai_fields: bool,
    extra: Mapping[str, object],
    abilities: frozenset[Ability] = frozenset(),
) -> bytes:
    """Return the body of the request, as JSON.

    `includes_openai_fields`: with those that OpenAI alone knows. The messages come last, and each one's bytes
    depend on that message alone, so that the body of the next turn begins with the same bytes. The one
    exception are `request.notes`: they stand below the last user message, or in a message of their own.
    """
    body: dict[str, object] = {"model": model, "stream": True}
    if includes_usage:
        body["stream_options"] = {"include_usage": True}
    if includes_openai_fields:
        if request.session_hint:
            body["prompt_cache_key"] = request.session_hint
        body.update(_labels(request.labels))
    if request.tools:
        body["tools"] = [_ToolSpec(tool) for tool in request.tools]
        if request.tool_choice.mode == "required":
            body["tool_choice"] = (
                _SentToolChoice(_SentName(request.tool_choice.name))
                if request.tool_choice.name
                else "required"
            )
        if request.sampling.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.sampling.parallel_tool_calls
    if request.format is not None and request.format.kind in abilities:
        body["response_format"] = _response_format(request.format)
    _sample(request.sampling, limit_field, body)
    body.update(extra)
    body["messages"] = _messages(request, audio="audio" in abilities)
    return _encode(body)


def _response_format(wanted: OutputFormat) -> dict[str, object]:
    if wanted.kind == "json_object":
        return {"type": "json_object"}
    schema: dict[str, object] = {"name": wanted.name, "schema": wanted.schema, "strict": wanted.strict}
    if wanted.description:
        schema["description"] = wanted.description
    return {"type": "json_schema", "json_schema": schema}


def _labels(labels: Labels) -> dict[str, object]:
    """Return the fields that name the client's user.

    Metadata are not sent: providers take them as labels of what they store themselves.
    """
    fields = (("user", labels.user), ("safety_identifier", labels.safety_identifier))
    return {field: value for field, value in fields if value}


def _sample(sampling: Sampling, limit_field: str, body: dict[str, object]) -> None:
    settings = (
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        (limit_field, sampling.max_output_tokens),
        ("stop", sampling.stop or None),
        ("seed", sampling.seed),
        ("presence_penalty", sampling.presence_penalty),
        ("frequency_penalty", sampling.frequency_penalty),
        ("reasoning_effort", sampling.reasoning_effort),
        ("verbosity", sampling.verbosity),
    )
    body.update({field: value for field, value in settings if value is not None})


def _messages(request: ModelRequest, *, audio: bool) -> list[_Wire]:
    wire: list[_Wire] = [_SystemMessage(request.system)] if request.system else []
    last_user: int | None = None
    for message in request.messages:
        parts = message.parts
        # The short way: most messages are one text.
        if len(parts) == 1 and type(parts[0]) is Text and message.role != "tool":
            if message.role == "user":
                last_user = len(wire)
                wire.append(_UserMessage(parts[0].text))
            else:
                wire.append(_AssistantMessage(parts[0].text))
        elif message.role == "tool":
            wire.extend(
                [
                    _ToolMessage(result.call_id, result.content)
                    for result in message.parts
                    if isinstance(result, ToolResult)
                ]
            )
        elif message.role == "user":
            last_user = len(wire)
            wire.append(_UserMessage(_content(message, audio=audio)))
        else:
            wire.append(_assistant(message))
    if not request.notes:
        return wire
    if last_user is None:
        return [*wire, _UserMessage(request.notes)]
    last = wire[last_user]
    if isinstance(last, _UserMessage):
        wire[last_user] = _UserMessage(_noted(last.content, request.notes))
    return wire


def _noted(content: _Content, notes: str) -> _Content:
    if isinstance(content, str):
        return f"{content}\n\n{notes}"
    return [*content, _TextPart(notes)]


def _content(message: Message, *, audio: bool) -> _Content:
    """Return a user's parts: plain text as a string, as not every server takes a list.

    A note stands for a recording that the model does not take.
    """
    content = [
        _part(part, audio=audio) for part in message.parts if isinstance(part, Text | Image | Audio | File)
    ]
    if all(isinstance(part, _TextPart) for part in content):
        return "\n".join(part.text for part in content if isinstance(part, _TextPart))
    return content


def _part(part: Text | Image | Audio | File, *, audio: bool) -> _TextPart | _ImagePart | _AudioPart:
    if isinstance(part, Text):
        return _TextPart(part.text)
    if isinstance(part, Image):
        return _ImagePart(_SentImageUrl(part.url, part.detail))
    if isinstance(part, File):
        return _TextPart(part.shown)
    return _AudioPart(_SentAudio(part.data, part.format)) if audio else _TextPart(NO_AUDIO_NOTE)


def _assistant(message: Message) -> _AssistantMessage:
    calls: list[_SentCall] = []
    texts: list[str] = []
    for part in message.parts:
        if isinstance(part, Text):
            texts.append(part.text)
        elif isinstance(part, ToolCall):
            # Servers parse the arguments, and refuse an empty string; an empty object means the same to all.
            arguments = part.arguments if part.arguments.strip() else "{}"
            calls.append(_SentCall(part.id, _SentFunction(part.name, arguments)))
    text = "".join(texts)
    return _AssistantMessage(text or (None if calls else ""), calls)
