"""How much of a file a text shows: where it begins, where it was cut, and how much there is."""

from bisect import bisect_right
from typing import Literal

import msgspec

Unit = Literal["page", "sheet", "slide", "chapter", "part", "row", "line"]
"""What a file is counted in. A sheet has rows, everything else lines: those of the text as it is shown."""


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in a file, counted from 1.

    `number`: of the page, sheet, slide or chapter; a file that has none of these is all one, number 1.
    `line`: of the text in it; of a sheet, its row. `character`: in that line.
    """

    number: int = 1
    line: int = 1
    character: int = 1


START = Position()


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """Where a unit, or a row that does not follow the row before it, begins: at which character of the text,
    and the unit's number and line.
    """

    offset: int
    number: int
    line: int = 1


class Extent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of a file a text shows.

    `unit`: what the file is counted in; `totals`: how many there are, as far as that is known, also `row` or
    `line` of the unit in which it was cut. `titles`: of sheets and the like, by number. `marks`: see `Mark`.
    `cut`: where the file goes on, None where the text has all of it.
    """

    unit: Unit = "line"
    totals: dict[Unit, int] = {}
    titles: dict[int, str] = {}
    marks: tuple[Mark, ...] = ()
    cut: Position | None = None

    def __hash__(self) -> int:
        # A list of messages is known again by its hash, those with files among them.
        named = tuple(sorted(self.totals.items())), tuple(sorted(self.titles.items()))
        return hash((self.unit, *named, self.marks, self.cut))


WHOLE = Extent()
_BEGINNING = Mark(0, 1, 1)


def position_at(extent: Extent, text: str, offset: int) -> Position:
    """Return the position of a character of the text."""
    marks = extent.marks
    index = bisect_right(marks, offset, key=lambda mark: mark.offset) - 1
    mark = marks[index] if index >= 0 else _BEGINNING
    line = mark.line + text.count("\n", mark.offset, offset)
    following = marks[index + 1] if index + 1 < len(marks) else None
    if following is not None and following.number == mark.number and following.line <= line:
        # What stands above the rows of a sheet is not among them.
        return Position(mark.number, following.line)
    if line < max(mark.line, 1):
        # Nor is the line of a marker, such as `[page 3]`.
        return Position(mark.number, max(mark.line, 1))
    return Position(mark.number, line, offset - text.rfind("\n", 0, offset))


def offset_of(extent: Extent, text: str, position: Position) -> int | None:
    """Return where the position is in the text, or where what follows it begins; None where the text does not
    show it.
    """
    marks = extent.marks or (_BEGINNING,)
    at = (position.number, position.line)
    cut = extent.cut
    if cut is not None and (*at, position.character) >= (cut.number, cut.line, cut.character):
        return None
    index = bisect_right(marks, at, key=lambda mark: (mark.number, mark.line)) - 1
    if index < 0 or marks[index].number != position.number:
        return 0 if position == START else None
    if position.line == 1 and position.character == 1:
        # The beginning of a unit is its marker.
        index = next(i for i, mark in enumerate(marks) if mark.number == position.number)
        return marks[index].offset
    mark = marks[index]
    end = marks[index + 1].offset if index + 1 < len(marks) else len(text)
    offset = mark.offset
    for _ in range(position.line - mark.line):
        newline = text.find("\n", offset, end)
        if newline < 0:
            return end if end < len(text) else None
        offset = newline + 1
    return min(offset + position.character - 1, end)


def described(extent: Extent, position: Position) -> str:
    """Return the position in words, with how much there is: `page 41 of 200`, `sheet 'Costs', row 812 of
    9,000`, `line 1,200 of 20,000`.
    """
    words: list[str] = []
    unit, totals = extent.unit, extent.totals
    if unit != "line":
        title = extent.titles.get(position.number)
        total = f" of {totals[unit]:,}" if unit in totals else ""
        words.append(f"{unit} {position.number:,}{total}" + (f" '{title}'" if title else ""))
    inner: Unit = "row" if unit == "sheet" else "line"
    if unit in ("line", "sheet") or position.line > 1 or position.character > 1:
        # What is known about the sheet in which the text was cut is not true of others.
        is_known = inner in totals and (
            unit == "line" or extent.cut is None or extent.cut.number == position.number
        )
        total = f" of {totals[inner]:,}" if is_known else ""
        words.append(f"{inner} {position.line:,}{total}")
    if position.character > 1:
        words.append(f"character {position.character:,}")
    return ", ".join(words)


def wanted(unit: Unit, position: Position) -> str:
    """Return the position as a model writes it in a call: `page 41`, `sheet 2 row 812`, `line 1200`."""
    words = [] if unit == "line" else [f"{unit} {position.number}"]
    if unit == "line" or position.line > 1 or position.character > 1:
        words.append(f"{'row' if unit == 'sheet' else 'line'} {position.line}")
    if position.character > 1:
        words.append(f"character {position.character}")
    return " ".join(words)
