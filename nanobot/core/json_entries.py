"""How much there is to decode in a text of JSON: its members of objects and elements of arrays.

To decode a value takes time and memory, however short its text is. A long text costs next to nothing.
"""

_QUOTES_AN_ENTRY = 4
"""An entry is at most two strings: a name and a value."""
_SLICE_BYTES = 32 * 1024


def has_more_entries(body: bytes, most: int) -> bool:
    """Return whether the JSON text has more than so many members and elements, all together.

    It costs at most about as much as to copy the text, slice by slice, so that other threads run in between;
    it ends as soon as there are too many. Nothing is decoded.
    """
    entries = JsonEntries(most)
    return any(entries.add(body[start : start + _SLICE_BYTES]) for start in range(0, len(body), _SLICE_BYTES))


class JsonEntries:
    """Counts the members and elements of a JSON text that comes in slices, up to `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._commas = self._quotes = 0
        self._in_string = False
        self._escape = b""

    def add(self, piece: bytes) -> bool:
        """Take the next slice; return whether there are more than `most` now."""
        plain = self._escape + piece
        self._escape = b""
        # Where a slice ends within an escape, the next one begins with it.
        if (len(plain) - len(plain.rstrip(b"\\"))) % 2:
            plain, self._escape = plain[:-1], b"\\"
        if b"\\" in plain:
            plain = plain.replace(b"\\\\", b"").replace(b'\\"', b"")
        # There is a comma between any two.
        if not self._in_string and b'"' not in plain:
            self._commas += plain.count(b",")
        else:
            most_quotes = _QUOTES_AN_ENTRY * (self._most + 1)
            segments = plain.split(b'"', most_quotes - self._quotes + 1)
            self._quotes += len(segments) - 1
            if self._quotes > most_quotes:
                return True
            self._commas += b"".join(segments[self._in_string :: 2]).count(b",")
            self._in_string ^= len(segments) % 2 == 0
        return self._commas >= self._most
