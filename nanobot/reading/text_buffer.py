"""The text of a file while it is extracted."""

from collections.abc import Callable

from nanobot.core.extent import START, Extent, Mark, Position, Unit
from nanobot.reading.messages import ExtractedText, Unreadable
from nanobot.reading.pictures import Pictures

_MOST_MARKS = 1_000
_LONGEST_TITLE = 100
_LONGEST_NOTE = 300
_TRIMMED_TAIL = 2_000
"""How many characters of a line that does not fit are left out, so that the text ends with a whole line."""


class TextBuffer:
    """Collects the text of a file from `start` on, up to `max_characters`, and keeps count of where it is.

    Files have pages, sheets, slides or chapters, which `begin`, or are all one; each has lines, or rows, if
    it is a sheet. What lies before `start` is dropped here; a reader may skip it, but need not.
    `is_verbatim`: it is a text as it is, which may be empty.
    """

    def __init__(
        self,
        max_characters: int,
        *,
        start: Position = START,
        pictures: Pictures | None = None,
        is_verbatim: bool = False,
    ) -> None:
        self._is_verbatim = is_verbatim
        self._free_characters = max_characters
        self._start = start
        self._pictures = pictures or Pictures(0, 0)
        self._pieces: list[str] = []
        self._length = 0
        self._unit: Unit = "line"
        self._totals: dict[Unit, int] = {}
        self._titles: dict[int, str] = {}
        self._number = 1
        # Where the next character goes, counting what is dropped.
        self._line = 1
        self._column = 1
        # Of what was kept: where its last line began, its last character, and the lines since the last mark.
        self._line_offset = 0
        self._last_character = "\n"
        self._lines_since_mark = 0
        self._is_in_row = False
        self._marks: list[Mark] = []
        self._has_content = False
        self._cut: Position | None = None
        if start != START:
            self._mark(start.line)

    @property
    def is_full(self) -> bool:
        """Whether nothing more is kept."""
        return self._cut is not None

    @property
    def first_row(self) -> int:
        """The first row that is wanted of the sheet that has begun; a reader may skip those before it."""
        return self._start.line if self._number == self._start.number else 1

    def begin(self, unit: Unit, number: int, title: str = "", *, hidden: bool = False) -> bool:
        """Begin a page, sheet, slide or chapter with a marker such as `[sheet 2: Costs, hidden]`.

        `number` counts from 1, hidden ones included. Return False where the reader can skip it: it lies
        before the start, or the buffer is full.
        """
        self._unit = unit
        if self.is_full:
            return False
        self._number, self._line, self._column = number, 1, 1
        self._is_in_row = False
        self._totals.pop("row", None)
        if number < self._start.number:
            return False
        title = _one_line(title, _LONGEST_TITLE)
        if title and len(self._titles) < _MOST_MARKS:
            self._titles[number] = title
        if self._length and not self._ends_line():
            self._keep("\n")
        if self._length:
            self._keep("\n")
        marker = f"[{unit} {number}{f': {title}' if title else ''}{', hidden' if hidden else ''}]\n"
        if self.is_full or len(marker) > self._free_characters:
            self._end_at(Position(number))
            return False
        # The line of the marker is not part of the text.
        self._mark(self._start.line - 1 if number == self._start.number else 0)
        self._keep(marker)
        self._line_offset = self._length
        return True

    def row(self, number: int) -> bool:
        """Begin the row `number` of a sheet. Return False where the reader can skip it."""
        if self.is_full:
            return False
        self._line, self._column = number, 1
        self._is_in_row = True
        if self._number == self._start.number and number < self._start.line:
            return False
        if not self._ends_line():
            self._keep("\n")
        if not self._marks or self._marks[-1].line + self._lines_since_mark != number:
            self._mark(number)
        self._line_offset = self._length
        return True

    def write(self, text: str) -> bool:
        """Add text of the file. Return False once the buffer is full.

        The reader of a file that is all one may write on: the lines are counted until `end`.
        """
        if "\0" in text:
            text = text.replace("\0", "")
        if self._is_before_start:
            text = self._drop(text)
        if not text:
            return not self.is_full
        if not self._has_content and not self.is_full:
            self._has_content = not text.isspace()
        if self.is_full:
            self._count(text)
            return False
        if len(text) <= self._free_characters:
            self._keep_line(text)
            return True
        kept = text[: self._free_characters]
        self._keep_line(kept)
        if text[len(kept) :].strip():
            self._end_at(self._here)
        self._count(text[len(kept) :])
        return not self.is_full

    def write_line(self, text: str = "") -> bool:
        """Add text of the file, and end the line."""
        return self.write(text + "\n")

    def note(self, text: str) -> bool:
        """Add a line in brackets that is no text of the file, but says something about it."""
        before = "" if self._ends_line() else "\n"
        return self.write(f"{before}[{_one_line(text, _LONGEST_NOTE)}]\n")

    def total(self, unit: Unit, count: int) -> None:
        """Say how many pages, sheets, slides or chapters there are, or rows in the sheet that has begun."""
        if unit not in ("row", "line") or not self.is_full:
            self._totals[unit] = count

    def end(self) -> None:
        """Say that all lines of a file that is all one were written, so that their number is known."""
        if self._unit == "line":
            self._totals["line"] = self._line - (self._column == 1 and self._line > 1)

    def picture(self, content: bytes | Callable[[], bytes], alt: str = "") -> str:
        """Return the text that stands for a picture of the file: `[picture 1: alt]`, where it is kept for the
        model to see, else `[picture: alt]`. The reader writes it.

        `content`, where it is a function, is only called for a picture that is wanted.
        """
        self._has_content = True
        is_wanted = not self.is_full and not self._is_before_start
        number = self._pictures.keep(content) if is_wanted else None
        alt = _one_line(alt, _LONGEST_NOTE)
        return f"[picture{f' {number}' if number else ''}{f': {alt}' if alt else ''}]"

    def page_picture(self, render: Callable[[], bytes]) -> bool:
        """Add a page without text as a picture, or a note that it is one. `render` returns the picture, and
        is only called where it is wanted.
        """
        if self.is_full or self._is_before_start:
            return not self.is_full
        number = self._pictures.keep(render)
        return self.note(
            f"picture {number}: this page, which has no text"
            if number
            else "this page is a picture, as of a scan: there is no text in it"
        )

    def extracted(self) -> ExtractedText:
        """Return what was written.

        Raises:
            Unreadable: there is nothing in it.
        """
        text = "".join(self._pieces)
        if not self._is_verbatim:
            if not self._has_content and self._start == START:
                raise Unreadable("there is no text in it")
            text = text.rstrip()
        # Some PDFs have lone halves of surrogate pairs, which cannot be encoded.
        text = text.encode("utf-8", "replace").decode()
        marks = tuple(mark for mark in self._marks if mark.offset <= len(text))
        if self._cut is None:
            # The text itself tells.
            self._totals.pop("line", None)
        extent = Extent(self._unit, self._totals, self._titles, marks, self._cut)
        return ExtractedText(text, extent, self._pictures.kept)

    @property
    def _here(self) -> Position:
        """Where the next character goes. What a sheet has before its rows belongs to the first."""
        if self._unit == "sheet" and not self._is_in_row:
            return Position(self._number)
        return Position(self._number, self._line, self._column)

    @property
    def _is_before_start(self) -> bool:
        """Whether what comes next is to be dropped. The rows of a sheet are skipped in `row` instead."""
        start = self._start
        if self._number != start.number:
            return self._number < start.number
        if self._unit == "sheet":
            return self._is_in_row and self._line == start.line and self._column < start.character
        return (self._line, self._column) < (start.line, start.character)

    def _drop(self, text: str) -> str:
        """Return what of `text` lies behind the start. It may have a million lines, so it is cut once."""
        start = self._start
        at, end = 0, len(text)
        if self._number == start.number and self._unit != "sheet":
            # Most of a long text, which needs no look at each line.
            for _ in range(start.line - self._line):
                if (newline := text.find("\n", at)) < 0:
                    break
                at = newline + 1
            self._count(text[:at])
        while at < end and self._is_before_start:
            here = end
            if self._number == start.number and self._line == start.line:
                here = min(at + start.character - self._column, end)
            newline = text.find("\n", at, here)
            here = here if newline < 0 else newline + 1
            self._count(text[at:here])
            at = here
        return text[at:]

    def _count(self, text: str) -> None:
        lines = text.count("\n")
        self._line += lines
        self._column = len(text) - text.rfind("\n") if lines else self._column + len(text)

    def _keep_line(self, text: str) -> None:
        self._count(text)
        newline = text.rfind("\n")
        if newline >= 0:
            self._line_offset = self._length + newline + 1
        self._keep(text)

    def _keep(self, text: str) -> None:
        text = text[: self._free_characters]
        if text:
            self._pieces.append(text)
            self._length += len(text)
            self._free_characters -= len(text)
            self._last_character = text[-1]
            self._lines_since_mark += text.count("\n")

    def _ends_line(self) -> bool:
        return self._last_character == "\n"

    def _end_at(self, cut: Position) -> None:
        """Take nothing more: the text goes on at `cut`. What is kept ends with a whole line, if that costs
        little.
        """
        tail = self._length - self._line_offset
        if cut.character > 1 and self._line_offset and tail <= _TRIMMED_TAIL:
            text = "".join(self._pieces)[: self._line_offset]
            self._pieces, self._length = [text], len(text)
            cut = Position(cut.number, cut.line)
        self._cut = cut
        self._free_characters = 0

    def _mark(self, line: int) -> None:
        if len(self._marks) < _MOST_MARKS:
            self._marks.append(Mark(self._length, self._number, line))
            self._lines_since_mark = 0


def _one_line(text: str, most: int) -> str:
    """Return the text as it can stand between brackets."""
    line = " ".join(text.split()).replace("[", "(").replace("]", ")")
    return line if len(line) <= most else line[: most - 1] + "…"
