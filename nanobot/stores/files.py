"""Uploads: a row in the database for each, its content in `files/<id>` of the data directory.

The content is on disk before the row is: a row always has its content. Content without a row is what a crash
left; it is swept away at the next start. No name of a client is ever part of a path.
"""

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from nanobot.core.errors import StoreError, UploadNotFound, UploadsFull
from nanobot.core.uploads import SortOrder, Upload, UploadPage

Db = sqlite3.Connection
FOLDER = "files"
_COLUMNS = "id, session_key, name, purpose, size_bytes, created_at, expires_at"
_IS_ALIVE = "(expires_at IS NULL OR expires_at > ?)"
_ID = re.compile(r"file-[0-9a-z]{1,64}")

# Rows ---------------------------------------------------------------------------------------------


def no_upload(file_id: str) -> UploadNotFound:
    """Return the error for an upload that is not there for whoever asks."""
    return UploadNotFound(f"No such File object: {file_id[:80]}", param="id")


def add(db: Db, upload: Upload, quota_bytes: int, now: float) -> None:
    """Write the row.

    Raises:
        UploadsFull
    """
    (used,) = db.execute(
        f"SELECT coalesce(sum(size_bytes), 0) FROM file WHERE session_key = ? AND {_IS_ALIVE}",
        (upload.session_key, now),
    ).fetchone()
    if used + upload.size_bytes > quota_bytes:
        raise UploadsFull(
            f"the session's uploads have {used} bytes, this one {upload.size_bytes}: together at most {quota_bytes} are allowed "
            "(files.quota_mb); delete some"
        )
    db.execute(
        f"INSERT INTO file ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            upload.id,
            upload.session_key,
            upload.name,
            upload.purpose,
            upload.size_bytes,
            upload.created_at,
            upload.expires_at,
        ),
    )


def find(db: Db, file_id: str, session_key: str, now: float) -> Upload:
    """Return the upload of this session.

    Raises:
        UploadNotFound
    """
    row = db.execute(
        f"SELECT {_COLUMNS} FROM file WHERE id = ? AND session_key = ? AND {_IS_ALIVE}",
        (file_id, session_key, now),
    ).fetchone()
    if row is None:
        raise no_upload(file_id)
    return Upload(*row)


def page(
    db: Db,
    session_key: str,
    now: float,
    *,
    limit: int,
    after: str | None,
    order: SortOrder,
    purpose: str | None,
) -> UploadPage:
    """Return a page of the session's uploads.

    Raises:
        UploadNotFound: there is no upload `after`.
    """
    conditions, values = ["session_key = ?", _IS_ALIVE], [session_key, now]
    if after is not None:
        find(db, after, session_key, now)
        conditions.append(
            "n > (SELECT n FROM file WHERE id = ?)"
            if order == "asc"
            else "n < (SELECT n FROM file WHERE id = ?)"
        )
        values.append(after)
    if purpose is not None:
        conditions.append("purpose = ?")
        values.append(purpose)
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM file WHERE {' AND '.join(conditions)} ORDER BY n {'ASC' if order == 'asc' else 'DESC'} LIMIT ?",
        (*values, limit + 1),
    ).fetchall()
    return UploadPage(tuple(Upload(*row) for row in rows[:limit]), len(rows) > limit)


def ids_of(db: Db, session_key: str) -> tuple[str, ...]:
    """Return the ids of all uploads of a session, expired ones too."""
    return tuple(
        id_ for (id_,) in db.execute("SELECT id FROM file WHERE session_key = ? ORDER BY n", (session_key,))
    )


def delete(db: Db, file_id: str, session_key: str, now: float) -> None:
    """Delete the row; the caller deletes the content once this is committed.

    Raises:
        UploadNotFound
    """
    find(db, file_id, session_key, now)
    db.execute("DELETE FROM file WHERE id = ?", (file_id,))


def size_of(db: Db, session_key: str) -> int:
    """Return how many bytes the session's uploads have, expired ones too."""
    (size_bytes,) = db.execute(
        "SELECT coalesce(sum(size_bytes), 0) FROM file WHERE session_key = ?", (session_key,)
    ).fetchone()
    return int(size_bytes)


def delete_of(db: Db, session_key: str) -> tuple[str, ...]:
    """Delete the rows of a session's uploads; the caller deletes the content of the ids that this returns,
    once it is committed.
    """
    gone = ids_of(db, session_key)
    db.execute("DELETE FROM file WHERE session_key = ?", (session_key,))
    return gone


def delete_expired(db: Db, now: float) -> tuple[str, ...]:
    """Delete the rows of the uploads that have expired; the caller deletes their content, as for `delete_of`."""
    gone = tuple(id_ for (id_,) in db.execute("SELECT id FROM file WHERE expires_at <= ?", (now,)))
    db.execute("DELETE FROM file WHERE expires_at <= ?", (now,))
    return gone


# Content ------------------------------------------------------------------------------------------


class BlobFolder:
    """The folder with the content of all uploads. Its methods block: call them in a thread."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / FOLDER

    def write(self, file_id: str, content: bytes) -> None:
        """Write the content, whole and on disk when this returns.

        Raises:
            StoreError
        """
        path = self._path(file_id)
        partial = path.with_name(path.name + ".part")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
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
            raise StoreError(
                f"the upload cannot be written to {self._folder} ({error.strerror}): free some space"
            ) from error

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

    def delete(self, file_ids: Iterable[str]) -> None:
        """Delete the content of the uploads, as far as there is some; what cannot be deleted now is swept
        away at the next start.
        """
        for file_id in file_ids:
            with contextlib.suppress(OSError):
                self._path(file_id).unlink(missing_ok=True)

    def sweep(self, db: Db) -> int:
        """Delete what no row speaks of; returns how many files went."""
        try:
            found = [path for path in self._folder.iterdir() if _ID.match(path.name)]
        except OSError:
            # no uploads yet
            return 0
        kept = {id_ for (id_,) in db.execute("SELECT id FROM file")}
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
