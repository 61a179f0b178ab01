"""DOCX, XLSX and PPTX as text. Runs in the child process only."""

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

from nanobot.reading.bounds import DocumentBounds, Unreadable, Writing

_DEEPEST = 20


def read_docx(content: bytes, writing: Writing) -> None:
    """Write paragraphs and tables in the order in which they stand."""
    for text in _blocks(docx.Document(io.BytesIO(content)), 0):
        if not writing.write(text + "\n"):
            return


def _blocks(container: docx.document.Document | docx.table._Cell, depth: int) -> Iterator[str]:
    for block in container.iter_inner_content():
        if isinstance(block, docx.table.Table):
            if depth < _DEEPEST:
                yield from _rows(block, depth)
        else:
            yield block.text


def _rows(table: docx.table.Table, depth: int) -> Iterator[str]:
    told: set[object] = set()
    for row in table.rows:
        line: list[str] = []
        # one that spans several places comes once for each
        for cell in row.cells:
            line.append("" if cell._tc in told else " ".join(_blocks(cell, depth + 1)))
            told.add(cell._tc)
        yield _row(line)


def read_xlsx(content: bytes, bounds: DocumentBounds, writing: Writing) -> None:
    """Write each sheet as CSV, with the values that its formulas last had."""
    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    rows_seen = 0
    for sheet in book.worksheets:
        if not writing.write(f"\n[sheet {sheet.title}]\n", is_mark=True):
            return
        if hasattr(sheet, "reset_dimensions"):
            # what the file says of its size may be wrong
            sheet.reset_dimensions()
        for row in sheet.iter_rows(values_only=True):
            rows_seen += 1
            if rows_seen > bounds.max_rows:
                writing.is_cut = True
                return
            values = list(row)
            while values and values[-1] is None:
                values.pop()
            if values and not writing.write(
                _row("" if value is None else str(value) for value in values) + "\n"
            ):
                return


def read_pptx(content: bytes, writing: Writing) -> None:
    """Write each slide's texts, tables and notes."""
    for number, slide in enumerate(pptx.Presentation(io.BytesIO(content)).slides, 1):
        if not writing.write(f"\n[slide {number}]\n", is_mark=True):
            return
        for shape in slide.shapes:
            for text in _texts(shape, 0):
                if not writing.write(text + "\n"):
                    return
        notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
        if notes is not None and notes.text and not writing.write(f"(notes: {notes.text})\n"):
            return


def _texts(shape: BaseShape, depth: int) -> Iterator[str]:
    if isinstance(shape, GroupShape):
        if depth < _DEEPEST:
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


def read_office(archive: zipfile.ZipFile, content: bytes, bounds: DocumentBounds, writing: Writing) -> None:
    """Write what the document says, whichever of the three it is.

    Raises:
        Unreadable: it is none of them.
    """
    names = archive.namelist()
    if "[Content_Types].xml" not in names:
        raise Unreadable("it is an archive, and of these only DOCX, XLSX and PPTX are read", "unsupported")
    if any(name.startswith("xl/") for name in names):
        return read_xlsx(content, bounds, writing)
    for folder, read in _READERS.items():
        if any(name.startswith(folder) for name in names):
            return read(content, writing)
    raise Unreadable("it is none of DOCX, XLSX and PPTX", "unsupported")
