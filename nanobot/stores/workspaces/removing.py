"""Removing a directory tree that commands have written to. Everything here blocks."""

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from nanobot.stores.workspaces.tree import FOLDER, NO_FOLLOW

_PASSES = 5
"""A command that is being ended may write meanwhile."""


def remove_tree(path: Path) -> bool:
    """Remove a directory with all that is in it, however deep it is nested, whatever modes and names there
    are, and without following links; return whether it is gone. Where not, it can be tried again.
    """
    for _ in range(_PASSES):
        try:
            top = os.open(path, FOLDER)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        try:
            _empty(top)
        finally:
            os.close(top)
        with contextlib.suppress(OSError):
            path.rmdir()
    return not os.path.lexists(path)


def _empty(top: int) -> None:
    """Remove what is in an open directory. What is nested is moved to its top, where it is emptied in its
    turn: so no more than two are open at once.
    """
    names = itertools.count()
    waiting = _unlink_in(top)
    while waiting:
        name = waiting.pop()
        try:
            opened = _opened(top, name)
        except OSError:
            continue
        try:
            for nested in _unlink_in(opened):
                with contextlib.suppress(OSError):
                    waiting.append(_moved(opened, nested, top, names))
        finally:
            os.close(opened)
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=top)


def _moved(folder: int, name: str, top: int, names: Iterator[int]) -> str:
    """Move a directory to the top, under a name that nothing there has; return that."""
    _opened_to_us(folder, name)
    while True:
        moved = f".removed-{next(names)}"
        try:
            os.rename(name, moved, src_dir_fd=folder, dst_dir_fd=top)
        except OSError as error:
            # Something of that name is there, as a command may have known it.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        else:
            return moved


def _unlink_in(folder: int) -> list[str]:
    """Remove all but the directories in an open one, and those that are empty; return the rest."""
    rest: list[str] = []
    try:
        names = os.listdir(folder)
    except OSError:
        return rest
    for name in names:
        try:
            if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=folder)
                continue
            os.rmdir(name, dir_fd=folder)
        except FileNotFoundError:
            continue
        except OSError:
            rest.append(name)
    return rest


def _opened(folder: int, name: str) -> int:
    _opened_to_us(folder, name)
    return os.open(name, FOLDER, dir_fd=folder)


def _opened_to_us(folder: int, name: str) -> None:
    """Let the owner of a directory into it and change it: else what it holds cannot be removed or moved."""
    if not hasattr(os, "O_PATH") or os.geteuid() == 0:
        return
    held = os.open(name, os.O_PATH | os.O_DIRECTORY | NO_FOLLOW, dir_fd=folder)
    try:
        # By the handle: a name could be a link by now.
        Path(f"/proc/self/fd/{held}").chmod(0o700)
    finally:
        os.close(held)
