"""A folder of contents beside the database: whether it is still the one that was used, and can be."""

import os
from pathlib import Path

from nanobot.core.errors import StoreError


class KeptFolder:
    """The folder at `path`, which is made when something is first put into it.

    A server would not notice that it is gone: it makes another, and what was in it is not found any more.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = self._found()
        self._is_lost = False

    def make(self) -> None:
        """Make the folder where there is none.

        Raises:
            OSError
        """
        try:
            self._path.mkdir(mode=0o700)
        except FileExistsError:
            if not self._path.is_dir():
                raise
            return
        # Disks give a new folder the number of one that was just deleted.
        self._is_lost = self._is_lost or self._identity is not None
        self._identity = self._found()

    def check(self) -> None:
        """Return where the folder is in its place, or there has been none, and files can be put into it.

        Raises:
            StoreError: it was deleted or replaced since it was first seen, is no folder, or cannot be used.
        """
        found = self._found()
        if self._identity is None:
            self._identity = found
        if self._is_lost or found != self._identity:
            raise StoreError(
                f"{self._path} was deleted or replaced while the server runs: stop the server, put the folder"
                " back, start it again"
            )
        if not os.path.lexists(self._path):
            return
        if not self._path.is_dir():
            raise StoreError(f"{self._path} is no folder: move it away, or put the folder back")
        if not os.access(self._path, os.R_OK | os.W_OK | os.X_OK):
            raise StoreError(
                f"{self._path} cannot be written to: check its permissions, and whether its disk is mounted"
                " read-only"
            )

    def _found(self) -> tuple[int, int] | None:
        """Return what tells the folder from another of its name; None where there is none."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino
