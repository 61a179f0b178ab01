"""API keys: listed, added and revoked."""

import msgspec

from nanobot.core.accounts import ApiKey, HistoryMode, Quota, Right
from nanobot.core.errors import ConfigError
from nanobot.stores.sql.db import Db

_encode = msgspec.json.Encoder().encode
_decode_rights = msgspec.json.Decoder(tuple[Right, ...]).decode
_decode_patterns = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_quota = msgspec.json.Decoder(Quota).decode


def all_keys(db: Db) -> tuple[ApiKey, ...]:
    """Return all keys, oldest first."""
    found = db.execute(
        "SELECT id, name, digest, rights, patterns, session_key, history, quota, created_at, expires_at,"
        " revoked_at FROM api_key ORDER BY n"
    )
    return tuple(_key(*row) for row in found)


def _key(
    id_: str,
    name: str,
    digest: bytes,
    rights: str,
    patterns: str,
    session_key: str | None,
    history: HistoryMode,
    quota: str,
    created_at: float,
    expires_at: float | None,
    revoked_at: float | None,
) -> ApiKey:
    return ApiKey(
        id=id_,
        name=name,
        digest=digest,
        rights=_decode_rights(rights),
        patterns=_decode_patterns(patterns),
        session_key=session_key,
        history=history,
        quota=_decode_quota(quota),
        created_at=created_at,
        expires_at=expires_at,
        revoked_at=revoked_at,
    )


def version(db: Db) -> str:
    """Return a text that changes when a key is added, revoked or forgotten."""
    found = db.execute(
        "SELECT count(*), count(revoked_at), coalesce(sum(created_at), 0), coalesce(max(n), 0) FROM api_key"
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
        "INSERT INTO api_key (id, name, digest, rights, patterns, session_key, history, quota, created_at,"
        " expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            key.id,
            key.name,
            key.digest,
            _encode(key.rights).decode(),
            _encode(key.patterns).decode(),
            key.session_key,
            key.history,
            _encode(key.quota).decode(),
            key.created_at,
            key.expires_at,
        ),
    )


def revoke(db: Db, name_or_id: str, now: float, *, forget: bool = False) -> ApiKey:
    """Make the key invalid for good, and return it; with `forget` it leaves no trace, also where it was
    revoked before.

    Raises:
        ConfigError: there is no such key.
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
