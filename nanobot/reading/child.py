"""The process that reads one file: `python -m nanobot.reading.child`.

Its standard input is an `ExtractionRequest` as one line of JSON, then the file; its standard output is an
`Extraction` as JSON. It limits itself before it reads the file: whatever a file does to a library, it does to
this process only, and not for long. Libraries may fail on broken files with any exception; the process then
ends without output, which the parent takes for an unreadable file.
"""

import importlib
import sys
import zipfile
from typing import Any

import msgspec

from nanobot.reading.archives import open_archive, refuse_declarations
from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.messages import Extraction, ExtractionFailure, ExtractionRequest, Unreadable
from nanobot.reading.text_buffer import TextBuffer


def limit(bounds: DocumentBounds) -> None:
    """Limit this process. Windows has no such limits: there only the parent's timeout holds."""
    if sys.platform == "win32":
        return
    import resource

    for kind, most in (
        (resource.RLIMIT_AS, bounds.memory_bytes),
        (resource.RLIMIT_CPU, bounds.cpu_s),
        # Nothing may be written to any file.
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(kind, (most, most))
        except (OSError, ValueError):
            # macOS cannot limit the address space.
            continue


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


def main() -> None:
    head, _, content = sys.stdin.buffer.read().partition(b"\n")
    request = msgspec.json.decode(head, type=ExtractionRequest)
    limit(request.bounds)
    sys.stdout.buffer.write(msgspec.json.encode(extract(request, content)))


if __name__ == "__main__":
    main()
