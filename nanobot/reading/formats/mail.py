"""Mails (EML, MBOX), and web pages that were saved as such (MHT). Imported in the worker only."""

import email
import email.policy
import re
from collections.abc import Iterator
from email.header import Header, decode_header
from email.message import Message

from nanobot.reading.formats.html import write_page
from nanobot.reading.messages import Unreadable
from nanobot.reading.plain import decode, decode_html
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_HEADERS = ("From", "To", "Cc", "Bcc", "Reply-To", "Date", "Subject")
_ENCODED_WORDS = re.compile(
    r"=\?[!-<>@-~]{1,60}\?[BQ]\?[ ->@-~]*\?=(?:\s+=\?[!-<>@-~]{1,60}\?[BQ]\?[ ->@-~]*\?=)*", re.IGNORECASE
)
_LONGEST_HEADER = 2_000
_LONGEST_READ_HEADER = 50_000
_MAX_DEPTH = 8
_MAX_PARTS = 1_000
_ENVELOPE = b"From "
_BEGINS = re.compile(rb"^From [^\n]{1,300}\d{4}[^\n]{0,40}\n(?=[!-9;-~]{1,60}:)", re.MULTILINE)
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_FORWARDED = "message/rfc822"
_INVITATION = "text/calendar"


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the headers that people see, the text, the names of attachments, and mails in the mail; of a
    mailbox those of each mail.

    Raises:
        Unreadable: there is no mail in it.
    """
    mails = _mails(source.content)
    for number, content in enumerate(mails, 1):
        message = email.message_from_bytes(content, policy=email.policy.compat32)
        if len(mails) > 1:
            buffer.note(f"mail {number} of {len(mails)}")
        elif not message.keys():
            raise Unreadable("it is no mail: it has no headers")
        _Mail(buffer).write(message, 0)
        buffer.write_line()
        if buffer.is_full:
            break
    buffer.end()


def _mails(content: bytes) -> list[bytes]:
    """Return the mails of a mailbox (mbox), in which a line `From sender date` stands before each."""
    if not content.startswith(_ENVELOPE):
        return [content]
    starts = [match.end() for match in _BEGINS.finditer(content)] or [0]
    ends = [*(match.start() for match in _BEGINS.finditer(content)), len(content)][1:]
    return [_QUOTED.sub(rb"\1", content[start:end]) for start, end in zip(starts, ends, strict=True)]


class _Mail:
    """Writes a mail. A mail has a bounded number of parts, those of mails in it included."""

    def __init__(self, buffer: TextBuffer) -> None:
        self._buffer = buffer
        self._parts_left = _MAX_PARTS

    def write(self, message: Message, depth: int) -> None:
        buffer = self._buffer
        charset = next(filter(None, map(_charset, message.walk())), None)
        for name in _HEADERS:
            said = (_header(value, charset) for value in message.get_all(name, []))
            values = ", ".join(filter(None, said))
            if values:
                more = len(values) - _LONGEST_HEADER
                cut = f" [… and {more} characters more]" if more > 0 else ""
                buffer.write_line(f"{name}: {values[:_LONGEST_HEADER]}{cut}")
        buffer.write_line()
        attached: list[Message] = []
        for part in self._texts(message, attached, 0):
            if part.get_content_type() == "text/html":
                write_page(_html(part), buffer)
            else:
                buffer.write_line(_plain(part).rstrip())
        for part in attached:
            inner = _forwarded(part)
            if inner is not None and depth < _MAX_DEPTH:
                buffer.write_line()
                buffer.note("attached mail:")
                self.write(inner, depth + 1)
            elif part.get_content_maintype() == "image":
                name = _name(part)
                buffer.write_line(buffer.picture(lambda part=part: _bytes(part), name))  # type: ignore[misc]
            else:
                size = len(_bytes(part))
                buffer.note(f"attached file: {_name(part) or part.get_content_type()}, {size} bytes")
        if not depth and self._parts_left < 0:
            buffer.note(f"the parts of this mail after the first {_MAX_PARTS} are not read")

    def _texts(self, part: Message, attached: list[Message], depth: int) -> Iterator[Message]:
        """Yield the parts that are the text of the mail; those beside it are added to `attached`."""
        self._parts_left -= 1
        if self._parts_left < 0:
            return
        if depth > _MAX_DEPTH * 2:
            attached.append(part)
            return
        kind = part.get_content_type()
        inner = part.get_payload() if part.is_multipart() else None
        if kind == _FORWARDED:
            attached.append(part)
        elif kind == "message/delivery-status" and isinstance(inner, list):
            yield _report(inner)
        elif isinstance(inner, list):
            children = [child for child in inner if isinstance(child, Message)]
            if kind == "multipart/alternative":
                yield from self._alternative(children, attached, depth)
                return
            for child in children:
                yield from self._texts(child, attached, depth + 1)
        elif part.get_content_maintype() == "multipart" and isinstance(part.get_payload(), str):
            # Its parts are not marked as it says: the text is shown as it stands.
            yield _as_text(part.get_payload())
        elif _is_attached(part):
            attached.append(part)
        else:
            yield part

    def _alternative(self, children: list[Message], attached: list[Message], depth: int) -> Iterator[Message]:
        """Yield the texts of the alternative that says most: plain text, unless it is empty. What is attached
        to another one is attached to the mail.
        """
        chosen = next(
            (
                child
                for child in children
                if child.get_content_type() == "text/plain" and _plain(child).strip()
            ),
            None,
        )
        if chosen is None or _is_stub(_plain(chosen)):
            rest = [child for child in children if child.get_content_type() != "text/plain"]
            texts = [child for child in rest if child.is_multipart() or _is_words(child)]
            chosen = next(iter(texts[-1:] or rest[-1:] or children[:1]), None)
        for child in children:
            if child is chosen or child.get_content_type() == _INVITATION:
                yield from self._texts(child, attached, depth + 1)
            else:
                # Only what is attached is of use.
                for _ in self._texts(child, attached, depth + 1):
                    pass


def _is_stub(text: str) -> bool:
    """Return whether the plain text only says that there is another one."""
    return len(text) < 300 and "html" in text.lower()


def _is_attached(part: Message) -> bool:
    """Return whether the part, which has no parts, stands beside the text."""
    return (
        part.get_content_disposition() == "attachment"
        or part.get_content_maintype() != "text"
        or _is_resource(part)
    )


def _is_words(part: Message) -> bool:
    return not _is_attached(part) and part.get_content_type() != _INVITATION


def _forwarded(part: Message) -> Message | None:
    """Return the mail that is attached, None where the part is no mail. Some programs encode such mails."""
    if part.get_content_type() != _FORWARDED or not part.is_multipart():
        return None
    inner = part.get_payload(0)
    if not isinstance(inner, Message) or inner.keys():
        return inner if isinstance(inner, Message) else None
    encoded = Message()
    encoded["Content-Transfer-Encoding"] = str(part.get("Content-Transfer-Encoding", ""))
    encoded.set_payload(inner.get_payload())
    decoded = email.message_from_bytes(_bytes(encoded), policy=email.policy.compat32)
    return decoded if decoded.keys() else inner


def _report(blocks: list[Message | str]) -> Message:
    """Return what a server says about the delivery of a mail, whose lines are parsed as headers."""
    lines = [
        "".join(f"{name}: {_header(said)}\n" for name, said in block.items())
        for block in blocks
        if isinstance(block, Message)
    ]
    return _as_text("\n" + "\n".join(lines) + "\n")


def _as_text(text: object) -> Message:
    """Return a part that is this text."""
    part = Message()
    part.set_payload(str(text).encode("utf-8", "surrogateescape"))
    return part


def _is_resource(part: Message) -> bool:
    """Return whether the part belongs to a page that was saved: a style, a script."""
    return part.get_content_subtype() in ("css", "javascript", "vcard", "x-vcard")


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
    return decode(_bytes(part), charset=_charset(part)).replace("\r\n", "\n").replace("\r", "\n")


def _html(part: Message) -> str:
    return decode_html(_bytes(part), charset=_charset(part))


def _name(part: Message) -> str:
    try:
        name = part.get_filename() or ""
    except (LookupError, ValueError, TypeError):
        return ""
    return " ".join(_header(name).split())[:200]


def _header(value: object, charset: str | None = None) -> str:
    """Return a header as people see it, on one line. `charset`: the encoding of the mail, in which programs
    write headers that say nothing of theirs.
    """
    if isinstance(value, Header):
        # It has bytes of which it does not say what they are.
        raw = (text if isinstance(text, bytes) else text.encode() for text, _ in decode_header(value))
        value = decode(b"".join(raw), charset=charset)
    text = _ENCODED_WORDS.sub(_decoded_words, str(value)[:_LONGEST_READ_HEADER])
    return " ".join(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").split())


def _decoded_words(match: re.Match[str]) -> str:
    """Return what words of a header say that are encoded."""
    pieces: list[str] = []
    try:
        for text, charset in decode_header(match[0]):
            pieces.append(decode(text, charset=charset) if isinstance(text, bytes) else text)
    except (ValueError, LookupError, email.errors.HeaderParseError):
        return match[0]
    return "".join(pieces)
