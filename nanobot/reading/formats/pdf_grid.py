"""Tables of a PDF whose cells are drawn: rows and columns from the lines around them."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nanobot.reading.formats.pdf_characters import Box, Edge

_NEAR = 3.0
"""Lines at most so many points apart are one: a thin rectangle has two."""
_MAX_LINES = 400
_LEAST_FILLED = 4
_LEAST_SHARE = 0.3


class RuledGrid(NamedTuple):
    """Cells of a table: `columns` from left to right and `rows` from top to bottom are where they end.

    `first`: for each cell (row, column) that of the merged cell it is a part of.
    """

    columns: tuple[float, ...]
    rows: tuple[float, ...]
    first: dict[tuple[int, int], tuple[int, int]]

    @property
    def box(self) -> Box:
        return Box(self.columns[0], self.rows[-1], self.columns[-1], self.rows[0])

    def cell_at(self, x: float, y: float) -> tuple[int, int] | None:
        """Return row and column of the cell (of the first, if it is merged), None outside."""
        column = bisect_right(self.columns, x) - 1
        row = bisect_right([-line for line in self.rows], -y) - 1
        return self.first.get((row, column))


def grids(edges: Sequence[Edge]) -> list[RuledGrid]:
    """Return the grids that the lines make: at least two rows and two columns each."""
    upright = _joined(
        [(edge.x0, edge.y0, edge.y1) for edge in edges if edge.y1 - edge.y0 > edge.x1 - edge.x0]
    )
    level = _joined([(edge.y0, edge.x0, edge.x1) for edge in edges if edge.x1 - edge.x0 >= edge.y1 - edge.y0])
    if not upright or not level or len(upright) * len(level) > 400_000:
        return []
    candidates = (
        _grid([upright[i] for i in ups], [level[i] for i in levels])
        for ups, levels in _touching(upright, level)
    )
    return [grid for grid in candidates if grid is not None]


_Line = tuple[float, float, float]
"""Where a line stands, and from where to where it goes."""


def _joined(lines: list[_Line]) -> list[_Line]:
    """Return the lines with those that go on in one another joined."""
    lines.sort()
    aligned: list[list[_Line]] = []
    for line in lines:
        if aligned and line[0] - aligned[-1][0][0] <= _NEAR:
            aligned[-1].append(line)
        else:
            aligned.append([line])
    joined: list[_Line] = []
    for group in aligned:
        at = sum(line[0] for line in group) / len(group)
        spans = sorted((start, end) for _, start, end in group)
        start, end = spans[0]
        for next_start, next_end in spans[1:]:
            if next_start <= end + _NEAR:
                end = max(end, next_end)
            else:
                joined.append((at, start, end))
                start, end = next_start, next_end
        joined.append((at, start, end))
    # What is shorter than a line of text is part of a drawing.
    return [line for line in joined if line[2] - line[1] > 5]


def _touching(upright: list[_Line], level: list[_Line]) -> Iterable[tuple[set[int], set[int]]]:
    """Yield the sets of lines that hang together."""
    of_upright: list[list[int]] = [[] for _ in upright]
    of_level: list[list[int]] = [[] for _ in level]
    for i, (x, low, high) in enumerate(upright):
        for j, (y, left, right) in enumerate(level):
            if low - _NEAR <= y <= high + _NEAR and left - _NEAR <= x <= right + _NEAR:
                of_upright[i].append(j)
                of_level[j].append(i)
    seen: set[int] = set()
    for first in range(len(upright)):
        if first in seen or not of_upright[first]:
            continue
        ups, levels, todo = {first}, set[int](), [first]
        while todo:
            for j in of_upright[todo.pop()]:
                if j not in levels:
                    levels.add(j)
                    todo += [i for i in of_level[j] if i not in ups]
                    ups.update(of_level[j])
        seen |= ups
        yield ups, levels


def _grid(upright: list[_Line], level: list[_Line]) -> RuledGrid | None:
    ends_x = [end for line in level for end in line[1:]]
    ends_y = [end for line in upright for end in line[1:]]
    columns = _distinct([line[0] for line in upright] + [min(ends_x), max(ends_x)])
    rows = _distinct([line[0] for line in level] + [min(ends_y), max(ends_y)])[::-1]
    if not 3 <= len(columns) <= _MAX_LINES or not 3 <= len(rows) <= _MAX_LINES:
        return None
    if len(columns) * len(rows) > 20_000:
        return None
    return RuledGrid(tuple(columns), tuple(rows), _merged(columns, rows, upright, level))


def _distinct(places: list[float]) -> list[float]:
    distinct: list[float] = []
    for place in sorted(places):
        if not distinct or place - distinct[-1] > _NEAR:
            distinct.append(place)
    return distinct


def _merged(
    columns: list[float], rows: list[float], upright: list[_Line], level: list[_Line]
) -> dict[tuple[int, int], tuple[int, int]]:
    """Return for each cell the first of those that no line parts it from."""
    first = {
        (row, column): (row, column) for row in range(len(rows) - 1) for column in range(len(columns) - 1)
    }

    def root(cell: tuple[int, int]) -> tuple[int, int]:
        while first[cell] != cell:
            cell = first[cell]
        return cell

    ups_at = [[line for line in upright if abs(line[0] - x) <= _NEAR] for x in columns]
    levels_at = [[line for line in level if abs(line[0] - y) <= _NEAR] for y in rows]
    for row, column in list(first):
        middle_x, middle_y = (columns[column] + columns[column + 1]) / 2, (rows[row] + rows[row + 1]) / 2
        for other, lines, at in (
            ((row, column - 1), ups_at[column], middle_y),
            ((row - 1, column), levels_at[row], middle_x),
        ):
            if other in first and not any(line[1] - _NEAR <= at <= line[2] + _NEAR for line in lines):
                one, two = sorted((root((row, column)), root(other)))
                first[two] = one
    return {cell: root(cell) for cell in first}


def is_table(filled: int, cells: int) -> bool:
    """Return whether a grid of so many cells, of which `filled` have text, is a table, and no drawing."""
    return filled >= _LEAST_FILLED and filled >= _LEAST_SHARE * cells
