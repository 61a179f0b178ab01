"""Copying the files of a workspace to another. Everything here blocks."""

import contextlib
import os
from pathlib import Path

from nanobot.core.errors import StoreError, WorkspaceError
from nanobot.stores.workspaces.commit import FILES, opened_below, reported
from nanobot.stores.workspaces.paths import Parts
from nanobot.stores.workspaces.tree import FOLDER, NO_FOLLOW, Tree

_MOST_COPIED = 100_000
_MOST_COPIED_BYTES = 100 * 1024 * 1024
_DEPTH = 64
_FOLDER_MODE = 0o755
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW


def copy_files(source: Path, target: Path) -> None:
    """Copy the files, with their modes, and folders of a workspace to one that has none and that nobody uses
    yet. What is neither, or cannot be read, stays behind, and so does a file of more than 100 MiB.

    Raises:
        StoreError
    """
    tree = Tree(lambda: opened_below(source, FILES), max_file_bytes=_MOST_COPIED_BYTES)
    try:
        listing = tree.listing((), depth=_DEPTH, limit=_MOST_COPIED)
    except WorkspaceError as error:
        raise StoreError(f"the workspace {source} cannot be copied: {error.message}") from error
    with reported(target):
        top = opened_below(target, FILES)
        try:
            for entry in listing.entries:
                parts = tuple(entry.path.split("/"))
                if entry.kind == "folder":
                    os.close(_made(top, parts))
                elif entry.kind == "file":
                    # It may have changed since it was listed.
                    with contextlib.suppress(WorkspaceError):
                        content, mode = tree.read_with_mode(parts)
                        _write(top, parts, content, mode)
        finally:
            os.close(top)


def _made(top: int, parts: Parts) -> int:
    """Open a folder, which is made if it is not there."""
    opened = os.dup(top)
    try:
        for part in parts:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, _FOLDER_MODE, dir_fd=opened)
            below = os.open(part, FOLDER, dir_fd=opened)
            os.close(opened)
            opened = below
    except BaseException:
        os.close(opened)
        raise
    return opened


def _write(top: int, parts: Parts, content: bytes, mode: int) -> None:
    folder = _made(top, parts[:-1])
    try:
        opened = os.open(parts[-1], _WRITE, 0o600, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(opened, rest) :]
        os.fchmod(opened, mode & 0o777 | 0o600)
        os.fsync(opened)
    finally:
        os.close(opened)
