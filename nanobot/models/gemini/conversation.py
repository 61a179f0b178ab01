"""A transcript as the Gemini API takes it.

Its rules: the first content and the last are the user's; roles alternate; the content behind one with calls
has a response for each of them, in their order, and nothing else; no part is empty; what was signed goes back
as it came, neither joined with its neighbours nor moved.
Sources: https://ai.google.dev/api/caching#Content, https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from typing import Literal

import msgspec

from nanobot.core.late_pattern import LatePattern
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
from nanobot.models.transcript import NO_RESULT, arguments_object, data_url, results_after

# The shapes of the format; a field that is not set is left out ------------------------------------


class PlainPart(msgspec.Struct, gc=False, omit_defaults=True, rename="camel"):
    text: str
    thought: bool = False
    thought_signature: msgspec.Raw | None = None


class Blob(msgspec.Struct, gc=False, rename="camel"):
    mime_type: str
    data: str


class InlinePart(msgspec.Struct, rename="camel"):
    inline_data: Blob


class FileUri(msgspec.Struct, gc=False, rename="camel"):
    file_uri: str


class UriPart(msgspec.Struct, rename="camel"):
    file_data: FileUri


class FunctionCall(msgspec.Struct, gc=False, omit_defaults=True):
    name: str
    args: msgspec.Raw
    id: str | None = None


class FunctionCallPart(msgspec.Struct, omit_defaults=True, rename="camel"):
    function_call: FunctionCall
    thought_signature: msgspec.Raw | None = None


class FunctionResponse(msgspec.Struct, gc=False, omit_defaults=True):
    name: str
    response: dict[str, str]
    id: str | None = None


class FunctionResponsePart(msgspec.Struct, rename="camel"):
    function_response: FunctionResponse


WirePart = PlainPart | InlinePart | UriPart | FunctionCallPart | FunctionResponsePart


class WireContent(msgspec.Struct):
    role: Literal["user", "model"]
    parts: list[WirePart]


# --------------------------------------------------------------------------------------------------

THOUGHT_SIGNATURE = "thoughtSignature"
"""The name under which a part's `provider_state` holds its signature."""
NO_SIGNATURE = msgspec.Raw(b'"skip_thought_signature_validator"')
"""What is documented for calls that another model made."""

_EMPTY = "(empty message)"
_EARLIER = "(The beginning of this conversation is not shown.)"
_BRIDGE = "I have the results."
_GO_ON = "Continue."
_NO_AUDIO = "(A recording came with this message; you cannot listen to it.)"
_NO_IMAGE = "(An image came with this message; you cannot see it.)"
_IMAGE_TYPES = frozenset(
    {"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif", "application/pdf"}
)
_AUDIO_FORMATS = frozenset({"wav", "mp3", "aiff", "aac", "ogg", "flac", "m4a", "opus", "webm"})
_MADE_HERE = LatePattern(r"call_[0-9a-f]{24}(?:-\d+)?")
"""Ids that calls got because they came without one."""
_NOT_IN_NAME = LatePattern(r"[^a-zA-Z0-9_.-]")
_MAX_NAME_CHARS = 64


class ContentTerms(msgspec.Struct, frozen=True):
    """How a model takes a conversation.

    `provider` gets the signatures back that came from it, where it `replays` them; with `needs_signatures`,
    the first call of each step has one, if only `NO_SIGNATURE`. `sends_ids`: calls go back with the ids that
    they came with. A note stands for images and recordings where the model takes none.
    """

    provider: str = "gemini"
    replays: bool = True
    needs_signatures: bool = False
    sends_ids: bool = True
    images: bool = True
    audio: bool = True


def wire_contents(
    messages: tuple[Message, ...], terms: ContentTerms, *, notes: str = ""
) -> list[WireContent]:
    """Return any transcript as a list that keeps the rules of the API; the same values give the same list.

    `notes` stand in a part of their own after the last message of a user. Where messages are added to a
    conversation, the list begins as before, up to the last message of a user.
    """
    last_user = max((i for i, message in enumerate(messages) if message.role == "user"), default=-1)
    wire: list[WireContent] = []
    writer = _StepWriter(terms)
    for position, message in enumerate(messages):
        if message.role == "assistant":
            writer.add(wire, message, results_after(messages, position))
        elif message.role == "user":
            parts = _user_parts(message, terms)
            if position == last_user and notes.strip():
                parts.append(PlainPart(notes))
            _add(wire, "user", parts)
    if wire and wire[0].role == "model":
        wire.insert(0, WireContent("user", [PlainPart(_EARLIER)]))
    if not wire or wire[-1].role == "model":
        is_noted = last_user >= 0 or not notes.strip()
        _add(wire, "user", [PlainPart(_GO_ON if is_noted else notes)])
    return wire


def wire_name(name: str) -> str:
    """Return a tool's name as the API takes it: it begins with a letter or an underscore."""
    own = _NOT_IN_NAME.sub("_", name)
    return (own if own[:1].isalpha() or own[:1] == "_" else f"_{own}")[:_MAX_NAME_CHARS]


def _add(wire: list[WireContent], role: Literal["user", "model"], parts: list[WirePart]) -> None:
    """Add parts to the last content where it has the same role and is no list of responses."""
    if wire and wire[-1].role == role == "user" and isinstance(wire[-1].parts[0], FunctionResponsePart):
        wire.append(WireContent("model", [PlainPart(_BRIDGE)]))
    if wire and wire[-1].role == role:
        wire[-1].parts.extend(parts)
    else:
        wire.append(WireContent(role, parts))


class _StepWriter:
    """Writes the model's messages and the results of their calls; each id is given once."""

    def __init__(self, terms: ContentTerms) -> None:
        self._terms = terms
        self._taken: set[str] = set()

    def add(self, wire: list[WireContent], message: Message, results: dict[str, ToolResult]) -> None:
        said: list[WirePart] = []
        responses: list[WirePart] = []
        has_substance = False
        for part in message.parts:
            if isinstance(part, ToolCall):
                has_substance = True
                call = self._call(part, is_first=not responses)
                said.append(call)
                responses.append(_response(call.function_call, results.get(part.id)))
            elif isinstance(part, Text):
                signature = self._signature(part.provider_state)
                if part.text.strip() or signature is not None:
                    has_substance = has_substance or bool(part.text.strip())
                    said.append(PlainPart(part.text, thought_signature=signature))
            elif isinstance(part, Thinking):
                signature = self._signature(part.provider_state)
                if signature is not None:
                    said.append(PlainPart(part.text, thought=True, thought_signature=signature))
        if not has_substance:
            return
        _add(wire, "model", said)
        if responses:
            _add(wire, "user", responses)

    def _call(self, call: ToolCall, *, is_first: bool) -> FunctionCallPart:
        signature = self._signature(call.provider_state)
        if signature is None and is_first and self._terms.needs_signatures:
            signature = NO_SIGNATURE
        return FunctionCallPart(
            FunctionCall(wire_name(call.name), arguments_object(call.arguments), self._id(call.id)), signature
        )

    def _id(self, id_: str) -> str | None:
        if not self._terms.sends_ids or not id_.strip() or id_ in self._taken or _MADE_HERE.fullmatch(id_):
            return None
        self._taken.add(id_)
        return id_

    def _signature(self, state: ProviderState | None) -> msgspec.Raw | None:
        if state is None or state.provider != self._terms.provider or not self._terms.replays:
            return None
        if state.name == THOUGHT_SIGNATURE:
            return state.value
        return _compatible_signature(state.value) if state.name == "extra_content" else None


class _GoogleState(msgspec.Struct, frozen=True):
    thought_signature: msgspec.Raw = msgspec.Raw()


class _CompatibleState(msgspec.Struct):
    google: _GoogleState = _GoogleState()


def _compatible_signature(value: msgspec.Raw) -> msgspec.Raw | None:
    """Return the signature in what the provider's OpenAI-compatible API attached to a part."""
    try:
        signature = msgspec.json.decode(value, type=_CompatibleState).google.thought_signature
    except msgspec.MsgspecError:
        return None
    return msgspec.Raw(bytes(signature)) if bytes(signature).startswith(b'"') else None


def _response(call: FunctionCall, result: ToolResult | None) -> FunctionResponsePart:
    if result is None:
        response = {"error": NO_RESULT}
    else:
        response = {"error" if result.is_error else "output": result.content}
    return FunctionResponsePart(FunctionResponse(call.name, response, call.id))


def _user_parts(message: Message, terms: ContentTerms) -> list[WirePart]:
    parts: list[WirePart] = []
    for part in message.parts:
        if isinstance(part, Text):
            if part.text.strip():
                parts.append(PlainPart(part.text))
        elif isinstance(part, Image):
            parts.append(_image(part.url) if terms.images else PlainPart(_NO_IMAGE))
        elif isinstance(part, File):
            parts.append(PlainPart(part.shown))
        elif isinstance(part, Audio):
            parts.append(_audio(part) if terms.audio else PlainPart(_NO_AUDIO))
    return parts or [PlainPart(_EMPTY)]


def _image(url: str) -> WirePart:
    if url.startswith(("https://", "http://")):
        return UriPart(FileUri(url))
    media_type, content = data_url(url)
    return InlinePart(Blob(media_type, content)) if media_type in _IMAGE_TYPES else PlainPart(_NO_IMAGE)


def _audio(recording: Audio) -> WirePart:
    form = recording.format.lower()
    if form not in _AUDIO_FORMATS:
        return PlainPart(_NO_AUDIO)
    return InlinePart(Blob(f"audio/{form}", recording.data))
