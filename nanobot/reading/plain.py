"""Text as it is: which encoding, told by its bytes."""

import codecs
import re

from nanobot.reading.kinds import byte_order_mark

_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_LOOKED_AT = 4_096
# Python takes these for encodings of text; no page is written in them, and some take for ever.
_NOT_TAKEN = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})


def decode(content: bytes, *, charset: str | None = None) -> str:
    """Return the text: by its byte order mark, by the `charset` that somebody said, as UTF-8, else as
    Windows-1252, which reads anything.
    """
    for encoding in (byte_order_mark(content[:4]), charset, "utf-8", "cp1252"):
        if encoding is None:
            continue
        try:
            if codecs.lookup(encoding).name.replace("_", "-") not in _NOT_TAKEN:
                return content.decode(encoding)
        except (LookupError, UnicodeError, ValueError):
            continue
    return content.decode("latin-1")


def decode_html(content: bytes, *, charset: str | None = None) -> str:
    """Return the page's source; it may say its encoding itself."""
    said = _META.search(content[:_LOOKED_AT])
    return decode(content, charset=charset or (said[1].decode("ascii") if said else None))
