"""Rows of uploads; their contents are files (`stores/blobs.py`)."""

from nanobot.core.errors import UploadsFull
from nanobot.core.uploads import SortOrder, Upload, UploadPage
from nanobot.stores.blobs import no_upload
from nanobot.stores.sql.db import Db

COLUMNS = "id, session_key, name, purpose, size_bytes, created_at, expires_at"
_IS_ALIVE = "(expires_at IS NULL OR expires_at > ?)"


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
            f"the session's uploads have {used} bytes, this one {upload.size_bytes}: together at most"
            f" {quota_bytes} are allowed "
            "(files.quota_mb); delete some"
        )
    db.execute(
        f"INSERT INTO file ({COLUMNS}, person) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            upload.id,
            upload.session_key,
            upload.name,
            upload.purpose,
            upload.size_bytes,
            upload.created_at,
            upload.expires_at,
            db.scopes.of(upload.session_key).person,
        ),
    )


def find(db: Db, file_id: str, session_key: str, now: float) -> Upload:
    """Return the upload of this session.

    Raises:
        UploadNotFound
    """
    row = db.execute(
        f"SELECT {COLUMNS} FROM file WHERE id = ? AND session_key = ? AND {_IS_ALIVE}",
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
    conditions = ["session_key = ?", _IS_ALIVE]
    values: list[str | float] = [session_key, now]
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
        f"SELECT {COLUMNS} FROM file WHERE {' AND '.join(conditions)}"
        f" ORDER BY n {'ASC' if order == 'asc' else 'DESC'} LIMIT ?",
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
    """Delete the rows of expired uploads; the caller deletes their content, as for `delete_of`."""
    gone = tuple(id_ for (id_,) in db.execute("SELECT id FROM file WHERE expires_at <= ?", (now,)))
    db.execute("DELETE FROM file WHERE expires_at <= ?", (now,))
    return gone


def all_ids(db: Db) -> frozenset[str]:
    """Return the ids of all uploads of all sessions."""
    return frozenset(id_ for (id_,) in db.execute("SELECT id FROM file"))
