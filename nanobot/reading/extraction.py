"""Extracting the text of one file: a task of `workers`, done in a process of its own.

Libraries may fail on broken files with any exception; the process then ends without output, which
`documents.py` takes for an unreadable file.
"""

import importlib
from types import ModuleType
from typing import cast

import msgspec

from nanobot.reading.archives import refuse_declarations
from nanobot.reading.compound import compound_kind
from nanobot.reading.formats import modules
from nanobot.reading.kinds import Kind
from nanobot.reading.messages import Extraction, ExtractionFailure, ExtractionRequest, Unreadable
from nanobot.reading.pictures import Pictures
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_WORKBOOKS = frozenset({"xlsx", "xlsb", "ods"})
"""Kinds whose XML a library parses."""


def run(head: bytes, content: bytes) -> bytes:
    """Return the `Extraction` of the file `content`, as JSON; `head` is an `ExtractionRequest` as JSON."""
    return msgspec.json.encode(extract(msgspec.json.decode(head, type=ExtractionRequest), content))


def extract(request: ExtractionRequest, content: bytes) -> Extraction:
    """Return the text of the file, or why there is none."""
    bounds = request.bounds
    pictures = Pictures(bounds.max_pictures, bounds.max_picture_bytes)
    buffer = TextBuffer(
        bounds.max_characters, start=request.start, pictures=pictures, is_verbatim=request.kind == "text"
    )
    source = Source(content, bounds, request.charset, request.page_url)
    try:
        _reader(_kind(request.kind, source)).read(source, buffer)
        return buffer.extracted()
    except Unreadable as error:
        return error.failure
    except ModuleNotFoundError as error:
        return ExtractionFailure("missing", error.name or "")
    except MemoryError:
        most = bounds.memory_bytes // 2**20
        return ExtractionFailure("unreadable", f"it takes more than {most} MiB of memory to read")
    except RecursionError:
        return ExtractionFailure("unreadable", "it is nested too deeply")


def _kind(kind: Kind, source: Source) -> Kind:
    """Return the format of a file whose first bytes only tell its container."""
    if kind == "zip":
        # It needs lxml, and the server itself imports this module.
        packages = importlib.import_module("nanobot.reading.packages")
        kind = cast(Kind, packages.package_kind(source.archive))
        if kind in _WORKBOOKS:
            refuse_declarations(source.archive)
        return kind
    return compound_kind(source.content) if kind == "compound" else kind


def _reader(kind: Kind) -> ModuleType:
    """Return the module that reads a format; its libraries are slow to load, and may not be installed."""
    return importlib.import_module(modules(kind)[0])
