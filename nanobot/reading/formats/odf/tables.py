"""Tables of OpenDocument as rows of cells."""

from collections.abc import Callable, Iterator

from nanobot.reading.formats.odf.names import OFFICE, TABLE, whole
from nanobot.reading.formats.xml import Element

_MOST_REPEATED = 1_000
_MOST_COLUMNS = 200
_GROUPS = frozenset(
    f"{TABLE}table-{name}" for name in ("header-rows", "rows", "row-group", "header-columns", "columns")
)


def rows(table: Element, read: Callable[[Element], str]) -> list[list[str]]:
    """Return the texts of the cells, which `read` returns; those that others span are empty."""
    lines: list[list[str]] = []
    for row in _rows(table):
        line = _cells(row, read)
        times = whole(row.get(f"{TABLE}number-rows-repeated"), 1, _MOST_REPEATED) if any(line) else 1
        lines.extend([line] * max(1, times))
    return lines


def single_cell(table: Element) -> Element | None:
    """Return the only cell of a table that is a frame around text, None if it is a table."""
    found = _rows(table)
    row = next(found, None)
    if row is None or next(found, None) is not None:
        return None
    return row[0] if len(row) == 1 and row[0].tag == f"{TABLE}table-cell" else None


def _rows(table: Element) -> Iterator[Element]:
    for child in table:
        if child.tag == f"{TABLE}table-row":
            yield child
        elif child.tag in _GROUPS:
            yield from _rows(child)


def _cells(row: Element, read: Callable[[Element], str]) -> list[str]:
    line: list[str] = []
    for cell in row:
        if cell.tag not in (f"{TABLE}table-cell", f"{TABLE}covered-table-cell"):
            continue
        is_covered = cell.tag == f"{TABLE}covered-table-cell"
        text = "" if is_covered else read(cell).strip() or cell.get(f"{OFFICE}value", "")
        times = whole(cell.get(f"{TABLE}number-columns-repeated"), 1, _MOST_COLUMNS)
        line.extend([text] * max(1, min(times, _MOST_COLUMNS - len(line))))
    while line and not line[-1] and len(line) > len(row):
        line.pop()
    return line
