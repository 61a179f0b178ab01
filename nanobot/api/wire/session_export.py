"""A session as JSON lines, written and read: docs/session-format.md. Reading gives exactly the messages that
were written.

A line is a message in the shape of chat completions; what that cannot say is in `parts`.
"""

import codecs
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, get_args

import msgspec
from msgspec import UNSET, UnsetType

from nanobot.api.wire.content import Detail
from nanobot.api.wire.decoding import without_half_pairs
from nanobot.api.wire.request_bounds import DEFAULT_BOUNDS, RequestBounds, text_size
from nanobot.api.wire.session_message import (
    ChatMessage,
    SessionMessage,
    citations_of,
    parts_of,
    session_message,
)
from nanobot.core.errors import InvalidRequest
from nanobot.core.json_entries import has_more_entries
from nanobot.core.message import (
    Audio,
    File,
    Image,
    Message,
    Part,
    ProviderState,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)
from nanobot.core.sessions import ImportedMessage, Row, Session

FORMAT = "nanobot.session"
VERSION = 2
_READ_VERSIONS = (1, 2)
"""Version 1 had no state of providers in its parts."""
MIME = b"application/jsonl"
_LONGEST_HEADER = 128 * 1024
_MOST_ENTRIES = 100_000
_LATEST = 100_000_000_000.0
_DETAILS = get_args(Detail)
Time = Annotated[float, msgspec.Meta(ge=0, le=_LATEST)]
Title = Annotated[str, msgspec.Meta(max_length=256)]
Instructions = Annotated[str, msgspec.Meta(max_length=8_000)]
Metadata = Annotated[
    dict[Annotated[str, msgspec.Meta(max_length=64)], Annotated[str, msgspec.Meta(max_length=512)]],
    msgspec.Meta(max_length=16),
]


class _Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    format: str
    version: int
    key: str = ""
    title: Title | None = None
    metadata: Metadata = {}
    model: str | None = None
    instructions: Instructions | None = None


class _ExportLine(SessionMessage, frozen=True, kw_only=True):
    """A message of an export.

    `parts`: the message's own parts, where OpenAI's fields do not say all that is in it.
    """

    stop_reason: StopReason | UnsetType = UNSET
    model: str | UnsetType = UNSET
    usage: Usage | UnsetType = UNSET
    parts: tuple[Part, ...] | UnsetType = UNSET


class _Read(ChatMessage, frozen=True, kw_only=True):
    """A line that is read; fields of an export may be missing."""

    turn_id: str | None = None
    created_at: Time | None = None
    stop_reason: StopReason | None = None
    model: str | None = None
    usage: Usage | None = None
    parts: tuple[Part, ...] | None = None


class Imported(msgspec.Struct, frozen=True):
    """What an export says. The messages are read as they are taken, once."""

    title: str | None
    metadata: Mapping[str, str]
    model: str | None
    instructions: str | None
    messages: Iterator[ImportedMessage]


_encode = msgspec.json.Encoder().encode
_read_header = msgspec.json.Decoder(_Header).decode
_read_line = msgspec.json.Decoder(_Read).decode


# Writing ------------------------------------------------------------------------------------------


def header(session: Session) -> bytes:
    """Return the first line."""
    head = _Header(
        format=FORMAT,
        version=VERSION,
        key=session.key,
        title=session.title,
        metadata=session.metadata,
        model=session.model,
        instructions=session.instructions,
    )
    return _encode(head) + b"\n"


def lines(rows: Iterable[Row]) -> bytes:
    """Return the lines of messages."""
    return b"".join(_encode(_line(row)) + b"\n" for row in rows)


def _line(row: Row) -> _ExportLine:
    message, shown = row.message, session_message(row)
    return _ExportLine(
        **msgspec.structs.asdict(shown),
        stop_reason=message.stop_reason or UNSET,
        model=message.model or UNSET,
        usage=UNSET if message.usage is None else message.usage,
        parts=UNSET if parts_of(shown) == message.parts else message.parts,
    )


# Reading ------------------------------------------------------------------------------------------


def read(
    raw: Iterable[bytes],
    now: float,
    *,
    max_entries: int = _MOST_ENTRIES,
    bounds: RequestBounds = DEFAULT_BOUNDS,
) -> Imported:
    """Return what the lines of an export say; messages without a time have the time `now`. `max_entries`: how
    many members and elements of JSON a line may have.

    Raises:
        InvalidRequest: a line is not one of an export; the message says which and why. Where it is not the
            first, taking its message raises this.
    """
    numbered = ((number, line) for number, line in enumerate(raw, 1) if line.strip())
    head = _read_head(numbered)
    messages = (_given(number, line, now, max_entries, bounds) for number, line in numbered)
    return Imported(head.title, head.metadata, head.model, head.instructions or None, messages)


def _read_head(numbered: Iterator[tuple[int, bytes]]) -> _Header:
    number, line = next(numbered, (1, b""))
    if len(line) > _LONGEST_HEADER:
        raise _bad(
            number,
            f"it must be the header of an export, as {_example()}: it has {len(line)} bytes, at most"
            f" {_LONGEST_HEADER} are allowed",
        )
    try:
        head = _read_header(line.removeprefix(codecs.BOM_UTF8))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(number, f"it must be the header of an export, as {_example()}: {_why(error)}") from error
    if head.format != FORMAT:
        raise _bad(number, f"format is {head.format[:40]!r}: it must be {FORMAT!r}")
    if head.version not in _READ_VERSIONS:
        known = " and ".join(map(str, _READ_VERSIONS))
        raise _bad(number, f"version is {head.version}: this nanobot reads versions {known}")
    return head


def _given(number: int, line: bytes, now: float, max_entries: int, bounds: RequestBounds) -> ImportedMessage:
    # Each takes two bytes at least.
    if len(line) > 2 * max_entries and has_more_entries(line, max_entries):
        raise _bad(number, f"it has more than {max_entries} entries (api.max_json_entries)")
    try:
        said = _decoded(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(number, _why(error)) from error
    parts = said.parts if said.parts is not None else parts_of(said)
    _check(number, said.role, parts)
    name = said.name or None if isinstance(said.name, str) else None
    message = Message(
        said.role,  # type: ignore[arg-type]
        parts,
        said.stop_reason,
        said.usage,
        said.model,
        name=name,
        citations=citations_of(said),
    )
    if (size := text_size(message)) > bounds.max_text_chars:
        raise _bad(
            number,
            f"the message has {size} characters of text, at most {bounds.max_text_chars} are allowed"
            " (api.max_text_chars)",
        )
    return ImportedMessage(message, now if said.created_at is None else said.created_at, said.turn_id)


def _decoded(line: bytes) -> _Read:
    try:
        return _read_line(line)
    except msgspec.DecodeError:
        return _read_line(without_half_pairs(line))


_ALLOWED: dict[str, tuple[type[Part], ...]] = {
    "user": (Text, Image, Audio, File),
    "assistant": (Text, Thinking, Image, Audio, File, ToolCall),
    "tool": (ToolResult, Image, Audio, File),
}


def _check(number: int, role: str, parts: Sequence[Part]) -> None:
    allowed = _ALLOWED.get(role)
    if allowed is None:
        raise _bad(number, f"role is {role[:40]!r}: it must be one of {', '.join(_ALLOWED)}")
    for part in parts:
        if not isinstance(part, allowed):
            raise _bad(number, f"a message of {role} may not have a part {type(part).__name__}")
        if isinstance(part, Text | Thinking | ToolCall) and not _is_storable(part.provider_state):
            raise _bad(number, "provider_state is not UTF-8")
        if isinstance(part, Image):
            if not part.url[:11].lower() == "data:image/":
                raise _bad(number, f"the image {part.url[:40]!r} is no data URL (data:image/…;base64,…)")
            if part.detail not in (None, *_DETAILS):
                raise _bad(
                    number,
                    f"detail of an image is {str(part.detail)[:40]!r}: it must be one of"
                    f" {', '.join(_DETAILS)}",
                )
    if role == "tool" and not parts:
        raise _bad(number, "a message of tool must have a result")


def _is_storable(state: ProviderState | None) -> bool:
    """Return whether the state, which the decoder passes as it is, is text."""
    try:
        bytes(state.value if state is not None else b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _bad(number: int, why: str) -> InvalidRequest:
    return InvalidRequest(f"line {number}: {why}; nothing was imported", param=f"line {number}")


def _why(error: Exception) -> str:
    text = str(error).replace("`", "")
    return text[:1].lower() + text[1:] if isinstance(error, msgspec.ValidationError) else "it is not JSON"


def _example() -> str:
    return f'{{"format": "{FORMAT}", "version": {VERSION}}}'
