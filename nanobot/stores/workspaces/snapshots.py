"""What files a workspace has, so that one sees later which have changed. Everything here blocks: call it in a
thread.
"""

import os
import stat
from pathlib import Path

from nanobot.core.workspace import SHARED, UPLOADS, Snapshot
from nanobot.stores.workspaces.paths import folded, why_refused
from nanobot.stores.workspaces.tree import FOLDER, names_in

_MOST_ENTRIES = 5_000
_DEEPEST = 32
# What programs keep for themselves, in numbers.
_PASSED_OVER = frozenset((UPLOADS, SHARED, "node_modules", "__pycache__", "site-packages"))


def snapshot(top: Path) -> Snapshot | None:
    """Return the files below `top`, but for those in folders that programs keep for themselves: hidden ones,
    caches, installed packages. None where there are too many to look at, or they cannot be looked at.
    """
    found: Snapshot = {}
    try:
        opened = os.open(top, FOLDER)
        try:
            _look(opened, "", found, _DEEPEST, _MOST_ENTRIES)
        finally:
            os.close(opened)
    except (OSError, _TooMany):
        return None
    return found


class _TooMany(Exception):
    """There are more entries than are looked at."""


def _look(folder: int, above: str, found: Snapshot, depth: int, left: int) -> int:
    """Add the files of an open folder, and of those in it; return how many entries may still be looked at."""
    names, is_whole = names_in(folder)
    left -= len(names)
    if not is_whole or left < 0 or not depth:
        raise _TooMany
    for name in names:
        if name.startswith(".") or folded(name) in _PASSED_OVER or why_refused(name) is not None:
            continue
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                if status.st_nlink == 1:
                    found[above + name] = (status.st_ino, status.st_mtime_ns, status.st_size)
                continue
            if not stat.S_ISDIR(status.st_mode):
                continue
            below = os.open(name, FOLDER, dir_fd=folder)
        except OSError:
            # It has gone meanwhile, or is closed to the server.
            continue
        try:
            left = _look(below, f"{above}{name}/", found, depth - 1, left)
        finally:
            os.close(below)
    return left
