"""Workbooks that are not read here but by calamine: XLS, XLSB, ODS."""

import datetime
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import python_calamine

from nanobot.reading.formats.biff import CellLooks, looks_of
from nanobot.reading.formats.grid import Grid, column_letters, write_grid
from nanobot.reading.formats.number_formats import plain_number
from nanobot.reading.messages import Unreadable
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_ENCRYPTED = re.compile(
    rb"\x09\x08\x10\x00\x00\x06\x05\x00.{12}(?:\x86\x00\x00\x00)?\x2f\x00.{2}(?:\x00\x00|\x01\x00)", re.DOTALL
)
"""How an encrypted XLS begins: calamine knows only the stronger ways of encrypting."""
_MAX_CELLS = 8_000_000
"""Of a sheet, empty ones included: calamine keeps them all."""


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the rows of each sheet.

    Raises:
        Unreadable: it is broken, or a password protects it.
    """
    if _ENCRYPTED.search(source.content) is not None:
        raise Unreadable("a password protects it", "encrypted")
    with _failures():
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(source.content))
        sheets = book.sheets_metadata
    looks = looks_of(source.content)
    buffer.total("sheet", len(sheets))
    rows_left = source.bounds.max_rows
    for number, about in enumerate(sheets, 1):
        hidden = about.visible != python_calamine.SheetVisibleEnum.Visible
        if buffer.begin("sheet", number, about.name, hidden=hidden):
            try:
                with _failures():
                    sheet = book.get_sheet_by_index(number - 1)
                    grid = Grid(source.bounds.max_characters, buffer.first_row)
                    look = looks[number - 1] if len(looks) == len(sheets) else CellLooks()
                    rows_left -= _fill(grid, sheet, look, rows_left)
            except Unreadable as error:
                buffer.note(f"this sheet cannot be read: {error}")
                continue
            write_grid(grid, buffer)
            if rows_left <= 0:
                buffer.note(f"the rows after the first {source.bounds.max_rows} are not read")
                return
        if buffer.is_full:
            return


@contextmanager
def _failures() -> Iterator[None]:
    """What calamine raises in the block is a file that cannot be read."""
    try:
        yield
    except python_calamine.PasswordError as error:
        raise Unreadable("a password protects it", "encrypted") from error
    except (python_calamine.CalamineError, OSError, ValueError, OverflowError) as error:
        raise Unreadable("it is broken, or not what it says it is") from error
    except BaseException as error:
        # What panics in Rust has no class that can be imported, and is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise Unreadable("it is broken, or not what it says it is") from error


def _fill(grid: Grid, sheet: python_calamine.CalamineSheet, looks: CellLooks, most_rows: int) -> int:
    """Add at most `most_rows` rows of a sheet that have text to the grid; return how many it has."""
    grid.hidden_columns |= looks.hidden_columns
    start, end = sheet.start, sheet.end
    rows = 0
    if start is None or end is None:
        return rows
    if (end[0] - start[0] + 1) * (end[1] - start[1] + 1) > _MAX_CELLS:
        raise Unreadable("a cell in it is too far from the others; save the workbook as XLSX")
    # The rows come from the first of the sheet on, their cells from the first column that has any.
    for number, values in enumerate(sheet.iter_rows(), 1):
        cells = {
            column: shown
            for column, value in enumerate(values, start[1])
            if (shown := looks.shown(number - 1, column, value, _shown(value)))
        }
        if cells:
            grid.add(number, cells, is_hidden=number - 1 in looks.hidden_rows)
            rows += 1
        if rows >= most_rows:
            break
    grid.merged = [_range(*area) for area in sheet.merged_cell_ranges or ()]
    return rows


def _range(first: tuple[int, int], last: tuple[int, int]) -> str:
    return f"{column_letters(first[1])}{first[0] + 1}:{column_letters(last[1])}{last[0] + 1}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return plain_number(value)
    if isinstance(value, datetime.datetime):
        if (value.hour, value.minute, value.second, value.microsecond) == (0, 0, 0, 0):
            return value.date().isoformat()
        return value.isoformat(" ", "seconds" if value.second else "minutes")
    if isinstance(value, datetime.timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3_600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if isinstance(value, datetime.time):
        return value.isoformat("seconds" if value.second else "minutes")
    return str(value).strip()
