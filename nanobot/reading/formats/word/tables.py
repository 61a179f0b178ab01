"""Tables of DOCX as rows of cells."""

from collections.abc import Callable, Iterator

from nanobot.reading.formats.word.names import W, value, whole
from nanobot.reading.formats.xml import Element

_MOST_SPAN = 100
_NOT_SHOWN = frozenset(
    {f"{W}{name}" for name in ("tblPr", "tblGrid", "trPr", "tcPr", "del", "moveFrom", "tblPrEx")}
)


def rows(table: Element, read: Callable[[Element], str]) -> list[list[str]]:
    """Return the texts of the cells, which `read` returns.

    A cell that spans several columns or rows has its text in the first of these places.
    """
    return [line for row in _children(table, f"{W}tr") if (line := _row(row, read)) is not None]


def single_cell(table: Element) -> Element | None:
    """Return the only cell of a table that is a frame around text, None if it is a table."""
    found = _children(table, f"{W}tr")
    row = next(found, None)
    if row is None or next(found, None) is not None:
        return None
    cells = list(_children(row, f"{W}tc"))
    return cells[0] if len(cells) == 1 else None


def _row(row: Element, read: Callable[[Element], str]) -> list[str] | None:
    """Return the cells of a row, None if the row was deleted."""
    properties = row.find(f"{W}trPr")
    if properties is not None and properties.find(f"{W}del") is not None:
        return None
    line = [""] * _span(value(properties, "gridBefore"), 0)
    for cell in _children(row, f"{W}tc"):
        of_cell = cell.find(f"{W}tcPr")
        line.append("" if _continues(of_cell) else read(cell))
        line.extend([""] * (_span(value(of_cell, "gridSpan"), 1) - 1))
    return line


def _continues(properties: Element | None) -> bool:
    """Return whether the cell belongs to the one above it or before it, or was deleted."""
    if properties is None:
        return False
    return (
        value(properties, "vMerge") in ("", "continue")
        or value(properties, "hMerge") in ("", "continue")
        or properties.find(f"{W}cellDel") is not None
    )


def _span(said: str | None, usual: int) -> int:
    return max(usual, min(whole(said, usual), _MOST_SPAN))


def _children(element: Element, tag: str) -> Iterator[Element]:
    """Yield the elements of this name, also those in content controls, but not those of inner tables."""
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag not in _NOT_SHOWN and child.tag not in (f"{W}tbl", f"{W}p"):
            yield from _children(child, tag)
