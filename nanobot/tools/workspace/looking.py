"""The tools that list files and find them by name."""

import asyncio
import fnmatch
import itertools
from datetime import UTC, datetime
from functools import cache

import msgspec

from nanobot.core.errors import InvalidRequest, ToolError
from nanobot.core.tool import Tool, ToolContext
from nanobot.core.workspace import Entry
from nanobot.tools.workspace.files import AgentFiles

LIST_FILES, FIND_FILES = "list_files", "find_files"
_MOST_SHOWN = 200
_SIGNS = frozenset("*?[")
_MOST_SEARCHED = 20_000
_DEEPEST = 32
_BYTES_PER_TOKEN = 4
_NOTE_BYTES = 100
_MOST_PATTERN_PARTS = 16
_MOST_PATTERN_CHARS = 256


class ListFilesArguments(msgspec.Struct, frozen=True):
    path: str = ""


class FindFilesArguments(msgspec.Struct, frozen=True):
    pattern: str


def list_files(files: AgentFiles) -> Tool:
    """Return the tool that shows what is in a folder."""

    async def run(arguments: ListFilesArguments, context: ToolContext) -> str:
        try:
            listing = await files.listing(context.session_key, arguments.path, depth=1, limit=_MOST_SHOWN + 1)
        except InvalidRequest as error:
            raise ToolError(error.message) from error
        if not listing.entries:
            return "There are no files here yet."
        return _shown(listing.entries, context, is_whole=listing.is_whole, advice="name a folder in it")

    return Tool(
        LIST_FILES,
        "List a folder.",
        ListFilesArguments,
        run,
        repeatable=True,
        demanding=True,
        brings="file",
        group="files",
        of_session=True,
    )


def find_files(files: AgentFiles) -> Tool:
    """Return the tool that finds files by a pattern of their path."""

    async def run(arguments: FindFilesArguments, context: ToolContext) -> str:
        pattern = tuple(part for part in arguments.pattern.split("/") if part not in ("", "."))
        if not 0 < len(pattern) <= _MOST_PATTERN_PARTS or len(arguments.pattern) > _MOST_PATTERN_CHARS:
            raise ToolError(f"{arguments.pattern[:80]!r} is no pattern of a path: say *.md, or docs/**/*.md")
        try:
            listing = await files.listing(
                context.session_key, _above(pattern), depth=_DEEPEST, limit=_MOST_SEARCHED
            )
        except InvalidRequest as error:
            raise ToolError(error.message) from error
        found = await asyncio.to_thread(_fitting, listing.entries, pattern)
        if not found:
            return "No file has such a path." + ("" if listing.is_whole else " (Not all were looked at.)")
        return _shown(found, context, is_whole=listing.is_whole, advice="narrow the pattern")

    return Tool(
        FIND_FILES,
        "Find files by glob, e.g. docs/**/*.md.",
        FindFilesArguments,
        run,
        repeatable=True,
        demanding=True,
        brings="file",
        group="files",
        of_session=True,
    )


def _fitting(entries: tuple[Entry, ...], pattern: tuple[str, ...]) -> tuple[Entry, ...]:
    return tuple(
        entry for entry in entries if entry.kind == "file" and matches(tuple(entry.path.split("/")), pattern)
    )


def _above(pattern: tuple[str, ...]) -> str:
    """Return the folder that all paths are in which fit the pattern, as far as it is named without signs."""
    plain = itertools.takewhile(lambda part: not _SIGNS.intersection(part), pattern[:-1])
    return "/".join(plain)


def matches(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Return whether the path fits a pattern with `*`, `?`, `[…]` in names and `**` for any folders. A
    pattern without a slash is one of names.
    """
    if len(pattern) == 1:
        return fnmatch.fnmatchcase(path[-1], pattern[0])

    @cache
    def rest(at: int, of: int) -> bool:
        if of == len(pattern):
            return at == len(path)
        if pattern[of] == "**":
            return rest(at, of + 1) or (at < len(path) and rest(at + 1, of))
        return at < len(path) and fnmatch.fnmatchcase(path[at], pattern[of]) and rest(at + 1, of + 1)

    return rest(0, 0)


def _shown(entries: tuple[Entry, ...], context: ToolContext, *, is_whole: bool, advice: str) -> str:
    room = context.result_tokens * _BYTES_PER_TOKEN - _NOTE_BYTES
    lines: list[str] = []
    for entry in entries[:_MOST_SHOWN]:
        line = _line(entry)
        room -= len(line.encode()) + 1
        if room < 0:
            break
        lines.append(line)
    if len(lines) < len(entries):
        is_whole = False
    return "\n".join(lines) + ("" if is_whole else f"\n(There is more that is not shown: {advice}.)")


def _line(entry: Entry) -> str:
    if entry.kind == "folder":
        return f"{entry.path}/"
    if entry.kind == "other":
        return f"{entry.path} (a link or the like: not opened)"
    changed = datetime.fromtimestamp(entry.modified_at, UTC).astimezone()
    return f"{entry.path}  {entry.size_bytes:,} bytes, {changed:%Y-%m-%d %H:%M}"
