"""A terminal as far as the chat needs one: lines that wrap and are wrapped anew when the width changes, a
cursor that goes up.
"""

import io
import math
import os
import re

from rich.cells import cell_len

_TOKEN = re.compile(r"\x1b\[\?2026[hl]|\x1b\[(\d+)A|\x1b\[J|\x1b\[[\d;]*m|\r|\n|[^\x1b\r\n]+|.", re.DOTALL)


class Emulator(io.StringIO):
    """Holds all lines that were ever written, scrolled away or not; the cursor stands in column 0 whenever it
    goes up.
    """

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        super().__init__()
        self.columns, self.rows = columns, rows
        self.lines = [""]
        self.writes = 0
        self.highest_climb = 0
        self._row = 0

    def size(self) -> os.terminal_size:
        return os.terminal_size((self.columns, self.rows))

    def write(self, text: str) -> int:
        self.writes += 1
        for token in _TOKEN.finditer(text):
            self._take(token[0], token[1])
        return len(text)

    def _take(self, token: str, up: str | None) -> None:
        if up is not None:
            self._climb(int(up))
        elif token == "\x1b[J":
            del self.lines[self._row + 1 :]
            self.lines[self._row] = ""
        elif token == "\n":
            self._row += 1
            if self._row == len(self.lines):
                self.lines.append("")
        elif token == "\r" or token.startswith("\x1b["):
            return
        elif token == "\x1b":
            raise AssertionError("an escape sequence that the emulator does not know")
        else:
            self.lines[self._row] += token

    def _climb(self, rows: int) -> None:
        self.highest_climb = max(self.highest_climb, rows)
        assert rows < self.rows, "the cursor cannot go up beyond the screen"
        while rows > 0:
            self._row -= 1
            rows -= max(1, math.ceil(cell_len(self.lines[self._row]) / self.columns))
        assert rows == 0, "the cursor stopped in the middle of a line that is wrapped"

    @property
    def text(self) -> str:
        """Everything, with the line that the cursor is in left out where it is empty."""
        return "\n".join(self.lines).rstrip("\n")
