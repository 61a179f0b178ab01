"""A message of a transcript as the API shows it: OpenAI's fields of chat completions, and what the store
adds.
"""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from nanobot.api.wire.chat_answer import UrlAnnotation, annotations
from nanobot.core.errors import MessageNotFound
from nanobot.core.extent import described
from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import (
    Audio,
    Citation,
    File,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from nanobot.core.sessions import Row
from nanobot.core.workspace import FILE_ID_PREFIX

_MOST_SOURCES = 256
_ID = LatePattern(r"msg_([1-9][0-9]{0,8})")


def message_id(seq: int) -> str:
    """Return the id of a message, which is unique within its session."""
    return f"msg_{seq}"


def parse_message_id(text: str) -> int:
    """Return the number of the message that `text` names.

    Raises:
        MessageNotFound: it is not the id of a message.
    """
    parsed = _ID.fullmatch(text)
    if parsed is None:
        raise MessageNotFound(f"no message {text[:40]!r} in this session")
    return int(parsed[1])


# Shapes -------------------------------------------------------------------------------------------


class TextPart(msgspec.Struct, frozen=True, tag="text"):
    text: str


class ImageUrl(msgspec.Struct, frozen=True, omit_defaults=True):
    url: str
    detail: str | None = None


class ImagePart(msgspec.Struct, frozen=True, tag="image_url"):
    image_url: ImageUrl


class InputAudio(msgspec.Struct, frozen=True):
    data: str
    format: str


class AudioPart(msgspec.Struct, frozen=True, tag="input_audio"):
    input_audio: InputAudio


class FileName(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file: its name, what it says, the upload that it came from or that keeps it.

    `goes_on_at`: where it has more than `text`, such as `page 41 of 200`.
    """

    filename: str
    text: str = ""
    file_id: str | None = None
    goes_on_at: str | None = None


class FilePart(msgspec.Struct, frozen=True, tag="file"):
    file: FileName


ContentPart = TextPart | ImagePart | AudioPart | FilePart


class CalledFunction(msgspec.Struct, frozen=True):
    name: str
    arguments: str


class Call(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str = "function"
    function: CalledFunction


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What was said, as chat completions have it."""

    role: str
    content: str | tuple[ContentPart, ...] | None = None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: tuple[Call, ...] | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    annotations: tuple[UrlAnnotation, ...] | UnsetType | None = UNSET


class WrittenFile(msgspec.Struct, frozen=True):
    """A file that a call has written: its id for `/v1/files`, and its path in the workspace."""

    id: str
    filename: str


class SessionMessage(ChatMessage, frozen=True, kw_only=True):
    """A message of a transcript. `files`: those that the call has written whose result it is."""

    id: str
    object: str = "session.message"
    turn_id: str | None
    created_at: float
    files: tuple[WrittenFile, ...] | UnsetType = UNSET


# From the core to the wire ------------------------------------------------------------------------


def chat_message(message: Message) -> ChatMessage:
    """Return what was said."""
    thoughts = "".join(part.text for part in message.parts if isinstance(part, Thinking))
    calls = tuple(
        Call(id=call.id, function=CalledFunction(call.name, call.arguments)) for call in message.tool_calls
    )
    return ChatMessage(
        role=message.role,
        content=_content(message),
        reasoning_content=thoughts or UNSET,
        tool_calls=calls or UNSET,
        tool_call_id=message.tool_results[0].call_id if message.tool_results else UNSET,
        name=message.name or UNSET,
        annotations=annotations(message) or UNSET,
    )


def session_message(row: Row) -> SessionMessage:
    """Return a message of a transcript."""
    said = msgspec.structs.asdict(chat_message(row.message))
    files = tuple(
        WrittenFile(f"{FILE_ID_PREFIX}{path}", path)
        for result in row.message.tool_results
        for path in result.files
    )
    return SessionMessage(
        **said,
        id=message_id(row.seq),
        turn_id=row.turn_id,
        created_at=row.created_at,
        files=files or UNSET,
    )


def _content(message: Message) -> str | tuple[ContentPart, ...] | None:
    if message.tool_results:
        text = "".join(result.content for result in message.tool_results)
        came_along = [shaped for part in message.parts if (shaped := _part(part)) is not None]
        return (TextPart(text), *came_along) if came_along else text
    if any(isinstance(part, Image | Audio | File) for part in message.parts):
        return tuple(shaped for part in message.parts if (shaped := _part(part)) is not None)
    return message.text or (None if message.tool_calls else "")


def _part(part: Part) -> ContentPart | None:
    match part:
        case Text(text):
            return TextPart(text)
        case Image(url, detail):
            return ImagePart(ImageUrl(url, detail))
        case Audio(data, format_):
            return AudioPart(InputAudio(data, format_))
        case File():
            cut = part.extent.cut
            goes_on_at = described(part.extent, cut) if cut is not None else None
            return FilePart(FileName(part.name, part.text, part.file_id, goes_on_at))
    return None


# From the wire to the core ------------------------------------------------------------------------


def parts_of(said: ChatMessage) -> tuple[Part, ...]:
    """Return the parts that `said` shows, as far as it has their content."""
    if said.role == "tool":
        call_id = said.tool_call_id if isinstance(said.tool_call_id, str) else ""
        content = said.content or ""
        if isinstance(content, str):
            return (ToolResult(call_id, content),)
        shown = tuple(_core_part(part) for part in content)
        text = "".join(part.text for part in shown if isinstance(part, Text))
        return (ToolResult(call_id, text), *(part for part in shown if not isinstance(part, Text)))
    parts: list[Part] = [Thinking(said.reasoning_content)] if isinstance(said.reasoning_content, str) else []
    if isinstance(said.content, str):
        parts.extend([Text(said.content)] if said.content else [])
    else:
        parts.extend(_core_part(part) for part in said.content or ())
    calls: Sequence[Call] = said.tool_calls if isinstance(said.tool_calls, tuple) else ()
    parts.extend(ToolCall(call.id, call.function.name, call.function.arguments) for call in calls)
    return tuple(parts)


def citations_of(said: ChatMessage) -> tuple[Citation, ...]:
    """Return the sources that `said` names for its text."""
    if not isinstance(said.annotations, tuple):
        return ()
    named = [each.url_citation for each in said.annotations[:_MOST_SOURCES]]
    return tuple(
        Citation(each.url, each.title, max(0, each.start_index), max(0, each.end_index))
        for each in named
        if each is not None and each.url.lower().startswith(("http://", "https://"))
    )


def _core_part(part: ContentPart) -> Part:
    match part:
        case TextPart(text):
            return Text(text)
        case ImagePart(image):
            return Image(image.url, image.detail)  # type: ignore[arg-type]
        case AudioPart(audio):
            return Audio(audio.data, audio.format)
        case FilePart(file):
            # Where it is imported, the rest is not at hand.
            rest = f"\n(The file goes on at {file.goes_on_at}.)" if file.goes_on_at else ""
            return File(file.filename, file.text + rest, file.file_id)
