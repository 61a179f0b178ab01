"""Extracting the text of one file: a task of `workers`, done in a process of its own.

Libraries may fail on broken files with any exception; the process then ends without output, which
`documents.py` takes for an unreadable file.
"""

import importlib
import zipfile
from typing import Any

import msgspec

from nanobot.reading.archives import open_archive, refuse_declarations
from nanobot.reading.messages import Extraction, ExtractionFailure, ExtractionRequest, Unreadable
from nanobot.reading.text_buffer import TextBuffer


def run(head: bytes, content: bytes) -> bytes:
    """Return the `Extraction` of the file `content`, as JSON; `head` is an `ExtractionRequest` as JSON."""
    return msgspec.json.encode(extract(msgspec.json.decode(head, type=ExtractionRequest), content))


def extract(request: ExtractionRequest, content: bytes) -> Extraction:
    """Return the text of the file, or why there is none."""
    buffer = TextBuffer(request.bounds.max_characters)
    try:
        _read(request, content, buffer)
        return buffer.extracted()
    except Unreadable as error:
        return error.failure
    except ModuleNotFoundError as error:
        return ExtractionFailure("missing", error.name or "")
    except MemoryError:
        most = request.bounds.memory_bytes // 2**20
        return ExtractionFailure("unreadable", f"it takes more than {most} MiB of memory to read")
    except RecursionError:
        return ExtractionFailure("unreadable", "it is nested too deeply")


def _read(request: ExtractionRequest, content: bytes, buffer: TextBuffer) -> None:
    bounds = request.bounds
    if request.kind == "office":
        archive: zipfile.ZipFile = open_archive(content, bounds)
        refuse_declarations(archive)
        _reader("office").read_office(archive, content, bounds, buffer)
    elif request.kind == "pdf":
        _reader("pdf").read_pdf(content, bounds, buffer)
    else:
        _reader("html").read_html(content, request.charset, buffer)


def _reader(name: str) -> Any:
    """Return the module that reads a format; its libraries are slow to load, and may not be installed."""
    return importlib.import_module(f"nanobot.reading.{name}")
