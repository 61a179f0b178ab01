"""The workspace of HKUDS' nanobot: `memory/MEMORY.md`, `USER.md` and `sessions/*.jsonl`.

A session is a line of metadata, and a line for each message. Its key is `channel:chat`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from nanobot.core.errors import InvalidRequest
from nanobot.core.message import Message, Text
from nanobot.reading.exports.found import ExportContent, FoundConversation, moment, timed

_MACHINERY = "messages of tools, calls of them, and notes of the program"
_PICTURES = "pictures, recordings and files within messages"
_EMPTY = "conversations without a message of text"
_BROKEN = "lines that could not be read"
_OWN = "conversations that the program had with itself"
_OWN_CHANNELS = ("cron", "heartbeat", "dream", "system", "subagent")
_read = msgspec.json.Decoder(dict[str, Any]).decode


def read_session(lines: Iterable[bytes], stem: str, now: float) -> ExportContent:
    """Return the conversation of a file that is called `stem`; what has no time happened `now`.

    Raises:
        InvalidRequest: it is no session.
    """
    found = ExportContent.nothing("nanobot")
    records, broken = _records(lines)
    if not records and broken:
        raise InvalidRequest(
            f"{stem}.jsonl is no session of HKUDS' nanobot: none of its lines is a JSON object; nothing was"
            " imported"
        )
    if broken:
        found.left_out[_BROKEN] += broken
    head = next((each for each in records if each.get("_type") == "metadata"), {})
    key = head.get("key")
    key = key if isinstance(key, str) and key else stem.replace("_", ":", 1)
    channel, _, chat = key.partition(":")
    if channel in _OWN_CHANNELS:
        found.left_out[_OWN] += 1
        return found
    messages = timed(_said(records, found), moment(head.get("created_at")) or now)
    if not messages:
        found.left_out[_EMPTY] += 1
        return found
    names = {"id": key, "channel": channel, "chat": chat or channel}
    found.conversations.append(FoundConversation(key, "", messages, names))
    return found


def _records(lines: Iterable[bytes]) -> tuple[list[dict[str, Any]], int]:
    """Return the objects of the lines, and how many are not."""
    records: list[dict[str, Any]] = []
    broken = 0
    for line in lines:
        if not line.strip():
            continue
        try:
            records.append(_read(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # A crash may have cut the last line.
            broken += 1
    return records, broken


def _said(records: Iterable[dict[str, Any]], found: ExportContent) -> Iterator[tuple[Message, float | None]]:
    for record in records:
        role = record.get("role")
        if record.get("_type") == "metadata":
            continue
        text = _text(record.get("content"), found)
        if role not in ("user", "assistant") or not text.strip():
            found.left_out[_MACHINERY] += 1
        elif role == "user":
            name = record.get("sender_name")
            yield (
                Message("user", (Text(text),), name=name if isinstance(name, str) and name else None),
                moment(record.get("timestamp")),
            )
        else:
            yield Message("assistant", (Text(text),), "stop"), moment(record.get("timestamp"))


def _text(content: object, found: ExportContent) -> str:
    pieces: list[str] = []
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            pieces.append(part["text"])
        elif isinstance(part, str):
            pieces.append(part)
        elif part is not None:
            found.left_out[_PICTURES] += 1
    return "\n".join(pieces).encode("utf-8", "replace").decode()
