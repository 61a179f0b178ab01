"""The encoding of text files."""

import codecs
import re
from typing import NamedTuple

from nanobot.reading.encodings import escaped_encoding, guessed_encoding, utf_16_encoding
from nanobot.reading.kinds import byte_order_mark

_XML = re.compile(rb"<\?xml[^>]{0,100}?\bencoding\s*=\s*[\"']\s*([\w.:-]{1,40})", re.IGNORECASE)
_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_HEAD_BYTES = 4_096
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_ESCAPE = b"\x1b"
_MOST_LOST_SHARE = 0.01
_WHOLE_PER_LOST = 3
_ASCII_PER_LOST = 200
_WIDER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-1": "cp1252",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
}
"""Encodings that are declared where a larger one is meant, as browsers know."""
# Python has these codecs; no page is written in them, and some are extremely slow.
_REFUSED_CODECS = frozenset(
    {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
)


class Decoded(NamedTuple):
    """A text. `lost`: how many bytes fit its encoding not, and are shown as U+FFFD."""

    text: str
    encoding: str
    lost: int = 0


def decode_certain(content: bytes) -> str | None:
    """Decode by the byte order mark, or as UTF-8; return None where the encoding is to be found out."""
    mark = byte_order_mark(content[:4])
    if mark is None and (
        (_ESCAPE in content and escaped_encoding(content) is not None)
        or (b"\0" in content[:_HEAD_BYTES] and utf_16_encoding(content) is not None)
    ):
        return None
    try:
        return content.decode(mark or "utf-8")
    except UnicodeError:
        return None


def decode(content: bytes, *, charset: str | None = None) -> str:
    """Return the text of the bytes, in whatever encoding they are; see `decoded`."""
    return decoded(content, charset=charset).text


def decoded(content: bytes, *, charset: str | None = None) -> Decoded:
    """Decode by the byte order mark, as UTF-8, by the declared `charset`, else by what the text looks like.

    A few bytes that fit not, as in a file that was cut or put together of others, do not change what the
    rest is taken for.
    """
    certain = decode_certain(content)
    if certain is not None:
        return Decoded(certain, byte_order_mark(content[:4]) or "utf-8")
    mark = byte_order_mark(content[:4])
    if mark is not None:
        return _replaced(content, mark)
    encoding = _declared(charset)
    if encoding is not None:
        text = _replaced(content, encoding)
        if text.lost <= _MOST_LOST_SHARE * len(content):
            return text
    said = escaped_encoding(content) or utf_16_encoding(content)
    if said is not None:
        return _replaced(content, said)
    if _is_damaged_utf8(content):
        return _replaced(content, "utf-8")
    return _replaced(content, guessed_encoding(content))


def _declared(charset: str | None) -> str | None:
    """Return the declared encoding, if it is one, and no text has it by mistake."""
    if charset is None:
        return None
    try:
        name = codecs.lookup(charset).name
        # Also refuses the codecs from bytes to bytes.
        bytes(4).decode(name, "replace")
    except (LookupError, UnicodeError, ValueError):
        return None
    # What is declared as ASCII or UTF-8, and is not, has been declared by somebody who did not look.
    return (
        None
        if name.replace("_", "-") in _REFUSED_CODECS or name in ("ascii", "utf-8")
        else _WIDER.get(name, name)
    )


def _replaced(content: bytes, encoding: str) -> Decoded:
    text = content.decode(encoding, "replace")
    return Decoded(text, encoding, max(0, text.count("\ufffd") - content.count(b"\xef\xbf\xbd")))


def _is_damaged_utf8(content: bytes) -> bool:
    """Return whether nearly all bytes that are not ASCII are UTF-8."""
    text = content.decode("utf-8", "replace")
    lost = text.count("\ufffd")
    whole = sum(map(len, _NOT_ASCII.findall(text))) - lost
    if whole >= _WHOLE_PER_LOST * lost:
        return True
    # Two of the bytes that never are in UTF-8 are hardly ever in a text of another encoding either.
    noise = content.count(b"\xff") + content.count(b"\xfe")
    return not whole and noise == lost and lost * _ASCII_PER_LOST <= len(content)


def decode_html(content: bytes, *, charset: str | None = None) -> str:
    """Decode a page, which may declare its encoding itself."""
    declared = _META.search(content[:_HEAD_BYTES]) or _XML.search(content[:_HEAD_BYTES])
    return decode(content, charset=charset or (declared[1].decode("ascii") if declared else None))
