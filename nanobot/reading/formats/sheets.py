"""Workbooks as text. Imported in the worker only."""

import io

import openpyxl

from nanobot.reading.formats.markdown import row_line
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the rows of each sheet, with the last computed values of formulas."""
    book = openpyxl.load_workbook(io.BytesIO(source.content), read_only=True, data_only=True)
    buffer.total("sheet", len(book.worksheets))
    rows_seen = 0
    for number, sheet in enumerate(book.worksheets, 1):
        if not buffer.begin("sheet", number, sheet.title):
            if buffer.is_full:
                return
            continue
        if hasattr(sheet, "reset_dimensions"):
            # The size that the file declares may be wrong.
            sheet.reset_dimensions()
        for row_number, row in enumerate(sheet.iter_rows(values_only=True), 1):
            rows_seen += 1
            if rows_seen > source.bounds.max_rows:
                buffer.note(f"the rows after the first {source.bounds.max_rows} are not read")
                return
            values = list(row)
            while values and values[-1] is None:
                values.pop()
            if (
                values
                and buffer.row(row_number)
                and not buffer.write_line(row_line("" if value is None else str(value) for value in values))
            ):
                return
