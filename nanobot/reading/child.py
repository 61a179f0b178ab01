"""The process that reads one file: `python -m nanobot.reading.child`.

Its standard input is an `ReadRequest` in one line of JSON, then the file; its standard output an `Outcome` as JSON.
It limits itself before it looks at the file: whatever the file does to a library, it does to this process
only, and not for long. Libraries fail on broken files in ways of their own; the process then ends without an
outcome, and the parent knows what that means.
"""

import importlib
import sys
import zipfile
from typing import Any

import msgspec

from nanobot.reading.archives import open_archive, refuse_declarations
from nanobot.reading.bounds import DocumentBounds, Outcome, ReadFailure, ReadRequest, Unreadable, Writing


def limit(bounds: DocumentBounds) -> None:
    """Hold this process to its bounds; where the system has no such limits (Windows) the parent's clock is
    the only one.
    """
    if sys.platform == "win32":
        return
    import resource

    for what, most in (
        (resource.RLIMIT_AS, bounds.memory_bytes),
        (resource.RLIMIT_CPU, bounds.cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(what, (most, most))
        except (OSError, ValueError):
            # macOS has no limit of the address space
            continue


def read(order: ReadRequest, content: bytes) -> Outcome:
    """Return the file's text, or why there is none."""
    writing = Writing(order.bounds.max_characters)
    try:
        _read(order, content, writing)
        return writing.said()
    except Unreadable as error:
        return error.trouble
    except ModuleNotFoundError as error:
        return ReadFailure("missing", error.name or "")
    except MemoryError:
        return ReadFailure(
            "unreadable", f"it takes more than {order.bounds.memory_bytes // 2**20} MiB of memory to read"
        )
    except RecursionError:
        return ReadFailure("unreadable", "it is nested too deeply")


def _read(order: ReadRequest, content: bytes, writing: Writing) -> None:
    bounds = order.bounds
    if order.kind == "office":
        archive: zipfile.ZipFile = open_archive(content, bounds)
        refuse_declarations(archive)
        _module("office").read_office(archive, content, bounds, writing)
    elif order.kind == "pdf":
        _module("pdf").read_pdf(content, bounds, writing)
    else:
        _module("html").read_html(content, order.charset, writing)


def _module(name: str) -> Any:
    """Return the reader of a format: each loads libraries that only it needs, and that may not be installed."""
    return importlib.import_module(f"nanobot.reading.{name}")


def main() -> None:
    head, _, content = sys.stdin.buffer.read().partition(b"\n")
    order = msgspec.json.decode(head, type=ReadRequest)
    limit(order.bounds)
    sys.stdout.buffer.write(msgspec.json.encode(read(order, content)))


if __name__ == "__main__":
    main()
