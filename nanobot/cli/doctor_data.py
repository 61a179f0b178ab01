"""The checks of `nanobot doctor` on the data directory and the database in it. They only read."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nanobot.cli.check_result import CheckResult
from nanobot.cli.terminal import size
from nanobot.core.errors import StoreError
from nanobot.core.offline import DatabaseReport, OfflineStore

_LOW_SPACE_BYTES, _NO_SPACE_BYTES = 1_000_000_000, 50_000_000


def directory(path: Path, store: OfflineStore, origin: str = "default") -> Iterator[CheckResult]:
    """Check that the data directory, or the nearest one above it that exists, can be written. `origin`: which
    setting names it.
    """
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        if not existing.is_dir():
            remedy = "name another directory with --data"
            yield CheckResult("data", "fail", f"{existing} is no directory", remedy)
            return
        with tempfile.TemporaryFile(dir=existing):
            pass
        free_bytes = shutil.disk_usage(existing).free
    except OSError as error:
        remedy = "check its permissions, or name another with --data"
        yield CheckResult("data", "fail", f"cannot write in {existing} ({error.strerror})", remedy)
        return
    note = "" if existing == path else " will be made at the first start"
    yield CheckResult("data", "ok", f"{path}{note} ({origin})")
    yield _space(existing, free_bytes)
    if existing == path:
        yield _lock(store)


def _space(path: Path, free_bytes: int) -> CheckResult:
    free = f"{size(free_bytes)} free"
    if free_bytes < _NO_SPACE_BYTES:
        remedy = "free some space, or name a directory on another disk with --data"
        return CheckResult("disk", "fail", f"only {free} at {path}", remedy)
    if free_bytes < _LOW_SPACE_BYTES:
        return CheckResult("disk", "warn", f"only {free} at {path}", "free some space soon")
    return CheckResult("disk", "ok", free)


def _lock(store: OfflineStore) -> CheckResult:
    try:
        owner = store.lock_owner()
    except StoreError as error:
        return CheckResult("lock", "fail", error.message)
    if owner is None:
        return CheckResult("lock", "ok", "no server uses the directory now")
    return CheckResult("lock", "ok", f"in use by process {owner}")


def database(store: OfflineStore) -> CheckResult:
    """Check the database."""
    try:
        report = store.check()
    except StoreError as error:
        return CheckResult("store", "fail", error.message)
    if report is None:
        return CheckResult("store", "ok", "no conversations yet")
    return _judge(report)


def _judge(report: DatabaseReport) -> CheckResult:
    if not report.is_ours:
        text = f"{report.path} is a database of another program"
        return CheckResult("store", "fail", text, "name another directory with --data")
    if report.format > report.newest_format:
        text = f"{report.path} has format {report.format}, this nanobot knows up to {report.newest_format}"
        return CheckResult("store", "fail", text, "upgrade nanobot")
    if report.damage:
        remedy = "restore a copy made by `nanobot backup`, or move it away to start afresh"
        return CheckResult("store", "fail", f"{report.path} is damaged: {report.damage}", remedy)
    text = f"{report.sessions} conversations, {size(report.size_bytes)}, format {report.format}"
    if report.format < report.newest_format:
        text += f", will be brought to format {report.newest_format} at the next start"
    return CheckResult("store", "ok", text)
