"""The end of the screen, where an answer grows: final lines scroll up, lines that may change are repainted.

Only lines that changed are written, in one write; the rest of the screen and the scroll-back stay untouched.
"""

import math
import shutil
from collections.abc import Callable
from os import terminal_size
from typing import TextIO

from rich.cells import cell_len
from rich.text import Text

_UP, _ERASE_BELOW = "\x1b[{}A", "\x1b[J"
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
"""Synchronized output: terminals that support it show the change at once, others ignore it."""


class Screen:
    """Paints on `stream`. `size` returns the current size of the terminal."""

    def __init__(self, stream: TextIO, size: Callable[[], terminal_size] = shutil.get_terminal_size) -> None:
        self._stream = stream
        self._size = size
        self._live: list[str] = []
        self._columns = 0

    @property
    def columns(self) -> int:
        """The width of a line in cells; one is left free, so that a full line does not wrap."""
        return max(20, self._size().columns - 1)

    def put(self, lines: list[str]) -> None:
        """Write final `lines` above the live ones."""
        live = self._live
        self._paint([*lines, *live])
        self._live = live

    def show(self, lines: list[str]) -> None:
        """Replace the live lines; where the screen does not hold all of `lines`, only the last are shown."""
        most = max(1, self._size().lines - 2)
        self._paint(lines[-most:])

    def settle(self, lines: list[str]) -> None:
        """Replace the live lines by final ones."""
        self._paint(lines)
        self._live = []

    def clear(self) -> None:
        """Remove the live lines."""
        self._paint([])

    def _paint(self, lines: list[str]) -> None:
        same = self._unchanged(lines)
        old = self._live[same:]
        out = []
        if rows := sum(self._rows(line) for line in old):
            out.append(_UP.format(rows) + "\r")
        if old:
            out.append(_ERASE_BELOW)
        out.extend(line + "\n" for line in lines[same:])
        self._live = lines
        self._columns = self._size().columns
        if out:
            self._stream.write(_BEGIN + "".join(out) + _END)
            self._stream.flush()

    def _unchanged(self, lines: list[str]) -> int:
        if self._size().columns != self._columns:
            return 0
        same = 0
        for old, new in zip(self._live, lines, strict=False):
            if old != new:
                break
            same += 1
        return same

    def _rows(self, line: str) -> int:
        """Return how many rows of the screen `line` takes: a terminal that became narrower has wrapped it."""
        return max(1, math.ceil(cell_len(Text.from_ansi(line).plain) / max(1, self._size().columns)))
