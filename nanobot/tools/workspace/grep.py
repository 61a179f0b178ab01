"""The tool that searches in files."""

import asyncio

import msgspec

from nanobot.core.errors import InvalidRequest, NoSuchFile, ToolError
from nanobot.core.late_pattern import LatePattern
from nanobot.core.tool import Tool, ToolContext
from nanobot.core.workspace import Contents, Entry
from nanobot.tools.workspace.files import AgentFiles
from nanobot.tools.workspace.lines import Found, LineSearch, SearchedFile, search
from nanobot.workers.pool import WorkerPool
from nanobot.workers.task import Task, WorkerLimits

GREP = "grep"
_MOST_FILES = 5_000
_MOST_FILE_BYTES = 4 * 1024 * 1024
_MOST_BYTES = 32 * 1024 * 1024
_MOST_LINES = 200
_MOST_PATTERN_CHARS = 1_000
_BINARY_HEAD = 8_192
_BYTES_PER_TOKEN = 4
_NOTE_BYTES = 200
_WALL_S = 10.0
_LIMITS = WorkerLimits(_WALL_S, 8, 512 * 1024 * 1024, 512 * 1024)
_SPECIAL = LatePattern(r"[.^$*+?{}\[\]\\|()]")


class GrepArguments(msgspec.Struct, frozen=True):
    pattern: str
    path: str = ""


def grep(files: AgentFiles, workers: WorkerPool) -> Tool:
    """Return the tool that shows the lines of files that have a regular expression in them."""

    async def run(arguments: GrepArguments, context: ToolContext) -> str:
        if not 0 < len(arguments.pattern) <= _MOST_PATTERN_CHARS:
            raise ToolError(
                f"pattern of {len(arguments.pattern)} characters: 1 to {_MOST_PATTERN_CHARS} are allowed"
            )
        try:
            contents = await _contents(files, context.session_key, arguments.path)
        except InvalidRequest as error:
            raise ToolError(error.message) from error
        found = await _search(workers, arguments.pattern, contents, context.session_key)
        if found.refused is not None:
            raise ToolError(f"{arguments.pattern!r} is no regular expression: {found.refused}")
        return _shown(found, contents, context)

    return Tool(
        GREP,
        "Search text files by regex.",
        GrepArguments,
        run,
        timeout_s=90.0,
        repeatable=True,
        demanding=True,
        brings="file",
        group="files",
        of_session=True,
    )


async def _contents(files: AgentFiles, session_key: str, path: str) -> Contents:
    """Return the text files at or below the path."""
    try:
        found = await files.contents(
            session_key,
            path,
            max_files=_MOST_FILES,
            max_file_bytes=_MOST_FILE_BYTES,
            max_bytes=_MOST_BYTES,
        )
    except NoSuchFile:
        found = Contents((await files.read(session_key, path),))
    return msgspec.structs.replace(found, files=tuple(each for each in found.files if _is_text(*each)))


def _is_text(entry: Entry, content: bytes) -> bool:
    return b"\0" not in content[:_BINARY_HEAD]


async def _search(workers: WorkerPool, pattern: str, contents: Contents, owner: str) -> Found:
    """Return the lines that fit.

    Raises:
        ToolError: it takes too long.
    """
    listed = tuple(SearchedFile(entry.path, len(content)) for entry, content in contents.files)
    joined = await asyncio.to_thread(b"".join, [content for _, content in contents.files])
    wanted = LineSearch(pattern, listed, _MOST_LINES)
    if not _SPECIAL.search(pattern):
        # Plain text is found in a time that only depends on how much there is.
        return await asyncio.to_thread(search, wanted, joined)
    task = Task("nanobot.tools.workspace.lines", _LIMITS, msgspec.json.encode(wanted), joined)
    outcome = await workers.run(task, owner)
    if outcome.ending == "done":
        return msgspec.json.decode(outcome.output, type=Found)
    raise ToolError(
        f"the search took longer than {_WALL_S:g} s, or too much memory: use a simpler expression, or name a"
        " folder"
    )


def _shown(found: Found, contents: Contents, context: ToolContext) -> str:
    missing = (
        "" if contents.is_whole else "\n(Some files were not searched: too many, too large or not readable.)"
    )
    if not found.lines:
        return f"No line in {len(contents.files):,} text files fits.{missing}"
    room = context.result_tokens * _BYTES_PER_TOKEN - _NOTE_BYTES
    shown: list[str] = []
    for line in found.lines:
        text = f"{line.path}:{line.number}: {line.text}"
        room -= len(text.encode()) + 1
        if room < 0:
            break
        shown.append(text)
    has_more = found.has_more or len(shown) < len(found.lines)
    more = "\n(More lines fit: use a narrower expression, or name a folder.)" if has_more else ""
    return "\n".join(shown) + more + missing
