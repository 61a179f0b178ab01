"""What the commands of a server that was killed have left in its data directory. Everything here blocks."""

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

from nanobot.stores.workspaces.removing import remove_tree
from nanobot.stores.workspaces.tree import FOLDER

if sys.platform != "win32":
    import fcntl

COMMANDS = "commands"
"""The directory of commands in a data directory: it belongs to the server that has the directory's lock."""
_PROBE, _SET_ASIDE = "probe-", "removed-"


def set_aside(data: Path) -> None:
    """Give what an earlier server's commands have left another name, under which `remove_leftovers` finds it.
    Only who has the lock of the data directory may do so, before it runs commands of its own.
    """
    commands = data / COMMANDS
    # A link is the operator's, and so is what it leads to.
    if commands.is_dir() and not commands.is_symlink():
        try:
            _rename(commands)
        except OSError:
            # Something is mounted there.
            remove_tree(commands)


def remove_leftovers(data: Path) -> bool:
    """Remove what was set aside, and the directories of probes that ended before they could; return whether
    they are gone. Those of a probe that still runs, of `nanobot doctor` for instance, stay.
    """
    is_gone = True
    for each in list(_found(data)):
        is_gone &= remove_tree(each)
    return is_gone


def _found(data: Path) -> Iterator[Path]:
    with os.scandir(data) as entries:
        folders = [Path(each.path) for each in entries if each.is_dir(follow_symlinks=False)]
    for folder in folders:
        if folder.name.startswith(_SET_ASIDE):
            yield folder
        elif folder.name.startswith(_PROBE):
            with contextlib.suppress(OSError):
                yield _taken(folder)


def _taken(folder: Path) -> Path:
    """Give the directory of a probe that has ended another name; return that.

    Raises:
        OSError: the probe runs, and so holds its directory locked.
    """
    opened = os.open(folder, FOLDER)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _rename(folder)
    finally:
        os.close(opened)


def _rename(folder: Path) -> Path:
    return folder.rename(folder.with_name(f"{_SET_ASIDE}{secrets.token_hex(8)}"))
