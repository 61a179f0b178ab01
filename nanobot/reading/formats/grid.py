"""The rows of a sheet, written as a table, or cell by cell where most cells are empty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nanobot.reading.formats.markdown import cell, row_line, rule
from nanobot.reading.text_buffer import TextBuffer

_SPARSE_SHARE = 0.08
_SPARSE_COLUMNS = 12
_MOST_COLUMNS = 120
_MAX_MERGED_SHOWN = 20


def column_letters(column: int) -> str:
    """Return the letters of a column; 0 is `A`."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


@dataclass(slots=True)
class Grid:
    """The cells of a sheet that are not empty: `rows` by number, from 1; their cells by column, from 0.

    `notes`: what else is said of the sheet.
    `most_cells`: more are not kept, nor are rows before `first_row`; `last_row` goes on to count.
    """

    most_cells: int
    first_row: int = 1
    rows: dict[int, dict[int, str]] = field(default_factory=dict)
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    merged: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    last_row: int = 0
    kept: int = 0

    @property
    def is_full(self) -> bool:
        return self.kept >= self.most_cells

    def add(self, row: int, cells: Mapping[int, str], *, is_hidden: bool = False) -> None:
        """Add a row that has text."""
        self.last_row = max(self.last_row, row)
        if row < self.first_row or self.is_full:
            return
        self.rows.setdefault(row, {}).update(cells)
        self.kept += len(cells)
        if is_hidden:
            self.hidden_rows.add(row)

    def pass_row(self, row: int) -> None:
        """Count a row that has text, but is not kept."""
        self.last_row = max(self.last_row, row)

    def append(self, row: int, column: int, text: str) -> None:
        """Add text to what is in a cell, if its row is kept."""
        if row >= self.first_row and (row in self.rows or not self.is_full):
            cells = self.rows.setdefault(row, {})
            cells[column] = f"{cells.get(column, '')} {text}".strip()
            self.last_row = max(self.last_row, row)


def write_grid(grid: Grid, buffer: TextBuffer) -> bool:
    """Write the rows. Return False once the buffer is full."""
    buffer.total("row", grid.last_row)
    columns = sorted({column for cells in grid.rows.values() for column in cells})
    if not columns:
        return _write_notes(grid, buffer)
    share = grid.kept / (len(columns) * len(grid.rows))
    is_sparse = len(columns) > _SPARSE_COLUMNS and (share < _SPARSE_SHARE or len(columns) > _MOST_COLUMNS)
    written = _write_cells(grid, buffer) if is_sparse else _write_table(grid, columns, buffer)
    if not written:
        return False
    if grid.merged:
        more = len(grid.merged) - _MAX_MERGED_SHOWN
        shown = ", ".join(grid.merged[:_MAX_MERGED_SHOWN]) + (f" and {more} more" if more > 0 else "")
        buffer.note(f"merged cells: {shown}")
    return _write_notes(grid, buffer)


def _write_notes(grid: Grid, buffer: TextBuffer) -> bool:
    for line in grid.notes:
        buffer.note(line)
    return not buffer.is_full


def _write_table(grid: Grid, columns: Sequence[int], buffer: TextBuffer) -> bool:
    names = [
        column_letters(column) + (" (hidden)" if column in grid.hidden_columns else "") for column in columns
    ]
    if not buffer.write_line(row_line(["", *names])) or not buffer.write_line(rule(len(columns) + 1)):
        return False
    for row in sorted(grid.rows):
        cells = grid.rows[row]
        if buffer.row(row):
            name = f"{row} (hidden)" if row in grid.hidden_rows else str(row)
            buffer.write_line(row_line([name, *(cells.get(column, "") for column in columns)]))
        if buffer.is_full:
            return False
    return True


def _write_cells(grid: Grid, buffer: TextBuffer) -> bool:
    for row in sorted(grid.rows):
        if buffer.row(row):
            hidden = " (hidden)" if row in grid.hidden_rows else ""
            texts = (
                f"{column_letters(column)}{row}: {cell(text)}"
                for column, text in sorted(grid.rows[row].items())
            )
            buffer.write_line(" | ".join(texts) + hidden)
        if buffer.is_full:
            return False
    return True
