"""Copies of what was uploaded to a session, where its commands can read them."""

import asyncio
import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from nanobot.core.errors import ToolError, UploadNotFound
from nanobot.core.uploads import Upload
from nanobot.core.workspace import UPLOADS
from nanobot.tools.workspace.files import MOST_UPLOADS, SessionUploads, with_paths

_SAME_MOMENT_S = 0.001
_MODE = 0o644


class UploadCopies:
    """Keeps a folder as the uploads of a session are, each under the path that the tools for files have it,
    below `uploads/`. `is_kept`: what it is for goes on while uploads come and go, so that it is shown even
    where there is none yet.
    """

    def __init__(self, uploads: SessionUploads, session_key: str, *, is_kept: bool = False) -> None:
        self._uploads = uploads
        self._session_key = session_key
        self._is_kept = is_kept
        self._folder: Path | None = None

    async def __call__(self, folder: Path) -> bool:
        """Fill the folder; return whether commands are to be shown it.

        Raises:
            ToolError: it cannot be written.
        """
        self._folder = folder
        page = await self._uploads.uploads(self._session_key, limit=MOST_UPLOADS)
        wanted = await asyncio.to_thread(_by_path, page.uploads)
        try:
            for path, upload in (await asyncio.to_thread(_tidied, folder, wanted)).items():
                with contextlib.suppress(UploadNotFound):
                    content = (await self._uploads.open_upload(upload.id, self._session_key))[1]
                    await asyncio.to_thread(_put, folder, path, content, upload.created_at)
        except OSError as error:
            raise ToolError(f"uploads cannot be copied for commands: {error.strerror}") from error
        return self._is_kept or bool(wanted)

    async def renew(self) -> None:
        """Fill the folder that was filled last once more."""
        if self._folder is not None:
            await self(self._folder)


def _by_path(uploads: Sequence[Upload]) -> dict[str, Upload]:
    """Return the uploads by their paths in the folder; those whose name no file can have are left out."""
    named = ((path.removeprefix(f"{UPLOADS}/"), upload) for path, upload in with_paths(uploads))
    return {path: upload for path, upload in named if _can_be(path.rpartition("/")[2])}


def _can_be(name: str) -> bool:
    return name not in ("", ".", "..") and "\0" not in name and len(os.fsencode(name)) <= 255


def _tidied(folder: Path, wanted: Mapping[str, Upload]) -> dict[str, Upload]:
    """Remove from the folder what is not wanted there; return what is wanted and not there."""
    above = {path.partition("/")[0] for path in wanted if "/" in path}
    for entry in list(folder.iterdir()):
        if entry.name in above and entry.is_dir() and not entry.is_symlink():
            for each in list(entry.iterdir()):
                if f"{entry.name}/{each.name}" not in wanted:
                    _remove(each)
        elif entry.name not in wanted:
            _remove(entry)
    return {path: upload for path, upload in wanted.items() if not _is_copy(folder / path, upload)}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_copy(path: Path, upload: Upload) -> bool:
    """Return whether the file is a copy of the upload, by what `_put` gave it: uploads never change."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return (
        stat.S_ISREG(found.st_mode)
        # Where the server is no root, a command can change it.
        and stat.S_IMODE(found.st_mode) == _MODE
        and found.st_size == upload.size_bytes
        and abs(found.st_mtime - upload.created_at) < _SAME_MOMENT_S
    )


def _put(folder: Path, path: str, content: bytes, created_at: float) -> None:
    """Put a file into the folder, whole: a command may be reading there, and a call that was given up may
    still be at the same file.
    """
    place = folder / path
    if place.is_dir():
        shutil.rmtree(place)
    place.parent.mkdir(mode=0o755, exist_ok=True)
    opened, part = tempfile.mkstemp(dir=folder)
    with open(opened, "wb") as file:  # noqa: PTH123
        file.write(content)
        os.fchmod(opened, _MODE)
    os.utime(part, (created_at, created_at))
    Path(part).replace(place)
