"""The text of files.

Formats are read by a worker, with bounded time and memory; text in UTF-8 is cut in a thread.
Nothing is unpacked to disk, rendered or executed.
"""

import asyncio
import logging

import msgspec

from nanobot.core.distribution import install_hint
from nanobot.core.errors import EncryptedFile, InvalidRequest, UnreadableFile, UnsupportedFile
from nanobot.core.extent import START, Position
from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.formats import modules
from nanobot.reading.kinds import Kind, extension, kind_of, likely_kind
from nanobot.reading.messages import ExtractedText, Extraction, ExtractionFailure, ExtractionRequest
from nanobot.reading.unread import why_unread
from nanobot.workers.pool import WorkerPool
from nanobot.workers.task import Outcome, Task, WorkerLimits

_log = logging.getLogger(__name__)
_JSON_BYTES_PER_CHARACTER = 6
"""The most that JSON takes for one character."""
_OVERHEAD_BYTES = 256 * 1024
_MAX_NAME_CHARS = 80
_CONTAINERS: dict[Kind, frozenset[str]] = {
    "pdf": frozenset({"pdf"}),
    "zip": frozenset({"docx", "xlsx", "pptx", "docm", "xlsm", "pptm", "odt", "ods", "odp", "epub", "xlsb"}),
    "compound": frozenset({"doc", "xls", "ppt", "msg"}),
}
"""The extensions of formats that begin with the bytes of one kind only."""
_ADVICE = {
    "image": "an image: send it as a part of type image_url",
    "audio": "a sound: send it as a part of type input_audio",
}
_UNREAD = frozenset({*_ADVICE, "binary"})


class DocumentReader:
    """Reads files with `workers`."""

    def __init__(self, workers: WorkerPool, bounds: DocumentBounds | None = None) -> None:
        self._workers = workers
        self._bounds = bounds or DocumentBounds()

    async def read(
        self,
        content: bytes,
        *,
        name: str = "",
        mime: str = "",
        charset: str | None = None,
        owner: str = "",
        start: Position = START,
        max_characters: int | None = None,
        most_pictures: int = 0,
        page_url: str = "",
    ) -> ExtractedText:
        """Return the text of a file from `start` on. Owners, such as sessions, take turns where many files
        are to be read.

        `name`, `mime` and `charset` are what a client declares; the bytes of the file take precedence.
        `max_characters` of text are returned at most, and `most_pictures` of the pictures in it, for a model
        that sees them. `page_url`: where a page of the web is from, see `ExtractionRequest`.

        Raises:
            UnsupportedFile: it is of a kind that is not read here, or the extra that reads it is not
                installed.
            EncryptedFile: a password protects it.
            UnreadableFile: it is broken, is not what its name says, has no text, or exceeds the bounds.
        """
        bounds = self._bounds
        shown = _shown(name)
        if len(content) > bounds.max_bytes:
            raise UnreadableFile(f"{shown} has {len(content)} bytes: at most {bounds.max_bytes} are read")
        kind = kind_of(content, name=name, mime=mime)
        _refuse_kind(kind, name, shown)
        if kind == "binary":
            raise UnsupportedFile(f"{shown} is {why_unread(content)}")
        bounds = msgspec.structs.replace(
            bounds,
            max_characters=bounds.max_characters if max_characters is None else max_characters,
            max_pictures=min(bounds.max_pictures, most_pictures),
        )
        request = ExtractionRequest(kind, bounds, charset, start, page_url)
        if kind == "text" and (text := await asyncio.to_thread(_plain_text, content, request)) is not None:
            return text
        outcome = await self._workers.run(_task(request, content), owner)
        extraction = _extraction(outcome, request)
        if isinstance(extraction, ExtractionFailure):
            raise _error(extraction, shown)
        return extraction


def _refuse_kind(kind: Kind, name: str, shown: str) -> None:
    """Refuse kinds that cannot be read, and files whose name says they are of another kind."""
    extension_ = extension(name)
    declared = next((each for each, names in _CONTAINERS.items() if extension_ in names), None)
    # Programs save other formats under the names of the old ones: HTML as XLS, RTF as DOC.
    if declared is not None and declared != kind and (declared != "compound" or kind in _UNREAD):
        # An encrypted document is kept in the other container.
        if declared == "zip" and kind == "compound":
            return
        raise UnreadableFile(f"{shown} cannot be read: it is broken, or not what its name says")
    if kind in _ADVICE:
        raise UnsupportedFile(f"{shown} is {_ADVICE[kind]}")


def _error(failure: ExtractionFailure, shown: str) -> InvalidRequest:
    if failure.reason == "encrypted":
        return EncryptedFile(f"{shown} is protected by a password: send it without one")
    if failure.reason == "missing":
        return UnsupportedFile(
            f"{shown} cannot be read: what reads such files is not installed on the server"
            f" ({install_hint('documents')})"
        )
    if failure.reason == "unsupported":
        return UnsupportedFile(f"{shown} is not read: {failure.why}")
    return UnreadableFile(f"{shown} cannot be read: {failure.why}")


def _task(request: ExtractionRequest, content: bytes) -> Task:
    bounds = request.bounds
    most = bounds.max_characters * _JSON_BYTES_PER_CHARACTER + _OVERHEAD_BYTES
    if bounds.max_pictures:
        most += bounds.max_picture_bytes * 3 // 2
    limits = WorkerLimits(bounds.wall_s, bounds.cpu_s, bounds.memory_bytes, most)
    # What a container has in it is known to the worker only; this is what it imports beforehand.
    likely = modules(likely_kind(request.kind, content))
    return Task("nanobot.reading.extraction", limits, msgspec.json.encode(request), content, likely)


def _extraction(outcome: Outcome, request: ExtractionRequest) -> Extraction:
    """Return what the worker wrote; if that is nothing usable, the failure that its end means."""
    bounds = request.bounds
    if outcome.ending == "done":
        try:
            return msgspec.json.decode(outcome.output, type=ExtractedText | ExtractionFailure)
        except msgspec.DecodeError:
            pass
    _log.info("a file of kind %s was not read: %s", request.kind, outcome.ending)
    if outcome.ending == "timeout":
        return ExtractionFailure("unreadable", f"it takes longer than {bounds.wall_s:g} s to read")
    if outcome.ending == "limit":
        why = f"it takes longer than {bounds.cpu_s} s of computing, or too much memory, to read"
        return ExtractionFailure("unreadable", why)
    return ExtractionFailure("unreadable", "it is broken, or not what it says it is")


def _plain_text(content: bytes, request: ExtractionRequest) -> ExtractedText | None:
    """Return the text, None where its encoding is to be found out."""
    # In this thread, by the first file that is plain text.
    from nanobot.reading.plain import decode_certain
    from nanobot.reading.text_buffer import TextBuffer

    text = decode_certain(content)
    if text is None:
        return None
    buffer = TextBuffer(request.bounds.max_characters, start=request.start, is_verbatim=True)
    buffer.write(text)
    buffer.end()
    return buffer.extracted()


def _shown(name: str) -> str:
    plain = "".join(character if character.isprintable() else " " for character in name).strip()
    return f"the file {plain[:_MAX_NAME_CHARS]!r}" if plain else "the file"
