"""The encoding of text files."""

import codecs
import re

from nanobot.reading.kinds import byte_order_mark

_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_HEAD_BYTES = 4_096
# Python has these codecs; no page is written in them, and some are extremely slow.
_REFUSED_CODECS = frozenset(
    {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
)


def decode_certain(content: bytes) -> str | None:
    """Decode by the byte order mark, or as UTF-8; return None where the encoding is to be found out."""
    try:
        return content.decode(byte_order_mark(content[:4]) or "utf-8")
    except UnicodeError:
        return None


def decode(content: bytes, *, charset: str | None = None) -> str:
    """Decode by the byte order mark, by the declared `charset`, as UTF-8, else as Windows-1252 or Latin-1."""
    for encoding in (byte_order_mark(content[:4]), charset, "utf-8", "cp1252"):
        if encoding is None:
            continue
        try:
            if codecs.lookup(encoding).name.replace("_", "-") not in _REFUSED_CODECS:
                return content.decode(encoding)
        except (LookupError, UnicodeError, ValueError):
            continue
    # Windows-1252 leaves a few bytes undefined, Latin-1 none.
    return content.decode("latin-1")


def decode_html(content: bytes, *, charset: str | None = None) -> str:
    """Decode a page, which may declare its encoding itself."""
    declared = _META.search(content[:_HEAD_BYTES])
    return decode(content, charset=charset or (declared[1].decode("ascii") if declared else None))
