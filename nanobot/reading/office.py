"""DOCX, XLSX and PPTX as text. Imported in the child process only."""

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator

import docx
import docx.document
import docx.table
import openpyxl
import pptx
from pptx.shapes.base import BaseShape
from pptx.shapes.group import GroupShape

from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.messages import Unreadable
from nanobot.reading.text_buffer import TextBuffer

_MAX_DEPTH = 20


def read_docx(content: bytes, buffer: TextBuffer) -> None:
    """Write paragraphs and tables in their order."""
    for text in _blocks(docx.Document(io.BytesIO(content)), 0):
        if not buffer.write(text + "\n"):
            return


def _blocks(container: docx.document.Document | docx.table._Cell, depth: int) -> Iterator[str]:
    for block in container.iter_inner_content():
        if isinstance(block, docx.table.Table):
            if depth < _MAX_DEPTH:
                yield from _rows(block, depth)
        else:
            yield block.text


def _rows(table: docx.table.Table, depth: int) -> Iterator[str]:
    seen: set[object] = set()
    for row in table.rows:
        line: list[str] = []
        # A cell that spans several columns or rows is listed once for each of them.
        for cell in row.cells:
            line.append("" if cell._tc in seen else " ".join(_blocks(cell, depth + 1)))
            seen.add(cell._tc)
        yield _row(line)


def read_xlsx(content: bytes, bounds: DocumentBounds, buffer: TextBuffer) -> None:
    """Write each sheet as CSV, with the last computed values of formulas."""
    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    rows_seen = 0
    for sheet in book.worksheets:
        if not buffer.write_marker(f"\n[sheet {sheet.title}]\n"):
            return
        if hasattr(sheet, "reset_dimensions"):
            # The size that the file declares may be wrong.
            sheet.reset_dimensions()
        for row in sheet.iter_rows(values_only=True):
            rows_seen += 1
            if rows_seen > bounds.max_rows:
                buffer.is_cut = True
                return
            values = list(row)
            while values and values[-1] is None:
                values.pop()
            if values and not buffer.write(
                _row("" if value is None else str(value) for value in values) + "\n"
            ):
                return


def read_pptx(content: bytes, buffer: TextBuffer) -> None:
    """Write the texts, tables and notes of each slide."""
    for number, slide in enumerate(pptx.Presentation(io.BytesIO(content)).slides, 1):
        if not buffer.write_marker(f"\n[slide {number}]\n"):
            return
        for shape in slide.shapes:
            for text in _texts(shape, 0):
                if not buffer.write(text + "\n"):
                    return
        notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
        if notes is not None and notes.text and not buffer.write(f"(notes: {notes.text})\n"):
            return


def _texts(shape: BaseShape, depth: int) -> Iterator[str]:
    if isinstance(shape, GroupShape):
        if depth < _MAX_DEPTH:
            for inner in shape.shapes:
                yield from _texts(inner, depth + 1)
        return
    if shape.has_text_frame:
        text = shape.text_frame.text  # type: ignore[attr-defined]
        if text:
            yield text
    if shape.has_table:
        for row in shape.table.rows:  # type: ignore[attr-defined]
            yield _row(cell.text for cell in row.cells)


def _row(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(list(cells))
    return line.getvalue()


_READERS = {"word/": read_docx, "ppt/": read_pptx}


def read_office(archive: zipfile.ZipFile, content: bytes, bounds: DocumentBounds, buffer: TextBuffer) -> None:
    """Write the text of a document of any of the three formats.

    Raises:
        Unreadable: it is none of them.
    """
    names = archive.namelist()
    if "[Content_Types].xml" not in names:
        raise Unreadable("it is an archive, and of these only DOCX, XLSX and PPTX are read", "unsupported")
    if any(name.startswith("xl/") for name in names):
        return read_xlsx(content, bounds, buffer)
    for folder, read in _READERS.items():
        if any(name.startswith(folder) for name in names):
            return read(content, buffer)
    raise Unreadable("it is none of DOCX, XLSX and PPTX", "unsupported")
