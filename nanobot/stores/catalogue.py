"""Sessions as a list: read, page, delete, copy the whole file."""

import os
import sqlite3
from pathlib import Path

import msgspec

from nanobot.core.errors import SessionNotFound, StoreError
from nanobot.core.session import Session
from nanobot.core.store import Row
from nanobot.stores import files, responses, transcript
from nanobot.stores.transcript import Place

Db = sqlite3.Connection


class Deleted(msgspec.Struct, frozen=True):
    """What went with a session: how many messages, which turns had not ended, and which uploads (whose content is still to go)."""

    messages: int
    live: tuple[str, ...]
    files: tuple[str, ...]


def sessions(db: Db, *, limit: int, after: str | None) -> tuple[Session, ...]:
    """Return a page of sessions, most recently used first."""
    where, values = "", []
    if after is not None:
        found = db.execute("SELECT updated_at, id FROM session WHERE key = ?", (after,)).fetchone()
        if found is None:
            raise SessionNotFound(f"no session {after!r} here")
        where, values = "WHERE (updated_at, id) < (?, ?)", list(found)
    rows = db.execute(
        f"SELECT id, key, tip, created_at, updated_at FROM session {where} ORDER BY updated_at DESC, id DESC LIMIT ?",  # noqa: S608
        (*values, limit),
    ).fetchall()
    return tuple(Session(key, transcript.count(db, id_, tip), created_at, updated_at) for id_, key, tip, created_at, updated_at in rows)


def messages(db: Db, *, key: str, limit: int, after_seq: int) -> tuple[Row, ...]:
    """Return a page of the live transcript, oldest first."""
    place = _place(db, key)
    return transcript.page(db, place.session, place.tip, limit=limit, after_seq=after_seq)


def delete(db: Db, *, key: str) -> Deleted:
    """Delete every row that belongs to the session; uploads may be there before the session is."""
    uploads = files.delete_of(db, key)
    place = transcript.find_place(db, key) if uploads else _place(db, key)
    if place is None:
        return Deleted(0, (), uploads)
    live = [id_ for (id_,) in db.execute("SELECT t.id FROM dispatch d JOIN turn t ON t.n = d.turn WHERE d.session = ?", (place.session,))]
    mine = "(SELECT n FROM turn WHERE session = ?)"
    db.execute(f"DELETE FROM started_call WHERE turn IN {mine}", (place.session,))  # noqa: S608
    db.execute(f"DELETE FROM steer WHERE turn IN {mine}", (place.session,))  # noqa: S608
    responses.delete_of(db, place.session)
    for table in ("dispatch", "turn", "branch"):
        db.execute(f"DELETE FROM {table} WHERE session = ?", (place.session,))  # noqa: S608
    gone = db.execute("DELETE FROM message WHERE session = ?", (place.session,)).rowcount
    db.execute("DELETE FROM session WHERE id = ?", (place.session,))
    return Deleted(gone, tuple(live), uploads)


def _place(db: Db, key: str) -> Place:
    place = transcript.find_place(db, key)
    if place is None:
        raise SessionNotFound(f"no session {key!r} here")
    return place


def backup(db: Db, path: Path) -> None:
    """Copy the database to `path`, consistent as of one moment, while others write.

    Raises:
        StoreError: the file exists, or cannot be written.
    """
    if path.exists():
        raise StoreError(f"{path} exists already: name a new file, nothing was written")
    partial = path.with_name(path.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        copy = sqlite3.connect(partial)
        try:
            db.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
        finally:
            copy.close()
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.rename(path)
    except (OSError, sqlite3.Error) as error:
        partial.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path} ({error}): nothing was kept of it") from error
