"""Tables whose cells span columns and rows, as rows of the same length."""

from collections.abc import Sequence
from typing import NamedTuple

_MAX_COLUMNS = 200
_MAX_ROWS_SPANNED = 1_000


class Cell(NamedTuple):
    """A cell, and how many columns and rows it spans."""

    text: str
    columns: int = 1
    rows: int = 1


def table_rows(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    """Return the texts by row and column. A cell that spans several stands in the first of them."""
    texts: list[list[str]] = []
    # By column: for how many more rows a cell from above takes it.
    taken: dict[int, int] = {}
    for row in rows:
        line: list[str] = []
        below: dict[int, int] = {column: left - 1 for column, left in taken.items() if left > 1}
        for cell in row:
            while len(line) in taken:
                line.append("")
            width = max(1, min(cell.columns, _MAX_COLUMNS - len(line)))
            if len(line) >= _MAX_COLUMNS:
                break
            if cell.rows > 1:
                left = min(cell.rows - 1, _MAX_ROWS_SPANNED)
                below.update({len(line) + at: left for at in range(width)})
            line += [cell.text, *[""] * (width - 1)]
        while len(line) in taken:
            line.append("")
        texts.append(line)
        taken = below
    return [line for line in texts if any(line)]
