"""Workbooks as text: each sheet as a table with the letters of its columns and the numbers of its rows."""

from nanobot.reading.formats import binary_sheets, open_sheets, workbook
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_ZIP = b"PK"


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the rows of each sheet as people see them, comments, charts and the texts of drawings.

    Raises:
        Unreadable: it is broken, or a password protects it.
    """
    if not source.content.startswith(_ZIP):
        binary_sheets.read(source, buffer)
    elif workbook.is_workbook(source.archive):
        workbook.read(source, buffer)
    elif "content.xml" in source.archive.namelist():
        open_sheets.read(source, buffer)
    else:
        binary_sheets.read(source, buffer)
