"""Patches as models write them: the format between `*** Begin Patch` and `*** End Patch`, and unified diffs.

Line numbers in them are often wrong, so only the lines count.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from nanobot.core.errors import WorkspaceError
from nanobot.core.late_pattern import LatePattern
from nanobot.tools.workspace.matching import find_first, nearest

_SECTION = LatePattern(r"\*\*\* (Add|Update|Delete) File: (.+?)\s*")
_MOVE = LatePattern(r"\*\*\* Move to: (.+?)\s*")
_ENDS = ("*** End Patch", "*** End of File")
_HUNK = LatePattern(r"@@(?: -\d+(?:,\d+)? \+\d+(?:,\d+)? @@)? ?(.*)")
_MOST_CHARS = 1_000_000
_MOST_HUNKS = 500
_MOST_SEARCHED = 10_000_000
"""Lines of a file times changes to it: what is looked at to find out where they belong."""
_LINE_CHARS = 200


class Hunk(msgspec.Struct, frozen=True):
    """Lines that are to be replaced by others. `context`: a line above them that says where to look."""

    old: tuple[str, ...]
    new: tuple[str, ...]
    context: str = ""


class FilePatch(msgspec.Struct, frozen=True):
    """What happens to one file; `moved_to`: what it is called afterwards."""

    action: Literal["add", "update", "delete"]
    path: str
    hunks: tuple[Hunk, ...] = ()
    moved_to: str | None = None


def parse_patch(patch: str) -> tuple[FilePatch, ...]:
    """Return what the patch changes, file by file.

    Raises:
        WorkspaceError: it is none.
    """
    if len(patch) > _MOST_CHARS:
        raise WorkspaceError(f"patch of {len(patch)} characters: at most {_MOST_CHARS} are allowed")
    lines = patch.replace("\r\n", "\n").split("\n")
    files = _sections(lines) if any(_SECTION.fullmatch(line) for line in lines) else _unified(lines)
    if not files:
        raise WorkspaceError(
            "this is no patch: write '*** Begin Patch', then for each file '*** Update File: PATH' (or Add,"
            " Delete) with its lines behind '@@', each with ' ', '-' or '+' before it, then '*** End Patch'"
        )
    # Each of them is looked for in a file that may be large.
    named = Counter(file.path for file in files)
    if twice := next((path for path, count in named.items() if count > 1), None):
        raise WorkspaceError(f"{twice!r} is changed twice: give each file one change, with all its hunks")
    changes = sum(max(1, len(file.hunks)) for file in files)
    if changes > _MOST_HUNKS:
        raise WorkspaceError(
            f"patch with {changes} changes: at most {_MOST_HUNKS} are allowed in one, make several of it"
        )
    return files


def _sections(lines: Sequence[str]) -> tuple[FilePatch, ...]:
    files: list[FilePatch] = []
    action, path, moved_to, body = "", "", None, list[str]()

    def end() -> None:
        if action:
            files.append(_file(action, path, moved_to, body))

    for line in lines:
        if section := _SECTION.fullmatch(line):
            end()
            action, path, moved_to, body = section[1].lower(), section[2], None, []
        elif (move := _MOVE.fullmatch(line)) and not body:
            moved_to = move[1]
        elif line.rstrip() not in _ENDS and action:
            body.append(line)
    end()
    return tuple(files)


def _file(action: str, path: str, moved_to: str | None, body: list[str]) -> FilePatch:
    if action == "delete":
        return FilePatch("delete", path)
    if action == "add":
        added = [line[1:] for line in body if line.startswith("+")]
        return FilePatch("add", path, (Hunk((), tuple(added)),))
    return FilePatch("update", path, tuple(_hunks(body)), moved_to)


def _unified(lines: Sequence[str]) -> tuple[FilePatch, ...]:
    files: list[FilePatch] = []
    at = 0
    while at < len(lines):
        is_head = lines[at].startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ ")
        if not is_head:
            at += 1
            continue
        old, new = _named(lines[at]), _named(lines[at + 1])
        at += 2
        body = []
        while at < len(lines) and not _is_next_file(lines, at):
            body.append(lines[at])
            at += 1
        if new is None and old is not None:
            files.append(FilePatch("delete", old))
        elif old is None and new is not None:
            added = tuple(line[1:] for line in body if line.startswith("+"))
            files.append(FilePatch("add", new, (Hunk((), added),)))
        elif old is not None and new is not None:
            files.append(FilePatch("update", old, tuple(_hunks(body)), new if new != old else None))
    return tuple(files)


def _is_next_file(lines: Sequence[str], at: int) -> bool:
    line = lines[at]
    if line.startswith(("diff --git ", "index ")):
        return True
    return line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ ")


def _named(line: str) -> str | None:
    """Return the path in the head of a unified diff, None for /dev/null."""
    path = line[4:].split("\t")[0].strip()
    if path == "/dev/null":
        return None
    return path[2:] if path.startswith(("a/", "b/")) else path


def _hunks(body: Iterable[str]) -> list[Hunk]:
    hunks: list[Hunk] = []
    old, new, context = list[str](), list[str](), ""

    def end() -> None:
        # An empty line at the end is that of the patch, not of the file.
        while old and new and not old[-1] and not new[-1] and (len(old) > 1 or len(new) > 1):
            old.pop()
            new.pop()
        if old != new:
            hunks.append(Hunk(tuple(old), tuple(new), context))

    for line in body:
        if head := _HUNK.fullmatch(line):
            end()
            old, new, context = [], [], head[1].strip()
        elif line.startswith("\\ No newline"):
            continue
        elif line.startswith("-"):
            old.append(line[1:])
        elif line.startswith("+"):
            new.append(line[1:])
        else:
            # Models leave the space out before empty lines, and before others.
            kept = line[1:] if line.startswith(" ") else line
            old.append(kept)
            new.append(kept)
    end()
    return hunks


def patched(text: str, patch: FilePatch) -> str:
    """Return the text of a file with the hunks applied, in order.

    Raises:
        WorkspaceError: one of them fits nowhere.
    """
    if not patch.hunks and patch.moved_to is None:
        raise WorkspaceError(f"the patch changes nothing in {patch.path!r}")
    lines = text.split("\n")
    if len(lines) * len(patch.hunks) > _MOST_SEARCHED:
        raise WorkspaceError(
            f"the patch makes {len(patch.hunks)} changes to {patch.path!r}, which has {len(lines):,} lines:"
            f" at most {_MOST_SEARCHED // len(lines)} fit in one patch of it, make several"
        )
    at = 0
    for number, hunk in enumerate(patch.hunks, 1):
        start = _start(lines, hunk, at)
        if not hunk.old:
            # Only new lines: below the context, else at the end.
            place = start if hunk.context and start > at else _end_of(lines)
        else:
            places = (find_first(lines, hunk.old, first) for first in dict.fromkeys((start, at, 0)))
            found = next((place for place in places if place is not None), None)
            if found is None:
                raise WorkspaceError(_misfit(lines, patch.path, number, hunk))
            place = found
        new = _kept_as_is(lines, place, hunk)
        lines[place : place + len(hunk.old)] = new
        at = place + len(new)
    return "\n".join(lines)


def _start(lines: Sequence[str], hunk: Hunk, at: int) -> int:
    if not hunk.context:
        return at
    places = (find_first(lines, [hunk.context], first) for first in dict.fromkeys((at, 0)))
    found = next((place for place in places if place is not None), None)
    return at if found is None else found + 1


def _end_of(lines: Sequence[str]) -> int:
    return len(lines) - 1 if lines and not lines[-1] else len(lines)


def _kept_as_is(lines: Sequence[str], place: int, hunk: Hunk) -> list[str]:
    """Return the new lines; those that only stand around the change as the file has them."""
    have = list(lines[place : place + len(hunk.old)])
    new = list(hunk.new)
    before = 0
    while before < min(len(hunk.old), len(new)) and hunk.old[before] == new[before]:
        new[before] = have[before]
        before += 1
    after = 1
    while after <= min(len(hunk.old), len(new)) - before and hunk.old[-after] == new[-after]:
        new[-after] = have[-after]
        after += 1
    return new


def _misfit(lines: Sequence[str], path: str, number: int, hunk: Hunk) -> str:
    at = nearest(lines, hunk.old)
    told = f"hunk {number} of {path!r} fits nowhere; nothing was changed"
    if at is None:
        return f"{told}. Nothing in the file is like it: read it first"
    shown = "\n".join(line[:_LINE_CHARS] for line in lines[at : at + len(hunk.old)][:12])
    return f"{told}. Nearest to it, from line {at + 1:,} on:\n{shown}"
