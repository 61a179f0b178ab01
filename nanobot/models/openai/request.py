"""A request as OpenAI's chat completions take it: the same values always give the same bytes.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from nanobot.core.message import (
    Audio,
    File,
    Image,
    Message,
    ProviderState,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from nanobot.core.model import FORMAT_WITH_TOOLS, Ability, ModelRequest
from nanobot.core.tool import ToolSpec
from nanobot.core.turn import Labels, OutputFormat, Sampling
from nanobot.models.images import NO_IMAGE_NOTE, sent_detail
from nanobot.models.lessons import NOTHING, Lesson, named
from nanobot.models.openai.state import (
    CONTENT,
    FIELDS,
    ITS_TEXT,
    NO_SIGNATURE,
    REASONING_CONTENT,
    THOUGHT_SIGNATURE,
    in_this_format,
)

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
    tool_calls: list[_SentCall | dict[str, object]] = []


class _ToolMessage(msgspec.Struct, gc=False, tag_field="role", tag="tool"):
    tool_call_id: str
    content: str


# A dict: the message of an assistant with fields that its provider wants back.
_Wire = _SystemMessage | _UserMessage | _AssistantMessage | _ToolMessage | dict[str, object]


class _SentName(msgspec.Struct):
    name: str


class _SentToolChoice(msgspec.Struct, tag_field="type", tag="function"):
    function: _SentName


class _ToolSpec(msgspec.Struct, gc=False, tag_field="type", tag="function"):
    function: ToolSpec


# --------------------------------------------------------------------------------------------------


class OpeningMessage(msgspec.Struct, frozen=True):
    """A message that every request begins with, before its own."""

    role: Literal["system", "user", "assistant"]
    content: str


LimitField = Literal["max_tokens", "max_completion_tokens"]
"""The fields that limit an answer: OpenAI's newer one, and everybody's."""

RESERVED_FIELDS = frozenset({"model", "messages", "stream", "tools"})
"""Fields that are written from the request; extra fields cannot replace them."""

NO_AUDIO_NOTE = "(A recording came with this message; you cannot listen to it.)"
"""Stands for a recording where the model takes no audio: another one may have heard it earlier."""

_MOST_KEPT_BYTES = 256 * 1024
_encode = msgspec.json.Encoder().encode


class SentTools:
    """Writes the tools of requests. What was written last is kept: nearly all requests of a model offer the
    same tools, as the same object.
    """

    def __init__(self) -> None:
        self._tools: tuple[ToolSpec, ...] = ()
        self._written = msgspec.Raw(b"[]")

    def of(self, tools: tuple[ToolSpec, ...]) -> msgspec.Raw:
        """Return the tools as JSON."""
        if tools is self._tools:
            return self._written
        written = msgspec.Raw(_encode([_ToolSpec(tool) for tool in tools]))
        # Those that a client brings may be large, and the next request has others.
        if len(bytes(written)) <= _MOST_KEPT_BYTES:
            self._tools, self._written = tools, written
        return written


def encode(
    request: ModelRequest,
    *,
    model: str,
    limit_field: LimitField,
    includes_usage: bool,
    includes_openai_fields: bool,
    extra: Mapping[str, object],
    salt_field: str = "",
    abilities: frozenset[Ability] = frozenset(),
    provider: str = "",
    lessons: frozenset[Lesson] = NOTHING,
    opening: tuple[OpeningMessage, ...] = (),
    tools: SentTools | None = None,
) -> bytes:
    """Return the body of the request, as JSON.

    `includes_openai_fields`: with those that OpenAI alone knows. The messages come last, and each one's bytes
    depend on that message alone, so that the body of the next turn begins with the same bytes. The one
    exception are `request.notes`: they stand below the last user message, or in a message of their own.

    `salt_field`: the one that gets the session's name, to keep the server's cache apart by it. `provider`
    gets the state back that came from it. `lessons`: what the model takes otherwise. `opening`: what stands
    before the request's own messages. `tools`: what writes those of all requests to one model.
    """
    body: dict[str, object] = {"model": model, "stream": True}
    if includes_usage:
        body["stream_options"] = {"include_usage": True}
    if includes_openai_fields:
        if request.session_hint:
            body["prompt_cache_key"] = request.session_hint
        body.update(_labels(request.labels))
    if request.tools:
        body["tools"] = (tools or SentTools()).of(request.tools)
        if request.tool_choice.mode == "required":
            body["tool_choice"] = (
                _SentToolChoice(_SentName(request.tool_choice.name))
                if request.tool_choice.name
                else "required"
            )
        if request.sampling.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.sampling.parallel_tool_calls
    form = request.format
    if form is not None and form.kind in abilities and not _is_lacking(request, form):
        body["response_format"] = _response_format(form)
    _sample(request.sampling, limit_field, body)
    if salt_field and request.session_hint:
        body[salt_field] = request.session_hint
    body.update(extra)
    if lessons:
        for field in named(lessons, "omit"):
            body.pop(field, None)
    messages = _Messages(provider, lessons, audio="audio" in abilities, is_openai=includes_openai_fields).of(
        request
    )
    body["messages"] = [*opening, *messages] if opening else messages
    return _encode(body)


def _is_lacking(request: ModelRequest, form: OutputFormat) -> bool:
    """Return whether the request has to go without its format."""
    if not request.lacking:
        return False
    return form.kind in request.lacking or (FORMAT_WITH_TOOLS in request.lacking and bool(request.tools))


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


class _Messages:
    """Writes the messages of a request.

    `provider` is the one that is asked; `lessons` say what of its state it does not take, or has to get.
    """

    def __init__(self, provider: str, lessons: frozenset[Lesson], *, audio: bool, is_openai: bool) -> None:
        self._takes_audio = audio
        self._is_openai = is_openai
        self._takes_images = True
        self._provider = provider
        self._refused: frozenset[str] = frozenset()
        self._required: frozenset[str] = frozenset()
        self._nothing = ""
        if not lessons:
            return
        kinds = named(lessons, "text_only")
        self._takes_audio = audio and "audio" not in kinds
        self._takes_images = "images" not in kinds
        self._refused = named(lessons, "no_state")
        self._required = named(lessons, "empty_state")
        self._nothing = " " if named(lessons, "blank_state") else ""

    def of(self, request: ModelRequest) -> list[_Wire]:
        wire: list[_Wire] = [_SystemMessage(request.system)] if request.system else []
        last_user: int | None = None
        requires_state = bool(self._required)
        for message in request.messages:
            parts, role = message.parts, message.role
            # The short way: most messages are one text.
            only = parts[0] if len(parts) == 1 else None
            text = only if type(only) is Text else None
            if role == "user":
                last_user = len(wire)
                wire.append(_UserMessage(self._content(message) if text is None else text.text))
            elif role == "tool":
                wire.extend(
                    [
                        _ToolMessage(part.call_id, part.content)
                        for part in parts
                        if isinstance(part, ToolResult)
                    ]
                )
            elif text is not None and text.provider_state is None and not requires_state:
                wire.append(_AssistantMessage(text.text))
            else:
                wire.append(self._assistant(message))
        if not request.notes:
            return wire
        if last_user is None:
            return [*wire, _UserMessage(request.notes)]
        last = wire[last_user]
        if isinstance(last, _UserMessage):
            wire[last_user] = _UserMessage(_noted(last.content, request.notes))
        return wire

    def _content(self, message: Message) -> _Content:
        """Return a user's parts: plain text as a string, as not every server takes a list.

        A note stands for what the model does not take.
        """
        content = [
            self._part(part) for part in message.parts if isinstance(part, Text | Image | Audio | File)
        ]
        if all(isinstance(part, _TextPart) for part in content):
            return "\n".join(part.text for part in content if isinstance(part, _TextPart))
        return content

    def _part(self, part: Text | Image | Audio | File) -> _TextPart | _ImagePart | _AudioPart:
        if isinstance(part, Text):
            return _TextPart(part.text)
        if isinstance(part, Image):
            if not self._takes_images:
                return _TextPart(NO_IMAGE_NOTE)
            return _ImagePart(_SentImageUrl(part.url, sent_detail(part.detail, is_openai=self._is_openai)))
        if isinstance(part, File):
            return _TextPart(part.shown)
        return (
            _AudioPart(_SentAudio(part.data, part.format)) if self._takes_audio else _TextPart(NO_AUDIO_NOTE)
        )

    # What the assistant said ----------------------------------------------------------------------

    def _assistant(self, message: Message) -> _Wire:
        calls: list[_SentCall | dict[str, object]] = []
        texts: list[str] = []
        state: dict[str, object] = {}
        for part in message.parts:
            if isinstance(part, ToolCall):
                calls.append(self._call(part))
            elif isinstance(part, Text | Thinking):
                if isinstance(part, Text):
                    texts.append(part.text)
                if (own := self._own(part.provider_state)) is not None:
                    _add_state(state, own, part.text)
        if CONTENT in state:
            texts.insert(0, f"<think>\n{state.pop(CONTENT)}\n</think>\n\n")
        text = "".join(texts)
        content = text or (None if calls else "")
        if REASONING_CONTENT in self._required or self._nothing:
            state[REASONING_CONTENT] = state.get(REASONING_CONTENT) or self._nothing
        if not state and all(isinstance(call, _SentCall) for call in calls):
            return _AssistantMessage(content, calls)
        fields: dict[str, object] = {"role": "assistant", "content": content, **state}
        if calls:
            fields["tool_calls"] = calls
        return fields

    def _call(self, call: ToolCall) -> _SentCall | dict[str, object]:
        # Servers parse the arguments, and refuse an empty string; an empty object means the same to all.
        arguments = call.arguments if call.arguments.strip() else "{}"
        function = _SentFunction(call.name, arguments)
        own = self._own(call.provider_state)
        fields: dict[str, object] = {} if own is None else {own.name: own.value}
        if THOUGHT_SIGNATURE in self._required:
            fields.setdefault("extra_content", NO_SIGNATURE)
        if not fields:
            return _SentCall(call.id, function)
        return {"type": "function", "id": call.id, "function": function, **fields}

    def _own(self, state: ProviderState | None) -> ProviderState | None:
        """Return the state where it came from the provider that is asked, and it takes it."""
        if state is None or state.provider != self._provider:
            return None
        # The provider may have given it in an answer of another format.
        state = in_this_format(state)
        return None if state.name in self._refused or state.name not in FIELDS else state


def _add_state(fields: dict[str, object], state: ProviderState, text: str) -> None:
    """Add the state of a part to the fields of its message; two of one name are joined."""
    known = fields.get(state.name)
    if state.value == ITS_TEXT:
        fields[state.name] = known + text if isinstance(known, str) else text
        return
    fields[state.name] = state.value
    if isinstance(known, msgspec.Raw):
        first, second = (msgspec.json.decode(value) for value in (known, state.value))
        if isinstance(first, list) and isinstance(second, list):
            fields[state.name] = first + second


def _noted(content: _Content, notes: str) -> _Content:
    if isinstance(content, str):
        return f"{content}\n\n{notes}"
    return [*content, _TextPart(notes)]
