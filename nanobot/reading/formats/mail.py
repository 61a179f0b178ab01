"""Mails (EML), and web pages that were saved as such (MHT). Imported in the worker only."""

import email
import email.policy
from collections.abc import Iterator
from email.header import decode_header
from email.message import Message

from nanobot.reading.formats.html import write_page
from nanobot.reading.messages import Unreadable
from nanobot.reading.plain import decode, decode_html
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_HEADERS = ("From", "To", "Cc", "Bcc", "Reply-To", "Date", "Subject")
_LONGEST_HEADER = 2_000
_MAX_DEPTH = 8
_MAX_PARTS = 1_000


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the headers that people see, the text, the names of attachments, and mails in the mail.

    Raises:
        Unreadable: there is no mail in it.
    """
    message = email.message_from_bytes(source.content, policy=email.policy.compat32)
    if not message.keys():
        raise Unreadable("it is no mail: it has no headers")
    _Mail(buffer).write(message, 0)
    buffer.end()


class _Mail:
    """Writes a mail. A mail has a bounded number of parts, those of mails in it included."""

    def __init__(self, buffer: TextBuffer) -> None:
        self._buffer = buffer
        self._parts_left = _MAX_PARTS

    def write(self, message: Message, depth: int) -> None:
        buffer = self._buffer
        for name in _HEADERS:
            values = [_header(value) for value in message.get_all(name, [])]
            if values and any(values):
                buffer.write_line(f"{name}: {', '.join(values)[:_LONGEST_HEADER]}")
        buffer.write_line()
        attached: list[Message] = []
        for part in self._texts(message, attached, 0):
            if part.get_content_type() == "text/html":
                write_page(_html(part), buffer)
            else:
                buffer.write_line(_plain(part).rstrip())
        for part in attached:
            inner = (
                part.get_payload(0)
                if part.get_content_type() == "message/rfc822" and part.is_multipart()
                else None
            )
            if isinstance(inner, Message) and depth < _MAX_DEPTH:
                buffer.write_line()
                buffer.note("attached mail:")
                self.write(inner, depth + 1)
            elif part.get_content_maintype() == "image":
                name = _name(part)
                buffer.write_line(buffer.picture(lambda part=part: _bytes(part), name))  # type: ignore[misc]
            else:
                size = len(_bytes(part))
                buffer.note(f"attached file: {_name(part) or part.get_content_type()}, {size} bytes")

    def _texts(self, part: Message, attached: list[Message], depth: int) -> Iterator[Message]:
        """Yield the parts that are the text of the mail; those beside it are added to `attached`."""
        self._parts_left -= 1
        if self._parts_left < 0 or depth > _MAX_DEPTH * 2:
            return
        kind = part.get_content_type()
        inner = part.get_payload() if part.is_multipart() else None
        if kind == "message/rfc822":
            attached.append(part)
        elif isinstance(inner, list):
            children = [child for child in inner if isinstance(child, Message)]
            if kind == "multipart/alternative":
                yield from self._alternative(children, attached, depth)
                return
            for child in children:
                yield from self._texts(child, attached, depth + 1)
        elif (
            part.get_content_disposition() == "attachment"
            or not kind.startswith("text/")
            or _is_resource(part)
        ):
            attached.append(part)
        else:
            yield part

    def _alternative(self, children: list[Message], attached: list[Message], depth: int) -> Iterator[Message]:
        """Yield the texts of the alternative that says most: plain text, unless it is empty."""
        chosen = next(
            (
                child
                for child in children
                if child.get_content_type() == "text/plain" and _plain(child).strip()
            ),
            None,
        )
        if chosen is not None and not _is_stub(_plain(chosen)):
            yield chosen
            return
        rest = [child for child in children if child.get_content_type() != "text/plain"]
        for child in rest[-1:] or children[:1]:
            yield from self._texts(child, attached, depth + 1)


def _is_stub(text: str) -> bool:
    """Return whether the plain text only says that there is another one."""
    return len(text) < 300 and "html" in text.lower()


def _is_resource(part: Message) -> bool:
    """Return whether the part belongs to a page that was saved: a style, a script."""
    return part.get_content_subtype() in ("css", "javascript", "calendar", "vcard", "x-vcard")


def _bytes(part: Message) -> bytes:
    try:
        payload = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError):
        return b""
    return payload if isinstance(payload, bytes) else b""


def _charset(part: Message) -> str | None:
    try:
        return part.get_content_charset()
    except (LookupError, ValueError, UnicodeError):
        return None


def _plain(part: Message) -> str:
    return decode(_bytes(part), charset=_charset(part)).replace("\r\n", "\n")


def _html(part: Message) -> str:
    return decode_html(_bytes(part), charset=_charset(part))


def _name(part: Message) -> str:
    try:
        name = part.get_filename() or ""
    except (LookupError, ValueError, TypeError):
        return ""
    return " ".join(_header(name).split())[:200]


def _header(value: object) -> str:
    """Return a header as people see it, whatever its encoding, on one line."""
    pieces: list[str] = []
    try:
        for text, charset in decode_header(str(value)):
            pieces.append(decode(text, charset=charset) if isinstance(text, bytes) else text)
    except (ValueError, LookupError, email.errors.HeaderParseError):
        pieces = [str(value)]
    return " ".join("".join(pieces).encode("utf-8", "surrogateescape").decode("utf-8", "replace").split())
