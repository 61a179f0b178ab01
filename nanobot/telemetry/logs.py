"""Log lines: for people, or a JSON object each. Every line says which request, turn and session it belongs
to.

Bodies and headers are never logged, so there is nothing to take out of a line again. A session key is shown
as a hash, salted for the data directory: lines of one session can be found together, the key cannot be found
from them.
"""

import hashlib
import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from nanobot.core.observer import REQUEST, SESSION, TURN

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
"""All that a line of JSON may have; docs/observability.md says what they mean."""
_EXTRAS = FIELDS[7:15]
_SALT_FILE = "log.salt"
_SALT_BYTES = 16


class SessionNames:
    """How a session is named in the log.

    The salt is made when the first line needs it, and kept in the data directory.
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
    """Return the directory's salt, a new one where there is none; where it cannot be kept, it is this
    process's own.
    """
    path = directory / _SALT_FILE
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
    """A line for people: the message, then what it belongs to."""

    def __init__(self, sessions: SessionNames) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s%(where)s")
        self._sessions = sessions

    def format(self, record: logging.LogRecord) -> str:
        found = _where(record, self._sessions)
        record.where = f" [{' '.join(f'{name}={value}' for name, value in found.items())}]" if found else ""
        return super().format(record)


class JsonFormatter(logging.Formatter):
    """A line for programs: one JSON object, with the fields in `FIELDS` that have a value."""

    def __init__(self, sessions: SessionNames) -> None:
        super().__init__()
        self._sessions = sessions

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_where(record, self._sessions),
        }
        line |= {name: value for name in _EXTRAS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _where(record: logging.LogRecord, sessions: SessionNames) -> dict[str, str]:
    """Return the ids of what the running task is at work on; what the line itself says goes first."""
    session_key = SESSION.get()
    found = {
        "request_id": REQUEST.get(),
        "turn_id": getattr(record, "turn_id", None) or TURN.get(),
        "session": sessions.of(session_key) if session_key else None,
    }
    return {name: value for name, value in found.items() if value}


def configure(level: str, style: Literal["console", "json"], sessions: SessionNames) -> None:
    """Let the log go to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter(sessions) if style == "json" else ConsoleFormatter(sessions))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
