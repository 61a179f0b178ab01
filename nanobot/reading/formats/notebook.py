"""Jupyter notebooks: cells with what they put out. Imported in the worker only."""

import base64
import binascii
import json
import re
from typing import Any

from nanobot.reading.formats.html import write_page
from nanobot.reading.messages import Unreadable
from nanobot.reading.plain import decode
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_TEXTS = ("text/markdown", "text/plain", "text/latex", "application/json")
_PAGES = ("text/html", "image/svg+xml")
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_OLD_NAMES = {
    "png": "image/png", "jpeg": "image/jpeg", "svg": "image/svg+xml", "html": "text/html",
    "latex": "text/latex", "json": "application/json",
}  # fmt: skip
"""What the older format calls the media types of what was put out."""
_SHOWN_TYPES = 10


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the cells in their order: text as it is, code fenced, and what it put out.

    Raises:
        Unreadable: it is no notebook.
    """
    try:
        book = json.loads(decode(source.content, charset=source.charset).removeprefix("\ufeff"))
    except ValueError as error:
        raise Unreadable("it is a broken notebook: its JSON cannot be read") from error
    cells = _list(book, "cells")
    # The older format has them in sheets.
    for sheet in _list(book, "worksheets"):
        cells += _list(sheet, "cells")
    if not cells:
        raise Unreadable("it is a notebook without cells")
    language = _language(book)
    for cell in cells:
        if isinstance(cell, dict):
            _write_cell(cell, language, buffer)
    buffer.end()


def _write_cell(cell: dict[str, Any], language: str, buffer: TextBuffer) -> None:
    text = _joined(cell.get("source", cell.get("input")))
    if cell.get("cell_type") == "code":
        if text.strip():
            buffer.write_line(f"```{language}\n{text.rstrip()}\n```\n")
        for output in _list(cell, "outputs"):
            if isinstance(output, dict):
                _write_output(output, buffer)
        return
    level = cell.get("level")
    if cell.get("cell_type") == "heading" and isinstance(level, int):
        text = f"{'#' * max(1, min(level, 6))} {text}"
    if text.strip():
        buffer.write_line(f"{text.rstrip()}\n")


def _write_output(output: dict[str, Any], buffer: TextBuffer) -> None:
    content = output.get("data", output)
    content = content if isinstance(content, dict) else {}
    if "data" not in output:
        content = {_OLD_NAMES.get(name, name): value for name, value in content.items()}
    text = (
        _joined(output.get("text")) if output.get("output_type") in ("stream", "display_data", None) else ""
    )
    if output.get("output_type") in ("error", "pyerr"):
        text = "\n".join(_joined(line) for line in _list(output, "traceback"))
        text = text or f"{_joined(output.get('ename'))}: {_joined(output.get('evalue'))}"
    for media_type in _TEXTS:
        if not text.strip() and media_type in content:
            text = _joined(content[media_type])
    text = _COLOURS.sub("", text or _joined(output.get("text")))
    pages = [] if text.strip() else [_joined(content[name]) for name in _PAGES if name in content]
    if text.strip():
        buffer.write_line(f"[output]\n{text.rstrip()}\n")
    elif any(page.strip() for page in pages):
        buffer.write_line("[output]")
        write_page(next(page for page in pages if page.strip()), buffer)
        buffer.write_line()
    elif other := [name for name in content if "/" in name and name not in _PICTURES]:
        buffer.note(f"output that is not shown: {', '.join(other[:_SHOWN_TYPES])}")
    for media_type in _PICTURES:
        if media_type in content:
            encoded = _joined(content[media_type])
            buffer.write_line(buffer.picture(lambda encoded=encoded: _decoded(encoded)))  # type: ignore[misc]


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded)
    except binascii.Error:
        return b""


def _joined(text: object) -> str:
    if isinstance(text, list):
        return "".join(line for line in text if isinstance(line, str))
    if isinstance(text, dict):
        return json.dumps(text, ensure_ascii=False)
    return text if isinstance(text, str) else ""


def _list(value: object, name: str) -> list[Any]:
    inner = value.get(name) if isinstance(value, dict) else None
    return list(inner) if isinstance(inner, list) else []


def _language(book: object) -> str:
    about = book.get("metadata") if isinstance(book, dict) else None
    language = about.get("language_info") if isinstance(about, dict) else None
    name = language.get("name") if isinstance(language, dict) else None
    return name if isinstance(name, str) and name.isalnum() else ""
