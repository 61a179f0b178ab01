"""Runs `nanobot.reading.child`, which extracts the text of one file, and interprets how it ends."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

import msgspec

from nanobot.reading.messages import ExtractedText, Extraction, ExtractionFailure, ExtractionRequest

_log = logging.getLogger(__name__)
_JSON_BYTES_PER_CHARACTER = 6
"""The most that JSON takes for one character."""
_OVERHEAD_BYTES = 4_096
_CHUNK_BYTES = 64 * 1024
_ENVIRONMENT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
    "LD_LIBRARY_PATH",
    "LANG",
    "LC_ALL",
)
"""The variables that the process gets. API keys and other secrets of the server are not among them."""
_LIMIT_SIGNALS = frozenset(
    int(getattr(signal, name)) for name in ("SIGXCPU", "SIGKILL") if hasattr(signal, name)
)
"""What ends a process that computes for too long, or for which there is no memory."""


async def extract_in_process(request: ExtractionRequest, content: bytes) -> Extraction:
    """Return the text of the file, or why there is none, after at most `request.bounds.wall_s`.

    The process is gone when this returns or is cancelled.
    """
    process = await asyncio.create_subprocess_exec(
        # The child cannot write files, so no bytecode (-B); nothing is imported from the working directory
        # (-P).
        *(sys.executable, "-B", "-P", "-m", "nanobot.reading.child"),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    )
    max_bytes = request.bounds.max_characters * _JSON_BYTES_PER_CHARACTER + _OVERHEAD_BYTES
    try:
        async with asyncio.timeout(request.bounds.wall_s):
            # At the same time: with one pipe full, neither process would get on.
            output, _ = await asyncio.gather(
                _read_output(process, max_bytes),
                _write_input(process, msgspec.json.encode(request) + b"\n", content),
            )
            status = await process.wait()
    except TimeoutError:
        return ExtractionFailure("unreadable", f"it takes longer than {request.bounds.wall_s:g} s to read")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return _extraction(output, status, request)


async def _write_input(process: Process, head: bytes, content: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    # If the process has ended already, its status tells why.
    with contextlib.suppress(ConnectionError):
        process.stdin.write(head)
        for start in range(0, len(content), _CHUNK_BYTES):
            process.stdin.write(content[start : start + _CHUNK_BYTES])
            await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()


async def _read_output(process: Process, max_bytes: int) -> bytes:
    """Return the output; more than `max_bytes` ends the process."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    output = bytearray()
    while len(output) <= max_bytes and (chunk := await process.stdout.read(_CHUNK_BYTES)):
        output += chunk
    if len(output) > max_bytes:
        process.kill()
    return bytes(output)


def _extraction(output: bytes, status: int, request: ExtractionRequest) -> Extraction:
    """Return what the process wrote; if it wrote nothing usable, the failure that its status means."""
    if status == 0 and output:
        try:
            return msgspec.json.decode(output, type=ExtractedText | ExtractionFailure)
        except msgspec.DecodeError:
            status = -1
    _log.info(
        "a file of kind %s was not read: the reading process ended with status %d", request.kind, status
    )
    if -status in _LIMIT_SIGNALS:
        return ExtractionFailure(
            "unreadable",
            f"it takes longer than {request.bounds.cpu_s} s of computing, or too much memory, to read",
        )
    return ExtractionFailure("unreadable", "it is broken, or not what it says it is")
