"""Log lines, for people or as JSON objects. Each says which request, turn and session it belongs to.

Bodies and headers are never logged, so no line needs to be redacted. A session key is logged as a hash with a
salt of the data directory: the lines of a session can be found, but the key cannot be recovered from them.
"""

import hashlib
import json
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from nanobot.core.observer import REQUEST, SESSION, TURN
from nanobot.telemetry.stderr import log_everything

FIELDS = (
    "time",
    "level",
    "logger",
    "message",
    "request_id",
    "turn_id",
    "session",
    "method",
    "route",
    "status",
    "ms",
    "outcome",
    "attempt",
    "prompt_tokens",
    "completion_tokens",
    "exception",
)
"""The fields that a JSON line may have; docs/observability.md explains them."""
_EXTRAS = FIELDS[7:15]
SALT_FILE = "log.salt"
_SALT_BYTES = 16


class SessionNames:
    """The names of sessions in the log: their keys where `plain`, else hashes of them.

    The salt is created when it is first needed, and stays in the data directory.
    """

    def __init__(self, directory: Path, *, plain: bool) -> None:
        self._directory = directory
        self._plain = plain
        self._salt: bytes | None = None

    def of(self, session_key: str) -> str:
        if self._plain:
            return session_key
        if self._salt is None:
            self._salt = _load_salt(self._directory)
        return hashlib.blake2b(session_key.encode(), key=self._salt, digest_size=8).hexdigest()


def _load_salt(directory: Path) -> bytes:
    """Return the salt of the directory, a new one where it has none. One that cannot be written down holds
    for this process only.
    """
    path = directory / SALT_FILE
    try:
        if len(salt := path.read_bytes()) == _SALT_BYTES:
            return salt
    except OSError:
        pass
    salt = os.urandom(_SALT_BYTES)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(salt)
    except OSError:
        pass
    return salt


class ConsoleFormatter(logging.Formatter):
    """Formats a line for people: the message, then what it belongs to."""

    def __init__(self, sessions: SessionNames) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s%(ids)s")
        self._sessions = sessions

    def format(self, record: logging.LogRecord) -> str:
        ids = _ids(record, self._sessions)
        # An attribute of the record, because the format string of the base class can show only those.
        record.ids = f" [{' '.join(f'{name}={value}' for name, value in ids.items())}]" if ids else ""
        return super().format(record)


class JsonFormatter(logging.Formatter):
    """Formats a line for programs: a JSON object with those of `FIELDS` that have a value."""

    def __init__(self, sessions: SessionNames) -> None:
        super().__init__()
        self._sessions = sessions

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_ids(record, self._sessions),
        }
        line |= {name: value for name in _EXTRAS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _ids(record: logging.LogRecord, sessions: SessionNames) -> dict[str, str]:
    """Return the ids of what the current task works on; the turn id of the record itself comes first."""
    session_key = SESSION.get()
    ids = {
        "request_id": REQUEST.get(),
        # A request is logged in its own task, where the context names no turn.
        "turn_id": getattr(record, "turn_id", None) or TURN.get(),
        "session": sessions.of(session_key) if session_key else None,
    }
    return {name: value for name, value in ids.items() if value}


def configure(level: str, style: Literal["console", "json"], sessions: SessionNames) -> None:
    """Send the log to stderr. In the style `json`, everything that the program writes there becomes a line of
    the log.
    """
    formatter = JsonFormatter(sessions) if style == "json" else ConsoleFormatter(sessions)
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if style == "json":
        log_everything(handler)


def configure_without_settings() -> None:
    """Send what stops a start to stderr, as JSON, where the settings cannot be read."""
    configure("warning", "json", SessionNames(Path(), plain=True))
