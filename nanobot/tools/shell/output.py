"""What a command writes, kept within bounds."""

import asyncio
from collections import deque
from collections.abc import Callable

_TOLD_EVERY_S = 0.5
_LINE_BYTES, _LINE_CHARS = 1_200, 300


class HeadAndTail:
    """The first and the last bytes of an output; of what is between them only how much it was."""

    def __init__(self, most_bytes: int) -> None:
        self._head_bytes = most_bytes // 3
        self._tail_bytes = most_bytes - self._head_bytes
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._total = 0

    def add(self, data: bytes) -> None:
        """Take in what was written next."""
        self._total += len(data)
        room = self._head_bytes - len(self._head)
        self._head += data[:room] if room > 0 else b""
        rest = data[max(0, room) :]
        if not rest:
            return
        self._tail.append(rest)
        self._tail_size += len(rest)
        while self._tail_size - len(self._tail[0]) >= self._tail_bytes:
            self._tail_size -= len(self._tail.popleft())

    def text(self) -> str:
        """Return it as text, with a note where something was left out."""
        tail = b"".join(self._tail)[-self._tail_bytes :]
        left_out = self._total - len(self._head) - len(tail)
        if not left_out:
            return readable(bytes(self._head) + tail)
        # Whole lines, where there are any.
        head = bytes(self._head)
        head = head[: head.rfind(b"\n") + 1] or head
        tail = tail[tail.find(b"\n") + 1 :] or tail
        left_out = self._total - len(head) - len(tail)
        note = f"[{left_out} of {self._total} bytes left out; write the output to a file to see all of it]"
        return f"{readable(head).rstrip(chr(10))}\n{note}\n{readable(tail)}"


class Unread:
    """What was written and not read yet, of which only the newest is kept."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._lost = 0

    def __bool__(self) -> bool:
        return bool(self._size)

    def add(self, data: bytes) -> None:
        """Take in what was written next."""
        data, lost = data[-self._most_bytes :], max(0, len(data) - self._most_bytes)
        self._kept.append(data)
        self._size += len(data)
        self._lost += lost
        while self._size > self._most_bytes:
            gone = len(self._kept.popleft())
            self._size -= gone
            self._lost += gone

    def take(self) -> str:
        """Return it as text, and begin anew."""
        text = readable(b"".join(self._kept))
        if self._lost:
            text = f"[{self._lost} bytes before this are lost: they were not read in time]\n{text}"
        self._kept.clear()
        self._size = self._lost = 0
        return text


class LiveLines:
    """Tells the last lines of an output while it grows: at most `most_lines`, and twice a second; 0: none."""

    def __init__(self, most_lines: int, tell: Callable[[str], None]) -> None:
        self._most_lines = most_lines
        self._tell = tell
        self._lines: deque[bytes] = deque(maxlen=max(1, most_lines))
        self._rest = b""
        self._timer: asyncio.TimerHandle | None = None

    def add(self, data: bytes) -> None:
        """Take in what was written next."""
        if not self._most_lines:
            return
        *whole, rest = (self._rest + data).split(b"\n")
        self._lines.extend(line[:_LINE_BYTES] for line in map(_last_state, whole) if line.strip())
        self._rest = _last_state(rest)[:_LINE_BYTES]
        if self._timer is None:
            # What has ended by then needs no telling.
            self._timer = asyncio.get_running_loop().call_later(_TOLD_EVERY_S, self._now)

    def _now(self) -> None:
        self._timer = None
        lines = [*self._lines, *([self._rest] if self._rest.strip() else [])][-self._most_lines :]
        self._tell("\n".join(_short(readable(line)) for line in lines))

    def close(self) -> None:
        """Tell nothing any more."""
        if self._timer is not None:
            self._timer.cancel()


def _last_state(line: bytes) -> bytes:
    """Return a line without what was written over; a return at its end stays, as what follows writes over."""
    written = line.rstrip(b"\r")
    return written.rpartition(b"\r")[2] + (b"\r" if written != line else b"")


def _short(line: str) -> str:
    return line if len(line) <= _LINE_CHARS else f"{line[:_LINE_CHARS]}…"


def readable(data: bytes) -> str:
    """Return output as text for a model: other bytes than those of UTF-8 and control characters are shown as
    what they are, and a line that was written over (a progress bar) as it was in the end.
    """
    text = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return "".join(
        each if each in "\n\t" or each.isprintable() or each == " " else f"\\x{ord(each):02x}"
        for each in "\n".join(lines)
    )
