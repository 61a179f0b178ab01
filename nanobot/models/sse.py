"""Server-sent events as a client reads them: bytes in, data payloads out.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

MAX_EVENT_BYTES = 8 * 1024 * 1024
BOM = b"\xef\xbb\xbf"
_LF, _CR = 10, 13


class EventTooLarge(ValueError):
    """One event grew past the limit; the stream cannot be read on."""


class EventSplitter:
    """Cuts a stream of bytes into the `data` of its events, wherever the network cut it.

    Lines end with LF, CR or CRLF; the data lines of one event are joined by LF; comments and other fields are
    left out. Payloads stay bytes, so a character that the network cut in two is whole again.
    """

    __slots__ = ("_begun", "_data", "_data_bytes", "_limit_bytes", "_skip_lf", "_tail", "_tail_bytes")

    def __init__(self, limit_bytes: int = MAX_EVENT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._begun = False
        self._skip_lf = False
        self._tail: list[bytes] = []
        self._tail_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the payloads of the events that `chunk` completes.

        Raises:
            EventTooLarge: the event that is open holds more than the limit.
        """
        if self._skip_lf and chunk:
            self._skip_lf = False
            if chunk[0] == _LF:
                chunk = chunk[1:]
        if not chunk:
            return []
        # `find`, since `in` first takes the bytes for a number.
        if chunk.find(b"\n") < 0 and chunk.find(b"\r") < 0:
            self._keep(chunk)
            return []
        if (
            chunk.startswith(b"data: ")
            and not (self._tail or self._data)
            and (events := _whole(chunk)) is not None
        ):
            self._begun = True
            return events
        if self._tail:
            self._tail.append(chunk)
            chunk = b"".join(self._tail)
            self._tail.clear()
            self._tail_bytes = 0
        # Bytes are split at LF, CR and CRLF alone; a string would be at other characters, too.
        lines = chunk.splitlines()
        last = chunk[-1]
        if last == _CR:
            # The LF of a CRLF may begin the next chunk.
            self._skip_lf = True
        elif last != _LF:
            self._keep(lines.pop())
        return self._events(lines)

    def end(self) -> list[bytes]:
        """Return what the stream held when it ended: servers leave out the last blank line."""
        lines = [b"".join(self._tail), b""] if self._tail else [b""]
        self._tail.clear()
        self._tail_bytes = 0
        return self._events(lines)

    def _events(self, lines: list[bytes]) -> list[bytes]:
        if not self._begun and lines:
            self._begun = True
            lines[0] = lines[0].removeprefix(BOM)
        events: list[bytes] = []
        data = self._data
        for line in lines:
            if not line:
                if data:
                    if len(data) == 1:
                        events.append(data[0])
                    else:
                        events.extend(_parts_of(data))
                    data.clear()
                    self._data_bytes = 0
            elif line.startswith(b"data:"):
                value = line[6:] if line.startswith(b"data: ") else line[5:]
                data.append(value)
                self._data_bytes += len(value) + 1
            elif line == b"data":
                data.append(b"")
                self._data_bytes += 1
        if data:
            self._check()
        return events

    def _keep(self, piece: bytes) -> None:
        self._tail.append(piece)
        self._tail_bytes += len(piece)
        self._check()

    def _check(self) -> None:
        if self._tail_bytes + self._data_bytes > self._limit_bytes:
            raise EventTooLarge(f"event of more than {self._limit_bytes} bytes")


def _parts_of(lines: list[bytes]) -> list[bytes]:
    """Return the payloads in several lines of data: one, or one of each line where each is whole JSON, as
    some servers leave out the blank lines between events.
    """
    if all((line[:1] == b"{" and line[-1:] == b"}") or line == b"[DONE]" for line in lines):
        return lines.copy()
    return [b"\n".join(lines)]


def _whole(chunk: bytes) -> list[bytes] | None:
    """Return the payloads of a chunk that is nothing but whole events of one line each, as most are.

    None where it is something else.
    """
    if not chunk.endswith(b"\n\n") or chunk.find(b"\r") >= 0:
        return None
    events = chunk[6:-2].split(b"\n\ndata: ")
    # More line feeds mean more fields, or data of several lines. To join and to search is much faster than to
    # count.
    return events if b"".join(events).find(b"\n") < 0 else None
