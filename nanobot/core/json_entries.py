"""How much there is to decode in a text of JSON: its members of objects and elements of arrays.

To decode a value takes time and memory, however short its text is. A long text costs next to nothing.
"""

from collections.abc import Iterator

_QUOTES_AN_ENTRY = 4
"""An entry is at most two strings: a name and a value."""
_SLICE_BYTES = 256 * 1024


def has_more_entries(body: bytes, most: int) -> bool:
    """Return whether the JSON text has more than so many members and elements, all together.

    It costs at most about as much as to copy the text, slice by slice, so that other threads run in between;
    it ends as soon as there are too many. Nothing is decoded.
    """
    commas = quotes = 0
    in_string = False
    for plain in _without_escapes(body):
        # There is a comma between any two.
        if not in_string and b'"' not in plain:
            commas += plain.count(b",")
        else:
            segments = plain.split(b'"', _QUOTES_AN_ENTRY * (most + 1) - quotes + 1)
            quotes += len(segments) - 1
            if quotes > _QUOTES_AN_ENTRY * (most + 1):
                return True
            commas += sum(segment.count(b",") for segment in segments[in_string::2])
            in_string ^= len(segments) % 2 == 0
        if commas >= most:
            return True
    return False


def _without_escapes(body: bytes) -> Iterator[bytes]:
    """Yield the text in slices, without escaped backslashes and quotation marks."""
    start = 0
    while start < len(body):
        plain = body[start : start + _SLICE_BYTES]
        # Where a slice ends within an escape, the next one begins with it.
        if (len(plain) - len(plain.rstrip(b"\\"))) % 2 and start + len(plain) < len(body):
            plain = plain[:-1]
        start += len(plain)
        if b"\\" in plain:
            plain = plain.replace(b"\\\\", b"").replace(b'\\"', b"")
        yield plain
