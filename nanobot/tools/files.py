"""The tool that reads files: those of the conversation, and those of the workspace where there is one."""

import asyncio
import base64
import re
from collections.abc import Sequence
from typing import Annotated, Protocol

import msgspec

from nanobot.core.cut_file import READ_FILE, cut_file, line_count, with_note
from nanobot.core.dispatch import History
from nanobot.core.errors import BadPath, InvalidRequest, NoSuchFile, ToolError, UploadNotFound, WorkspaceError
from nanobot.core.extent import START, Extent, Mark, Position, Unit, described, offset_of, wanted
from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import File, Image
from nanobot.core.tool import Tool, ToolContext, ToolOutput
from nanobot.core.uploads import Upload, UploadPage
from nanobot.core.workspace import Entry
from nanobot.reading.documents import DocumentReader
from nanobot.reading.kinds import image_type
from nanobot.tools.workspace.files import AgentFiles

_SEARCHED_TOKENS = 400_000
"""How far back in the conversation files are looked for."""
_SEARCHED_UPLOADS = 1_000
_MOST_LISTED = 20
_HEAD_BYTES = 32
_MOST_IMAGE_BYTES = 4 * 1024 * 1024
_BYTES_PER_TOKEN = 4
_PLACE = LatePattern(r"(page|sheet|slide|chapter|part|row|line|character)s?\W{0,3}(\d{1,9})", re.IGNORECASE)
_NUMBER = LatePattern(r"\D{0,3}(\d{1,9})\D{0,3}")
_TITLE = LatePattern(r"\s*sheet\W{1,3}(.{1,100}?)\W{0,3}(?:row\W{1,3}(\d{1,9}))?\W*", re.IGNORECASE)


class ReadFileArguments(msgspec.Struct, frozen=True):
    file: Annotated[str | None, msgspec.Meta(description="path or name; omit for the newest")] = None
    start: Annotated[str | None, msgspec.Meta(description="page 41, sheet 2 row 812, slide 7, line 1200")] = (
        msgspec.field(name="from", default=None)
    )


class SessionFiles(Protocol):
    """Where the files of a session are."""

    async def history(self, session_key: str, budget_tokens: int) -> History: ...

    async def open_upload(self, file_id: str, session_key: str) -> tuple[Upload, bytes]: ...

    async def uploads(self, session_key: str, *, limit: int) -> UploadPage: ...


def read_file(files: SessionFiles, documents: DocumentReader, workspace: AgentFiles | None = None) -> Tool:
    """Return the tool that shows a file from a place on: one that came with a message, an upload of the
    session, or a file of its `workspace`. Images are shown to models that see them.
    """

    async def run(arguments: ReadFileArguments, context: ToolContext) -> str | ToolOutput:
        name = (arguments.file or "").strip()
        entry = await _of_workspace(workspace, name, context.session_key) if workspace and name else None
        if entry is not None:
            found, content = entry
            if image_type(content[:_HEAD_BYTES]):
                return await asyncio.to_thread(_image, found.path, content, context)
            file = File(found.path, "", found.path)
            start = _position(arguments.start or "", file)
            shown = await _from_content(documents, file, content, start, context)
        else:
            file = await _find(files, name, context.session_key)
            start = _position(arguments.start or "", file)
            shown = _from_text(file, start) or await _from_upload(files, documents, file, start, context)
        if not shown.text.strip():
            raise ToolError(
                f"{file.name} has nothing from {wanted(shown.extent.unit, start)} on{_size(shown)}"
            )
        cut = cut_file(shown, context.result_tokens)
        return f"({file.name}, from {described(cut.extent, start)})\n{with_note(cut, can_read_on=True).shown}"

    return Tool(
        READ_FILE,
        "Read a file.",
        ReadFileArguments,
        run,
        timeout_s=60.0,
        repeatable=True,
        reads_on=True,
        brings="file",
        demanding=workspace is not None,
        group="files",
    )


async def _of_workspace(workspace: AgentFiles, path: str, session_key: str) -> tuple[Entry, bytes] | None:
    """Return the file that the workspace has at this path; None where it has none: it may be the name of one
    that came with a message.

    Raises:
        ToolError: it is there, but cannot be read.
    """
    try:
        return await workspace.read(session_key, path)
    except (NoSuchFile, BadPath):
        return None
    except WorkspaceError as error:
        raise ToolError(error.message) from error


def _image(path: str, content: bytes, context: ToolContext) -> ToolOutput:
    """Return an image for the model to see.

    Raises:
        ToolError: it does not see any, or the image is too large.
    """
    media_type = image_type(content[:_HEAD_BYTES])
    if not context.sees_images:
        raise ToolError(f"{path} is an image ({media_type}, {len(content):,} bytes), and you see none")
    if len(content) > _MOST_IMAGE_BYTES:
        raise ToolError(
            f"{path} has {len(content):,} bytes: images of at most {_MOST_IMAGE_BYTES:,} are shown"
        )
    url = f"data:{media_type};base64,{base64.b64encode(content).decode()}"
    return ToolOutput(f"({path}: the image follows)", (Image(url),))


# Which file ---------------------------------------------------------------------------------------


async def _find(files: SessionFiles, name: str, session_key: str) -> File:
    """Return the file of that name or id, the newest one where several have it.

    Raises:
        ToolError: there is none.
    """
    history = await files.history(session_key, _SEARCHED_TOKENS)
    known = [
        part for message in reversed(history.messages) for part in message.parts if isinstance(part, File)
    ]
    uploads = (await files.uploads(session_key, limit=_SEARCHED_UPLOADS)).uploads
    known += [File(upload.name, "", upload.id) for upload in uploads]
    if not name and known:
        return next((file for file in known if file.extent.cut is not None), known[0])
    for is_meant in (_is_same, _is_alike):
        for file in known:
            if is_meant(file, name.strip()):
                return file
    raise ToolError(f"there is no file {name!r} in this conversation; its files are: {_listed(known)}")


def _is_same(file: File, name: str) -> bool:
    return name in (file.name, file.file_id)


def _is_alike(file: File, name: str) -> bool:
    return (
        file.name.casefold().rpartition(".")[0] == name.casefold() or file.name.casefold() == name.casefold()
    )


def _listed(files: Sequence[File]) -> str:
    names = list(dict.fromkeys(file.name for file in files))
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(map(repr, names[:_MOST_LISTED])) + more if names else "none"


# From where ---------------------------------------------------------------------------------------


def _position(text: str, file: File) -> Position:
    """Return the position that the model wrote.

    Raises:
        ToolError: it is none.
    """
    unit = file.extent.unit
    if not text.strip():
        return START
    named = {unit_.lower(): max(1, int(number)) for unit_, number in _PLACE.findall(text)}
    if not named and (number := _NUMBER.fullmatch(text)):
        named = {unit: max(1, int(number[1]))}
    if not named.keys() - {"row"} and (title := _TITLE.fullmatch(text)):
        titles = {known.casefold(): number for number, known in file.extent.titles.items()}
        if title[1].casefold() in titles:
            return Position(titles[title[1].casefold()], int(title[2] or 1))
    # What an upload that was never read is counted in is not known yet.
    is_unread = not file.text and file.file_id is not None
    numbers = [number for name, number in named.items() if name not in ("row", "line", "character")]
    strange = next((name for name in named if name not in (unit, "row", "line", "character")), None)
    if not named or (strange is not None and not is_unread):
        raise ToolError(f"{text!r} is no place in {file.name}: say {_EXAMPLES.get(unit, _EXAMPLES['line'])}")
    line = named.get("row", named.get("line", 1))
    return Position(numbers[0] if numbers else 1, line, named.get("character", 1))


_EXAMPLES: dict[Unit, str] = {
    "page": "'page 3', or 'page 3 line 20'",
    "sheet": "'sheet 2', or 'sheet 2 row 800'",
    "slide": "'slide 3'",
    "chapter": "'chapter 3', or 'chapter 3 line 20'",
    "line": "'line 120'",
}


# What is shown ------------------------------------------------------------------------------------


def _from_text(file: File, start: Position) -> File | None:
    """Return the file from `start` on as far as it was read when it came; None where that is not among it."""
    offset = offset_of(file.extent, file.text, start) if file.text else None
    if offset is None:
        return None
    marks = [
        Mark(mark.offset - offset, mark.number, mark.line)
        for mark in file.extent.marks
        if mark.offset >= offset
    ]
    if not marks or marks[0].offset:
        marks.insert(0, Mark(0, start.number, start.line))
    totals = file.extent.totals
    if file.extent.unit == "line" and file.extent.cut is None:
        totals = {"line": line_count(file.text)}
    extent = msgspec.structs.replace(file.extent, marks=tuple(marks), totals=totals)
    return msgspec.structs.replace(file, text=file.text[offset:], extent=extent)


async def _from_upload(
    files: SessionFiles, documents: DocumentReader, file: File, start: Position, context: ToolContext
) -> File:
    """Return the file from `start` on, read anew.

    Raises:
        ToolError: it is not kept, or cannot be read.
    """
    if file.file_id is None:
        if file.extent.cut is None:
            raise ToolError(f"{file.name} has nothing from {wanted(file.extent.unit, start)} on{_size(file)}")
        raise ToolError(
            f"{file.name} is not kept: only what was read of it when it came can be shown, up to "
            f"{described(file.extent, file.extent.cut)}"
        )
    try:
        upload, content = await files.open_upload(file.file_id, context.session_key)
    except UploadNotFound:
        raise ToolError(f"{file.name} is not kept any more") from None
    return await _from_content(documents, file, content, start, context, name=upload.name)


async def _from_content(
    documents: DocumentReader,
    file: File,
    content: bytes,
    start: Position,
    context: ToolContext,
    *,
    name: str = "",
) -> File:
    """Return what is read of the content from `start` on. `name`: where that is not the file's.

    Raises:
        ToolError: it cannot be read.
    """
    try:
        read = await documents.read(
            content,
            name=name or file.name,
            owner=context.session_key,
            start=start,
            max_characters=context.result_tokens * _BYTES_PER_TOKEN,
        )
    except InvalidRequest as error:
        raise ToolError(error.message) from error
    return File(file.name, read.text, file.file_id, read.extent)


def _size(file: File) -> str:
    extent: Extent = file.extent
    total = extent.totals.get(extent.unit)
    if total is None and extent.unit == "line" and extent.cut is None:
        total = line_count(file.text)
    return f": it has {total:,} {extent.unit}{'s' if total != 1 else ''}" if total else ""
