"""DOCX as text. Imported in the worker only."""

import io
from collections.abc import Iterator

import docx
import docx.document
import docx.table

from nanobot.reading.formats.markdown import row_line
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_MAX_DEPTH = 20


def read(source: Source, buffer: TextBuffer) -> None:
    """Write paragraphs and tables in their order."""
    for text in _blocks(docx.Document(io.BytesIO(source.content)), 0):
        buffer.write_line(text)
    buffer.end()


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
        yield row_line(line)
