"""PPTX as text. Imported in the worker only."""

import io
from collections.abc import Iterator

import pptx
from pptx.shapes.base import BaseShape
from pptx.shapes.group import GroupShape

from nanobot.reading.formats.markdown import row_line
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_MAX_DEPTH = 20


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the texts, tables and notes of each slide."""
    slides = pptx.Presentation(io.BytesIO(source.content)).slides
    buffer.total("slide", len(slides))
    for number, slide in enumerate(slides, 1):
        if not buffer.begin("slide", number):
            if buffer.is_full:
                return
            continue
        for shape in slide.shapes:
            for text in _texts(shape, 0):
                if not buffer.write_line(text):
                    return
        notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
        if notes is not None and notes.text and not buffer.write_line(f"(notes: {notes.text})"):
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
            yield row_line(cell.text for cell in row.cells)
