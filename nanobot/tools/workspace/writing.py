"""The tools that write a file, and change one in part."""

from typing import Annotated

import msgspec

from nanobot.core.errors import InvalidRequest, NoSuchFile, ToolError, WorkspaceError
from nanobot.core.tool import Tool, ToolContext, ToolOutput
from nanobot.core.workspace import Change, Read
from nanobot.tools.workspace.files import AgentFiles, link_note, refuse_untraced
from nanobot.tools.workspace.matching import find_lines, find_within, nearest
from nanobot.tools.workspace.text import EditableText, size_of

WRITE_FILE, EDIT_FILE = "write_file", "edit_file"
_TIMEOUT_S = 60.0
_MOST_PLACES_NAMED = 8
_LINES_SHOWN = 12
_LINE_CHARS = 200


class WriteFileArguments(msgspec.Struct, frozen=True):
    path: str
    content: str


class EditFileArguments(msgspec.Struct, frozen=True):
    path: str
    old: Annotated[str, msgspec.Meta(description="found once, or all")]
    new: str
    all: bool = False


def write_file(files: AgentFiles) -> Tool:
    """Return the tool that writes a whole file."""

    async def run(arguments: WriteFileArguments, context: ToolContext) -> ToolOutput:
        content = arguments.content.encode("utf-8", "replace")
        was_there = False

        def plan(read: Read) -> tuple[Change, ...]:
            nonlocal was_there
            try:
                read(arguments.path)
                was_there = True
            except WorkspaceError:
                # What is wrong with the path, the change will find.
                pass
            return (Change(arguments.path, content),)

        try:
            refuse_untraced(context)
            (written,) = await files.change(context.session_key, plan)
        except InvalidRequest as error:
            raise ToolError(error.message) from error
        verb = "Replaced" if was_there else "Wrote"
        return ToolOutput(
            f"{verb} {written.path} ({size_of(content)}). {link_note(written.path)}", files=(written.path,)
        )

    return Tool(
        WRITE_FILE,
        "Write a whole file.",
        WriteFileArguments,
        run,
        timeout_s=_TIMEOUT_S,
        concurrent=False,
        demanding=True,
        # It says what was written, and nothing of what was there.
        brings=None,
        group="files",
        of_session=True,
    )


def edit_file(files: AgentFiles) -> Tool:
    """Return the tool that replaces a piece of a text file."""

    async def run(arguments: EditFileArguments, context: ToolContext) -> ToolOutput:
        note = ""

        def plan(read: Read) -> tuple[Change, ...]:
            nonlocal note
            file = EditableText.of(read(arguments.path), arguments.path)
            text, note = edited(file.text, arguments)
            return (Change(arguments.path, file.encoded(text)),)

        try:
            refuse_untraced(context)
            (written,) = await files.change(context.session_key, plan)
        except NoSuchFile as error:
            raise ToolError(f"{error.message}: make it with {WRITE_FILE}") from error
        except InvalidRequest as error:
            raise ToolError(error.message) from error
        return ToolOutput(f"Changed {written.path}: {note}", files=(written.path,))

    return Tool(
        EDIT_FILE,
        "Replace text in a file.",
        EditFileArguments,
        run,
        timeout_s=_TIMEOUT_S,
        concurrent=False,
        demanding=True,
        # Where the text is not found, it shows what is there.
        brings="file",
        group="files",
        of_session=True,
    )


def edited(text: str, arguments: EditFileArguments) -> tuple[str, str]:
    """Return the text with the piece replaced, and which lines that were: where `old` stands exactly, else
    where it does but for white space and the shape of quotes.

    Raises:
        WorkspaceError: it stands nowhere, or in several places.
    """
    old, new = arguments.old.replace("\r\n", "\n"), arguments.new.replace("\r\n", "\n")
    if not old.strip():
        raise WorkspaceError(f"old is empty: give the text to replace, or write the file with {WRITE_FILE}")
    if old == new:
        raise WorkspaceError("old and new are the same: nothing to change")
    places = _exact(text, old)
    how = ""
    if not places:
        places, new = _tolerant(text, old, new)
        how = " (white space or quotes differed)"
    if not places:
        raise WorkspaceError(_not_found(text, old))
    lines = [text.count("\n", 0, start) + 1 for start, _ in places[:_MOST_PLACES_NAMED]]
    named = ", ".join(f"{line:,}" for line in lines) + (" …" if len(places) > len(lines) else "")
    if len(places) > 1 and not arguments.all:
        raise WorkspaceError(
            f"old stands in {len(places)} places (lines {named}): give more of the text around the one that"
            " is meant, or set all to true"
        )
    pieces, end = [], 0
    for start, stop in places:
        pieces += [text[end:start], new]
        end = stop
    return "".join((*pieces, text[end:])), f"line{'s' if len(places) > 1 else ''} {named}{how}."


def _exact(text: str, old: str) -> list[tuple[int, int]]:
    places, at = [], text.find(old)
    while at >= 0:
        places.append((at, at + len(old)))
        at = text.find(old, at + len(old))
    return places


def _tolerant(text: str, old: str, new: str) -> tuple[list[tuple[int, int]], str]:
    """Return where `old` stands but for white space and quotes, and what is to stand there: whole lines are
    indented as those that they replace.
    """
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    wanted = old.strip("\n").split("\n")
    found = find_lines(lines, wanted)
    if found:
        places, end = [], -1
        for at in found:
            if at >= end:
                end = at + len(wanted)
                places.append((starts[at], starts[end] - 1))
        return places, _indented(new.strip("\n"), wanted[0], lines[found[0]])
    if len(wanted) > 1:
        return [], new
    return [
        (starts[number] + start, starts[number] + end)
        for number, line in enumerate(lines)
        for start, end in find_within(line, wanted[0])
    ], new.strip()


def _indented(new: str, as_written: str, as_it_stands: str) -> str:
    """Return `new` indented by as much more as the text stands deeper than the model wrote it."""
    written, stands = (line[: len(line) - len(line.lstrip())] for line in (as_written, as_it_stands))
    if written == stands:
        return new
    return "\n".join(
        stands + line.removeprefix(written) if line.strip() and line.startswith(written) else line
        for line in new.split("\n")
    )


def _not_found(text: str, old: str) -> str:
    lines, wanted = text.split("\n"), old.strip("\n").split("\n")
    at = nearest(lines, wanted)
    if at is None:
        return "old stands nowhere in the file, and nothing like it: read the file first"
    shown = lines[at : at + min(len(wanted), _LINES_SHOWN)]
    quoted = "\n".join(line if len(line) <= _LINE_CHARS else f"{line[:_LINE_CHARS]}…" for line in shown)
    return f"old stands nowhere in the file. Nearest to it, from line {at + 1:,} on:\n{quoted}"
