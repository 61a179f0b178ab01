"""The text of one page of a PDF as Markdown: its lines, tables, comments and pictures in reading order."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from nanobot.reading.formats.markdown import heading, table
from nanobot.reading.formats.pdf_characters import Box, Character, Edge
from nanobot.reading.formats.pdf_grid import RuledGrid, grids, is_table
from nanobot.reading.formats.pdf_layout import (
    PageLine,
    PageRun,
    Table,
    in_reading_order,
    lines_of,
    runs_of,
    tables_in,
)
from nanobot.reading.formats.pdf_notes import Comment
from nanobot.reading.formats.pdf_pictures import PdfPicture

_HEADING_SIZES = ((1.8, 1), (1.4, 2), (1.15, 3))
_LONGEST_HEADING = 120
_PARAGRAPH_GAP = 0.75
_BACKGROUND = 0.8
_LONGEST_CELL = 400
_MOST_CUT = 0.03


class PageText:
    """Puts the text of a page together."""

    def __init__(
        self,
        characters: Sequence[Character],
        values: Sequence[PageRun],
        comments: Sequence[Comment],
        pictures: Sequence[PdfPicture],
        edges: Sequence[Edge],
    ) -> None:
        self._values = values
        self._comments = comments
        self._pictures = [picture for picture in pictures if picture.covers < _BACKGROUND]
        self._edges = edges
        self._blocks: list[list[list[str]] | Box] = []
        self._by_angle: dict[int, list[Character]] = defaultdict(list)
        for character in characters:
            self._by_angle[_direction(character.angle)].append(character)

    def lines(self, show: Callable[[Box], str]) -> Iterator[str]:
        """Yield the lines; `show` returns what is written for the picture of a part of the page."""
        angles = Counter({angle: len(characters) for angle, characters in self._by_angle.items()})
        if not angles:
            angles[0] = 0
        for number, (angle, _) in enumerate(angles.most_common()):
            groups = self._groups(angle, is_main=number == 0)
            if number == 0:
                self._add_comments(groups)
            sizes = [run.size for group in groups for line in group for run in line.runs for _ in run.text]
            yield from self._written(groups, statistics.median(sizes) if sizes else 1.0, show)

    def _groups(self, angle: int, *, is_main: bool) -> list[list[PageLine]]:
        characters = self._by_angle[angle]
        runs: list[PageRun] = []
        if is_main:
            characters, runs = self._without_tables(
                characters, [_turned(edge, angle) for edge in self._edges]
            )
        runs += runs_of(characters)
        if is_main:
            runs += self._values
            # Where the text is turned, it is not known beside what a picture stands.
            for picture in self._pictures if angle == 0 else ():
                size = statistics.median(run.size for run in runs) if runs else 10.0
                runs.append(self._block(picture.box, size, picture.box))
        return list(in_reading_order(runs))

    def _block(self, content: list[list[str]] | Box, size: float, box: Box) -> PageRun:
        self._blocks.append(content)
        y = box.top - 0.8 * size
        return PageRun("", box.left, box.right, y, size, block=len(self._blocks) - 1)

    def _without_tables(
        self, characters: list[Character], edges: list[Edge]
    ) -> tuple[list[Character], list[PageRun]]:
        """Return the characters outside of drawn tables, and runs that stand for these."""
        blocks: list[PageRun] = []
        for grid in grids(edges):
            inside: dict[tuple[int, int], list[Character]] = defaultdict(list)
            outside: list[Character] = []
            last: tuple[Character, tuple[int, int] | None] | None = None
            cut = 0
            for character in characters:
                x = (character.x + character.end) / 2
                cell = grid.cell_at(x, character.y + 0.3 * character.size)
                (outside if cell is None else inside[cell]).append(character)
                cut += last is not None and cell != last[1] and _is_one_word(last[0], character)
                last = (character, cell)
            if cut > _MOST_CUT * sum(map(len, inside.values())):
                # Lines that go through words are of a drawing.
                continue
            for value in self._values:
                cell = grid.cell_at((value.x0 + value.x1) / 2, value.y + 0.3 * value.size)
                if cell is not None:
                    inside[cell] += _characters_of(value)
            cells = {cell: lines_of(runs_of(one)) for cell, one in inside.items()}
            cells = {cell: lines for cell, lines in cells.items() if lines}
            if not is_table(len(cells), len(set(grid.first.values()))) or _is_frame(cells):
                continue
            self._values = [
                value
                for value in self._values
                if grid.cell_at((value.x0 + value.x1) / 2, value.y + 0.3 * value.size) is None
            ]
            characters = outside
            size = statistics.median(line.size for lines in cells.values() for line in lines)
            blocks.append(self._block(list(_rows(grid, cells)), size, grid.box))
        return characters, blocks

    def _add_comments(self, groups: list[list[PageLine]]) -> None:
        """Put each comment behind the line that is nearest to it."""
        lines = [line for group in groups for line in group if line.runs]
        for comment in sorted(self._comments, key=lambda comment: -comment.box.top):
            if not lines:
                box = comment.box
                groups.append([PageLine([PageRun(comment.text, box.left, box.right, box.bottom, 10.0)])])
                continue
            nearest = min(lines, key=lambda line: _distance(line, comment.box))
            last = nearest.runs[-1]
            if last.block is not None:
                nearest.runs.append(PageRun(comment.text, last.x1, last.x1 + 1, last.y, last.size))
            else:
                last.text = f"{last.text} {comment.text}"

    def _written(
        self, groups: list[list[PageLine]], body: float, show: Callable[[Box], str]
    ) -> Iterator[str]:
        is_first = True
        for group in groups:
            if not is_first:
                yield ""
            is_first = False
            before: PageLine | None = None
            for item in tables_in(_parted(group)):
                if isinstance(item, Table):
                    yield from ([""] if before is not None else [])
                    yield from table(item.rows(), len(item.columns))
                    yield ""
                    before = None
                    continue
                if before is not None and before.low - item.high > _PARAGRAPH_GAP * min(
                    before.size, item.size
                ):
                    yield ""
                yield from self._line(item, body, show)
                before = item

    def _line(self, line: PageLine, body: float, show: Callable[[Box], str]) -> Iterator[str]:
        block = line.runs[0].block
        if block is not None:
            content = self._blocks[block]
            if isinstance(content, Box):
                yield show(content)
            else:
                yield ""
                yield from table(content, len(content[0]))
                yield ""
            return
        text = " | ".join(run.text for run in line.runs)
        ratio = line.size / max(body, 0.1)
        level = next((level for least, level in _HEADING_SIZES if ratio >= least), None)
        if level is not None and len(text) <= _LONGEST_HEADING and len(line.runs) == 1 and len(text) > 2:
            yield heading(level, text)
        else:
            yield text


def _is_one_word(before: Character, after: Character) -> bool:
    gap = after.x - before.end
    is_beside = abs(after.y - before.y) < 0.1 * after.size and abs(gap) < 0.1 * after.size
    return is_beside and not before.is_space and not after.is_space


def _direction(angle: int) -> int:
    """Return the angle, those near a quarter turn as such."""
    near = round(angle / 90) * 90
    return near % 360 if abs(angle - near) <= 5 else angle % 360


def _turned(edge: Edge, angle: int) -> Edge:
    """Return the line on a page that is turned back by the angle, a quarter turn or several."""
    x0, y0, x1, y1 = edge
    if angle == 90:
        x0, y0, x1, y1 = y0, -x0, y1, -x1
    elif angle == 180:
        x0, y0, x1, y1 = -x0, -y0, -x1, -y1
    elif angle == 270:
        x0, y0, x1, y1 = -y0, x0, -y1, x1
    return Edge(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def _characters_of(run: PageRun) -> list[Character]:
    width = (run.x1 - run.x0) / max(len(run.text), 1)
    return [
        Character(letter, run.x0 + at * width, run.y, run.x0 + (at + 1) * width, run.size, 0, letter == " ")
        for at, letter in enumerate(run.text)
    ]


def _is_frame(cells: dict[tuple[int, int], list[PageLine]]) -> bool:
    """Return whether the cells are rather parts of a page, one of which has most of the text."""
    lengths = [sum(len(run.text) for line in lines for run in line.runs) for lines in cells.values()]
    return max(lengths) > _LONGEST_CELL and max(lengths) * 2 > sum(lengths)


def _rows(grid: RuledGrid, cells: dict[tuple[int, int], list[PageLine]]) -> Iterator[list[str]]:
    """Yield the rows that have text, without the columns that have none."""
    columns = sorted({column for _, column in cells})
    for row in range(len(grid.rows) - 1):
        in_row = {column: cells[row, column] for column in columns if (row, column) in cells}
        if not in_row:
            continue
        for lines in _rows_within(in_row):
            yield [_text(lines.get(column, ())) for column in columns]


def _rows_within(cells: dict[int, list[PageLine]]) -> Iterator[dict[int, list[PageLine]]]:
    """Yield the rows within a row: where no lines are drawn between rows, all cells have a line for each."""
    counts = Counter(len(lines) for lines in cells.values())
    count = max(counts)
    several = [lines for lines in cells.values() if len(lines) > 1]
    is_even = len(cells) > 1 and count > 1 and counts[count] >= 2 and counts[count] >= 0.6 * len(cells)
    fullest = [lines for lines in several if len(lines) == count]
    if not is_even or not all(_is_beside(fullest[0], lines) for lines in fullest[1:]):
        yield cells
        return
    for line in fullest[0]:
        yield {
            column: [one for one in lines if abs(one.y - line.y) <= 0.5 * line.size]
            for column, lines in cells.items()
        }


def _is_beside(one: Sequence[PageLine], other: Sequence[PageLine]) -> bool:
    return all(abs(a.y - b.y) <= 0.4 * max(a.size, b.size) for a, b in zip(one, other, strict=True))


def _text(lines: Iterable[PageLine]) -> str:
    return " ".join(run.text for line in lines for run in line.runs)


def _parted(lines: Sequence[PageLine]) -> list[PageLine]:
    """Return the lines, those with tables and pictures in them as several."""
    parted: list[PageLine] = []
    for line in lines:
        blocks = [run for run in line.runs if run.block is not None]
        rest = [run for run in line.runs if run.block is None]
        parted += [PageLine([block]) for block in blocks]
        if rest:
            parted.append(PageLine(rest))
    return parted


def _distance(line: PageLine, box: Box) -> float:
    across = max(line.runs[0].x0 - box.right, box.left - line.runs[-1].x1, 0.0)
    middle = (box.bottom + box.top) / 2
    return across * 0.2 + max(line.low - middle, middle - line.high, 0.0)
