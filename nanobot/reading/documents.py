"""What files say, as text: PDF, DOCX, XLSX, PPTX, HTML, CSV, plain text, code.

Formats that need a library are read in a child process with bounded time and memory; text is decoded in a
thread. Nothing is ever unpacked, rendered or run on the way.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

import msgspec

from nanobot.core.distribution import install_hint
from nanobot.core.errors import EncryptedFile, InvalidRequest, UnreadableFile, UnsupportedFile
from nanobot.reading.bounds import DocumentBounds, ExtractedText, Outcome, ReadFailure, ReadRequest
from nanobot.reading.kinds import Kind, extension, kind_of
from nanobot.reading.plain import decode

_log = logging.getLogger(__name__)
_MOST_CHILDREN = 2
# the most that JSON takes for one
_BYTES_PER_CHARACTER = 6
_SLACK_BYTES = 4_096
_PIECE_BYTES = 64 * 1024
_KEPT_ENVIRONMENT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
    "LD_LIBRARY_PATH",
    "LANG",
    "LC_ALL",
)
_CLAIMED: dict[str, Kind] = {"pdf": "pdf", "docx": "office", "xlsx": "office", "pptx": "office"}
_LIMITS = frozenset(int(getattr(signal, name)) for name in ("SIGXCPU", "SIGKILL") if hasattr(signal, name))
"""What a process is killed by that computes for too long, or for which there is no memory."""


class Document(msgspec.Struct, frozen=True):
    """A file's text. `is_cut`: the file has more than the bounds allow to show."""

    text: str
    is_cut: bool = False


class Documents:
    """Reads files.

    Belongs to the event loop of its first use; at most two child processes run at once, the rest wait.
    """

    def __init__(self, bounds: DocumentBounds | None = None) -> None:
        self._bounds = bounds or DocumentBounds()
        self._room = asyncio.Semaphore(_MOST_CHILDREN)

    async def read(
        self, content: bytes, *, name: str = "", mime: str = "", charset: str | None = None
    ) -> Document:
        """Return what the file says. `name`, `mime` and `charset` are somebody's word for it; its bytes count
        for more.

        Raises:
            UnsupportedFile: it is of a kind that is not read here, or the extra that reads it is not
                installed.
            EncryptedFile: a password protects it.
            UnreadableFile: it is broken, is not what it says, has no text, or costs more to read than the
                bounds allow.
        """
        bounds = self._bounds
        shown = _shown(name)
        if len(content) > bounds.max_bytes:
            raise UnreadableFile(f"{shown} has {len(content)} bytes: at most {bounds.max_bytes} are read")
        kind = kind_of(content, name=name, mime=mime)
        _refuse_kind(kind, content, name, shown)
        if kind == "text":
            return await asyncio.to_thread(_decoded, content, charset, bounds.max_characters)
        async with self._room:
            outcome = await self._in_child(ReadRequest(kind, bounds, charset), content)
        if isinstance(outcome, ExtractedText):
            return Document(outcome.text, outcome.is_cut)
        raise _error(outcome, shown)

    async def _in_child(self, order: ReadRequest, content: bytes) -> Outcome:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-B", "-P", "-m", "nanobot.reading.child",
            stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ},
        )  # fmt: skip
        most = order.bounds.max_characters * _BYTES_PER_CHARACTER + _SLACK_BYTES
        try:
            async with asyncio.timeout(order.bounds.wall_s):
                said, _ = await asyncio.gather(
                    _hear(child, most), _tell(child, msgspec.json.encode(order) + b"\n", content)
                )
                status = await child.wait()
        except TimeoutError:
            return ReadFailure("unreadable", f"it takes longer than {order.bounds.wall_s:g} s to read")
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        return _outcome(said, status, order)


async def _tell(child: Process, head: bytes, content: bytes) -> None:
    assert child.stdin is not None  # noqa: S101 - it is a pipe
    # it has died already: its status tells how
    with contextlib.suppress(ConnectionError):
        child.stdin.write(head)
        for start in range(0, len(content), _PIECE_BYTES):
            child.stdin.write(content[start : start + _PIECE_BYTES])
            await child.stdin.drain()
        child.stdin.close()
        await child.stdin.wait_closed()


async def _hear(child: Process, most: int) -> bytes:
    assert child.stdout is not None  # noqa: S101 - it is a pipe
    said = bytearray()
    while len(said) <= most and (piece := await child.stdout.read(_PIECE_BYTES)):
        said += piece
    if len(said) > most:
        child.kill()
    return bytes(said)


def _outcome(said: bytes, status: int, order: ReadRequest) -> Outcome:
    """Return what the child said; what it died of, where it said nothing."""
    if status == 0 and said:
        try:
            return msgspec.json.decode(said, type=ExtractedText | ReadFailure)
        except msgspec.DecodeError:
            status = -1
    _log.info("a file of kind %s was not read: the reading process ended with status %d", order.kind, status)
    if -status in _LIMITS:
        return ReadFailure(
            "unreadable",
            f"it takes longer than {order.bounds.cpu_s} s of computing, or too much memory, to read",
        )
    return ReadFailure("unreadable", "it is broken, or not what it says it is")


def _refuse_kind(kind: Kind, content: bytes, name: str, shown: str) -> None:
    """Let only what can be read through, and only under the name of what it is."""
    if kind == "compound":
        if "EncryptedPackage".encode("utf-16-le") in content:
            raise EncryptedFile(f"{shown} is protected by a password: send it without one")
        raise UnsupportedFile(f"{shown} is of an old Office format: save it as DOCX, XLSX or PPTX")
    claimed = _CLAIMED.get(extension(name))
    if claimed is not None and claimed != kind:
        raise UnreadableFile(f"{shown} cannot be read: it is broken, or not what its name says")
    if kind in ("image", "audio", "binary"):
        what = {
            "image": "an image: send it as a part of type image_url",
            "audio": "a sound: send it as a part of type input_audio",
        }.get(kind, "of a kind that is not read here: PDF, DOCX, XLSX, PPTX, HTML, CSV, text and code are")
        raise UnsupportedFile(f"{shown} is {what}")


def _error(trouble: ReadFailure, shown: str) -> InvalidRequest:
    if trouble.reason == "encrypted":
        return EncryptedFile(f"{shown} is protected by a password: send it without one")
    if trouble.reason == "missing":
        return UnsupportedFile(
            f"{shown} cannot be read: what reads such files is not installed on the server"
            f" ({install_hint('documents')})"
        )
    if trouble.reason == "unsupported":
        return UnsupportedFile(f"{shown} is not read: {trouble.why}")
    return UnreadableFile(f"{shown} cannot be read: {trouble.why}")


def _decoded(content: bytes, charset: str | None, max_characters: int) -> Document:
    text = decode(content, charset=charset).replace("\0", "")
    return Document(text[:max_characters], len(text) > max_characters)


def _shown(name: str) -> str:
    plain = "".join(character if character.isprintable() else " " for character in name).strip()
    return f"the file {plain[:80]!r}" if plain else "the file"
