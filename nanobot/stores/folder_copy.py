"""Copying a folder of the data directory while a server, and commands of the agent, write to it.

What goes away meanwhile is left out: it is no loss. Links are copied as links and never followed, also where
one takes the place of a folder that is being read. Everything here blocks.
"""

import contextlib
import os
import shutil
import stat
from pathlib import Path

from nanobot.stores.workspaces.removing import remove_tree
from nanobot.stores.workspaces.tree import FOLDER, NO_FOLLOW

# What was a file may be a pipe by now: opening it must not wait.
_FILE = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | NO_FOLLOW
_DEPTH = 100


def copy_folder(source: Path, target: Path) -> list[str]:
    """Copy a folder to `target`, which must not exist, with modes and times, and with owners where this user
    may give them; return a line for each that could not be read. `source` itself may be a link, to another
    disk.

    Raises:
        OSError: something cannot be written.
    """
    left_out: list[str] = []
    with contextlib.suppress(FileNotFoundError):
        if os.open not in os.supports_dir_fd:
            # Windows: no commands run there, so that nobody else writes links.
            target.mkdir(mode=0o700)
            for path in source.iterdir():
                copy = copy_folder if path.is_dir() else copy_file
                with contextlib.suppress(FileNotFoundError):
                    copy(path, target / path.name)
            return left_out
        opened = os.open(source, FOLDER & ~getattr(os, "O_NOFOLLOW", 0))
        try:
            _copy_opened(opened, source, target, left_out, _DEPTH)
        finally:
            os.close(opened)
    return left_out


def remove_copy(target: Path) -> None:
    """Remove what there is of a copy, whatever modes its folders have."""
    if os.open in os.supports_dir_fd:
        remove_tree(target)
    else:
        shutil.rmtree(target, ignore_errors=True)


def copy_file(source: Path, target: Path) -> None:
    """Copy a single file with its mode, times and owner.

    Raises:
        OSError
    """
    opened = os.open(source, _FILE)
    try:
        _copy_content(opened, target)
    finally:
        os.close(opened)


def _copy_opened(folder: int, source: Path, target: Path, left_out: list[str], depth: int) -> None:
    target.mkdir(mode=0o700)
    for name in os.listdir(folder):
        try:
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                link = os.readlink(name, dir_fd=folder)
            elif stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                opened = os.open(name, FOLDER if stat.S_ISDIR(mode) else _FILE, dir_fd=folder)
            else:
                continue
        except FileNotFoundError:
            continue
        except OSError as error:
            left_out.append(f"{source / name}: {error.strerror}")
            continue
        if stat.S_ISLNK(mode):
            (target / name).symlink_to(link)
            continue
        try:
            if stat.S_ISREG(mode):
                _copy_content(opened, target / name)
            elif depth == 0:
                left_out.append(f"{source / name}: nested too deeply")
            else:
                _copy_opened(opened, source / name, target / name, left_out, depth - 1)
        finally:
            os.close(opened)
    _copy_state(os.fstat(folder), target)


def _copy_content(opened: int, target: Path) -> None:
    found = os.fstat(opened)
    if not stat.S_ISREG(found.st_mode):
        return
    created = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(created, "wb") as copy, os.fdopen(os.dup(opened), "rb") as content:
        shutil.copyfileobj(content, copy, 1024 * 1024)
    _copy_state(found, target)


def give_owner(found: os.stat_result, target: Path) -> None:
    """Let `target` belong to whom `found` belongs to, where this user may do so."""
    if hasattr(os, "chown"):
        with contextlib.suppress(PermissionError):
            os.chown(target, found.st_uid, found.st_gid)


def _copy_state(found: os.stat_result, target: Path) -> None:
    give_owner(found, target)
    target.chmod(stat.S_IMODE(found.st_mode))
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
