"""API keys in SQLite: made, listed and revoked by the command line, also while a server has the directory;
read by the server.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from nanobot.core.accounts import ApiKey, Quota, Right
from nanobot.core.errors import ConfigError, StoreError, StoreLocked, StoreTooNew
from nanobot.stores.migrate import migrations
from nanobot.stores.opening import DATABASE, DirectoryLock, explain, make_directory, open_reader, open_writer

Db = sqlite3.Connection
_BUSY_S = 10.0
_encode = msgspec.json.Encoder().encode
_decode_rights = msgspec.json.Decoder(tuple[Right, ...]).decode
_decode_patterns = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_quota = msgspec.json.Decoder(Quota).decode


def all_keys(db: Db) -> tuple[ApiKey, ...]:
    """Return all keys, oldest first."""
    rows = db.execute(
        "SELECT id, name, digest, rights, patterns, session_key, quota, created_at, expires_at, revoked_at FROM api_key ORDER BY n"
    ).fetchall()
    return tuple(
        ApiKey(
            id=id_,
            name=name,
            digest=digest,
            rights=_decode_rights(rights),
            patterns=_decode_patterns(patterns),
            session_key=session_key,
            quota=_decode_quota(quota),
            created_at=created_at,
            expires_at=expires_at,
            revoked_at=revoked_at,
        )
        for id_, name, digest, rights, patterns, session_key, quota, created_at, expires_at, revoked_at in rows
    )


def stored_keys(directory: Path) -> tuple[ApiKey, ...]:
    """Return all keys of a data directory, whoever has it; none where nothing was ever kept there.

    Raises:
        StoreError: it cannot be read.
    """
    if not (directory / DATABASE).exists():
        return ()
    with contextlib.closing(open_reader(directory)) as db:
        if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'api_key'").fetchone():
            return ()
        return all_keys(db)


def version(db: Db) -> str:
    """Return a text that is another one once a key was made, revoked or forgotten."""
    found = db.execute(
        "SELECT count(*), count(revoked_at), total(created_at), coalesce(max(n), 0) FROM api_key"
    ).fetchone()
    return " ".join(map(repr, found))


def insert(db: Db, key: ApiKey) -> None:
    """Keep a new key.

    Raises:
        ConfigError: its name is taken.
    """
    if db.execute("SELECT 1 FROM api_key WHERE name = ? AND revoked_at IS NULL", (key.name,)).fetchone():
        raise ConfigError(
            f"there is an API key named {key.name!r} already: choose another name, or revoke that one first"
        )
    db.execute(
        "INSERT INTO api_key (id, name, digest, rights, patterns, session_key, quota, created_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            key.id,
            key.name,
            key.digest,
            _encode(key.rights).decode(),
            _encode(key.patterns).decode(),
            key.session_key,
            _encode(key.quota).decode(),
            key.created_at,
            key.expires_at,
        ),
    )


def revoke(db: Db, name_or_id: str, now: float, *, forget: bool = False) -> ApiKey:
    """Make the key invalid for ever; return it. `forget`: leave no trace of it; works on one that was revoked
    before, too.

    Raises:
        ConfigError: there is none such.
    """
    found = [
        key for key in all_keys(db) if name_or_id in (key.id, key.name) and (forget or key.revoked_at is None)
    ]
    if not found:
        raise ConfigError(f"there is no API key {name_or_id!r} to revoke: `nanobot keys list` shows them")
    key = min(found, key=lambda key: key.revoked_at is not None)
    if forget:
        db.execute("DELETE FROM api_key WHERE id = ?", (key.id,))
    else:
        db.execute("UPDATE api_key SET revoked_at = ? WHERE id = ?", (now, key.id))
    return key


@contextlib.contextmanager
def writing(directory: Path) -> Iterator[Db]:
    """Yield a connection in a transaction, which is committed at the end: as the only one, or beside a
    running server.

    Raises:
        StoreError: the database cannot be written, or the server that runs is of an older version.
    """
    make_directory(directory)
    lock: DirectoryLock | None = None
    try:
        lock = DirectoryLock(directory)
        db = open_writer(directory, "full")
    except StoreLocked:
        db = _open_beside_a_server(directory)
    except StoreError:
        if lock is not None:
            lock.release()
        raise
    try:
        db.execute("BEGIN IMMEDIATE")
        yield db
        db.execute("COMMIT")
    except sqlite3.Error as error:
        raise explain(error, directory / DATABASE) from error
    finally:
        db.close()
        if lock is not None:
            lock.release()


def _open_beside_a_server(directory: Path) -> Db:
    path = directory / DATABASE
    newest = migrations()[-1][0]
    try:
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=_BUSY_S
        )
        db.execute("PRAGMA synchronous = full")
        (found,) = db.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        raise explain(error, path) from error
    if found == newest:
        return db
    db.close()
    if found > newest:
        raise StoreTooNew(f"{path} has format {found}, this nanobot knows up to {newest}: upgrade nanobot")
    raise StoreError(
        f"the server that runs on {directory} is an older nanobot: restart it with this version first"
    )
