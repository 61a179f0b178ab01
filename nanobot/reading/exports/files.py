"""Finds out which program an export is of, and reads its files."""

import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from nanobot.core.errors import InvalidRequest
from nanobot.reading.exports import chatgpt, markdown, mem0, nanobot, own_facts
from nanobot.reading.exports.found import ExportContent, Program

_DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, NotImplementedError, RuntimeError,
)  # fmt: skip
MOST_BYTES = 1 << 30
"""Larger files are not read: an export of ten years is a tenth of it."""
_MOST_NOTES_BYTES = 4 << 20
_MOST_SESSIONS = 10_000
_CONVERSATIONS = re.compile(r"(?:.*/)?conversations(?:[-_]\d+)?\.json")
_NOTES = ("memory/MEMORY.md", "MEMORY.md", "USER.md")
_SUMMARIES = ("memory/HISTORY.md", "memory/history.jsonl", "HISTORY.md")
_LOGS = "logs of summaries (they repeat the conversations)"
_SETTINGS = "files that instruct the agent (put their text into `agent.instructions`)"
_INSTRUCTIONS = ("AGENTS.md", "SOUL.md", "TOOLS.md", "IDENTITY.md", "HEARTBEAT.md")


def read(path: Path, program: Program | None, now: float) -> ExportContent:
    """Return what an export has: a file or a folder. `program`: whose it is, None: find out.

    Raises:
        InvalidRequest: it cannot be read, or is not one.
    """
    try:
        if path.is_dir():
            return _folder(path, program, now)
        if zipfile.is_zipfile(path):
            return _archive(path, now)
        return _file(path, program, now)
    except OSError as error:
        raise InvalidRequest(
            f"cannot read {error.filename or path} ({error.strerror}); nothing was imported"
        ) from error


def _content(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    size = path.stat().st_size
    if size > most_bytes:
        raise InvalidRequest(
            f"{path} has {size} bytes: at most {most_bytes} are read; split it; nothing was imported"
        )
    return path.read_bytes()


def _archive(path: Path, now: float) -> ExportContent:
    """Read ChatGPT's zip; nothing but the conversations is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            return chatgpt.read(_members(path, archive), now)
    except _DAMAGED as error:
        raise InvalidRequest(f"{path} is a broken or encrypted archive; nothing was imported") from error


def _members(path: Path, archive: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    names = sorted(name for name in archive.namelist() if _CONVERSATIONS.fullmatch(name))
    if not names:
        raise InvalidRequest(
            f"{path} has no conversations.json: it is no export of ChatGPT; nothing was imported"
        )
    left_bytes = MOST_BYTES
    for name in names:
        # Not more than may be, whatever the archive says of its size.
        with archive.open(name) as member:
            content = member.read(left_bytes + 1)
        left_bytes -= len(content)
        if left_bytes < 0:
            raise InvalidRequest(
                f"{path}: its conversations have more than {MOST_BYTES} bytes; nothing was imported"
            )
        yield name, content


def _file(path: Path, program: Program | None, now: float) -> ExportContent:
    if path.suffix.lower() == ".md":
        return _notes(path)
    if path.suffix.lower() == ".jsonl":
        return nanobot.read_session(_content(path).splitlines(), path.stem, now)
    content = _content(path)
    if program in (None, "nanobot") and own_facts.is_one(content):
        return own_facts.read(content, str(path), now)
    if program == "chatgpt" or (program is None and b'"mapping"' in content):
        return chatgpt.read([(str(path), content)], now)
    if program == "nanobot":
        raise InvalidRequest(
            f"{path} is none of MEMORY.md, USER.md and sessions/*.jsonl: name one, or the workspace; nothing"
            " was imported"
        )
    return mem0.read(content, str(path), now)


def _notes(path: Path) -> ExportContent:
    text = _content(path, _MOST_NOTES_BYTES).decode("utf-8", "replace")
    return markdown.read(text, path.stat().st_mtime)


def _folder(path: Path, program: Program | None, now: float) -> ExportContent:
    if program in (None, "chatgpt"):
        files = sorted(each for each in path.iterdir() if _CONVERSATIONS.fullmatch(each.name))
        if files:
            return chatgpt.read(((str(file), _content(file)) for file in files), now)
    for folder in (path, path / "workspace"):
        if any((folder / name).is_file() for name in _NOTES) or (folder / "sessions").is_dir():
            return _workspace(folder, now)
    raise InvalidRequest(
        f"{path} has neither conversations.json nor MEMORY.md, USER.md or sessions/: it is no export that"
        " can be read; nothing was imported"
    )


def _workspace(folder: Path, now: float) -> ExportContent:
    found = ExportContent.nothing("nanobot")
    for name in _NOTES:
        if (folder / name).is_file():
            found.add(_notes(folder / name))
    for names, what in ((_SUMMARIES, _LOGS), (_INSTRUCTIONS, _SETTINGS)):
        if count := sum((folder / name).is_file() for name in names):
            found.left_out[what] += count
    sessions = sorted((folder / "sessions").glob("*.jsonl"))
    if len(sessions) > _MOST_SESSIONS:
        raise InvalidRequest(
            f"{folder / 'sessions'} has {len(sessions)} files: at most {_MOST_SESSIONS} are read; nothing was"
            " imported"
        )
    for file in sessions:
        found.add(nanobot.read_session(_content(file).splitlines(), file.stem, now))
    return found
