"""The contents of uploads: a file each, `files/<id>` in the data directory.

No name that a client chose is ever part of a path. Content is written before its row, so that a row always
has its content; content without a row is what a crash left, and goes with `sweep` at the next start.
"""

import contextlib
import errno
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from nanobot.core.errors import StoreError, UploadNotFound
from nanobot.core.late_pattern import LatePattern
from nanobot.stores.kept_folder import KeptFolder

FOLDER = "files"
_ID = LatePattern(r"file-[0-9a-z]{1,64}")


def _unwritten(folder: Path, error: OSError) -> StoreError:
    """Return the error for an upload that could not be written; that the disk is full may be told to all."""
    message = f"the upload cannot be written to {folder} ({error.strerror})"
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"{message}: check its permissions")
    return StoreError(
        f"{message}: free some space",
        public_message="the server's disk is full: nothing was stored; its owner has to free some space",
    )


def no_upload(file_id: str) -> UploadNotFound:
    """Return the error for an upload that does not exist for the caller."""
    return UploadNotFound(f"No such File object: {file_id[:80]}", param="id")


class BlobFolder:
    """The folder with the content of all uploads. Its methods block: call them in a thread."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / FOLDER
        self._kept = KeptFolder(self._folder)
        self.check = self._kept.check

    def write(self, file_id: str, content: bytes) -> None:
        """Write the content, whole and on disk when this returns.

        Raises:
            StoreError
        """
        path = self._path(file_id)
        partial = path.with_name(path.name + ".part")
        try:
            self._kept.make()
            partial.touch(mode=0o600, exist_ok=False)
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
            _sync(self._folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise _unwritten(self._folder, error) from error

    def read(self, file_id: str) -> bytes:
        """Return the content.

        Raises:
            UploadNotFound: there is none: the database is a copy that came without its files.
        """
        try:
            return self._path(file_id).read_bytes()
        except FileNotFoundError:
            raise no_upload(file_id) from None
        except OSError as error:
            raise StoreError(f"the upload {file_id} cannot be read ({error.strerror})") from error

    def read_piece(self, file_id: str, start: int, most: int) -> bytes:
        """Return up to so many bytes of the content from `start` on; none at its end.

        Raises:
            as `read`.
        """
        try:
            with self._path(file_id).open("rb") as file:
                file.seek(start)
                return file.read(most)
        except FileNotFoundError:
            raise no_upload(file_id) from None
        except OSError as error:
            raise StoreError(f"the upload {file_id} cannot be read ({error.strerror})") from error

    def delete(self, file_ids: Iterable[str]) -> None:
        """Delete the content of the uploads, as far as there is some; what cannot be deleted now is swept
        away at the next start.
        """
        for file_id in file_ids:
            with contextlib.suppress(OSError):
                self._path(file_id).unlink(missing_ok=True)

    def sweep(self, kept: Collection[str]) -> int:
        """Delete the content of every upload that is not in `kept`; return how many files went."""
        try:
            found = [path for path in self._folder.iterdir() if _ID.match(path.name)]
        except OSError:
            # no uploads yet
            return 0
        orphans = [path for path in found if path.name not in kept]
        for path in orphans:
            with contextlib.suppress(OSError):
                path.unlink()
        return len(orphans)

    def _path(self, file_id: str) -> Path:
        if not _ID.fullmatch(file_id):
            raise no_upload(file_id)
        return self._folder / file_id


def _sync(folder: Path) -> None:
    """Make sure that the folder's names are on disk too; Windows has no such call."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
