"""The audit log: a file that only grows, one JSON object a line, written by a thread of its own."""

import contextlib
import hashlib
import itertools
import logging
import os
import threading
import time
from collections import deque
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from nanobot.core.audit_log import AuditedCall, AuditedConnection, AuditEntry

FILE = "audit.jsonl"
SessionKeys = Literal["plain", "hashed"]
_log = logging.getLogger(__name__)
_BATCH_S = 0.25
_MANY = 64
"""So many entries wait no longer: what is written in small pieces takes no memory to speak of."""
_MOST_PENDING = 100_000
_encode = msgspec.json.Encoder().encode


class _LogLine(msgspec.Struct, frozen=True, omit_defaults=True):
    time: str
    operation: str
    client: str | None
    key_id: str | None
    status: int | None
    session_key: str | None = None
    target: str | None = None
    request_id: str | None = None
    call: AuditedCall | None = None
    connection: AuditedConnection | None = None


class Keeping(msgspec.Struct, frozen=True):
    """How it is kept: a file of at most `max_bytes` and `keep` older ones."""

    session_keys: SessionKeys = "plain"
    max_bytes: int = 100 * 1024 * 1024
    keep: int = 10


class AuditLog:
    """An `AuditSink` on a file: entries are written within a quarter of a second, urgent ones are synced at
    once.
    """

    def __init__(self, directory: Path, keeping: Keeping) -> None:
        self._path = directory / FILE
        self._keeping = keeping
        self._pending: deque[AuditEntry] = deque()
        self._lost = 0
        self._has_news = threading.Event()
        self._is_urgent = threading.Event()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def note(self, entry: AuditEntry) -> None:
        # the disk does not take them: the server goes on, and says how many are missing
        if len(self._pending) >= _MOST_PENDING:
            self._lost += 1
            return
        self._pending.append(entry)
        if entry.is_urgent or len(self._pending) >= _MANY:
            self._is_urgent.set()
        if not self._has_news.is_set():
            self._has_news.set()

    def close(self) -> None:
        """Write what is left, then stop. Safe to call twice."""
        self._is_closed = True
        self._is_urgent.set()
        self._has_news.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._has_news.wait()
            self._is_urgent.wait(_BATCH_S)
            self._has_news.clear()
            self._is_urgent.clear()
            is_last = self._is_closed
            self._write_pending()
            if is_last:
                return

    def _write_pending(self) -> None:
        entries = [self._pending.popleft() for _ in range(len(self._pending))]
        lost, self._lost = self._lost, 0
        if not entries:
            return
        try:
            write(self._path, entries, self._keeping)
        except OSError as error:
            _log.error(
                "%d entries of the audit log %s are lost: %s",
                len(entries) + lost,
                self._path,
                error.strerror or error,
            )
            return
        if lost:
            _log.error(
                "%d entries of the audit log %s are lost: they came faster than they could be written",
                lost,
                self._path,
            )


def append(directory: Path, entry: AuditEntry, keeping: Keeping) -> None:
    """Write one entry from a command, also beside a server; it is on the disk when this returns.

    Raises:
        OSError
    """
    write(directory / FILE, [entry], keeping)


def write(path: Path, entries: list[AuditEntry], keeping: Keeping) -> None:
    """Add the entries to the file, in one piece.

    Raises:
        OSError
    """
    text = b"".join(_encode(_line(entry, keeping.session_keys)) + b"\n" for entry in entries)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
    try:
        size = os.fstat(descriptor).st_size
        view = memoryview(text)
        while view:
            view = view[os.write(descriptor, view) :]
        if any(entry.is_urgent for entry in entries):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if size + len(text) > keeping.max_bytes:
        _rotate(path, keeping.keep)


def _rotate(path: Path, keep: int) -> None:
    """Begin a new file:

    `audit.jsonl` becomes `audit.1.jsonl`, that `audit.2.jsonl`, and so on; the oldest goes.
    """
    older = [path, *(path.with_name(f"audit.{number}.jsonl") for number in range(1, keep + 1))]
    if keep == 0:
        path.unlink(missing_ok=True)
        return
    for young, old in reversed(list(itertools.pairwise(older))):
        with contextlib.suppress(FileNotFoundError):
            young.replace(old)


def _line(entry: AuditEntry, session_keys: SessionKeys) -> _LogLine:
    key = entry.session_key
    if key is not None and session_keys == "hashed":
        key = "sha256:" + hashlib.sha256(key.encode()).hexdigest()[:32]
    at = f"{_second(int(entry.at))}.{int(entry.at * 1000) % 1000:03d}Z"
    return _LogLine(
        at,
        entry.operation,
        entry.client,
        entry.key_id,
        entry.status,
        key,
        entry.target,
        entry.request_id,
        entry.call,
        entry.connection,
    )


@lru_cache(4)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
