"""`nanobot doctor`: one line a finding; one that fails says what to do."""

import asyncio
import importlib
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import click
import msgspec

from nanobot import __version__
from nanobot.cli.finding import Finding
from nanobot.cli.options import CONFIG, DATA, MODEL, settings
from nanobot.cli.terminal import is_rich, one_line, size
from nanobot.core.errors import ConfigError, StoreError, StoreLocked
from nanobot.stores.sqlite.migrate import APPLICATION_ID, migrations
from nanobot.stores.sqlite.opening import DATABASE, LOCK, DirectoryLock, explain, open_reader

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
_OLDEST_PYTHON, _OLDEST_SQLITE = (3, 11), (3, 37, 0)
_PACKAGES = ("aiohttp", "click", "httptools", "msgspec", "prompt_toolkit", "rich", "starlette", "uvicorn")
_PACKAGES_BUT_WINDOWS = ("uvloop",)
_LOW_SPACE_BYTES, _NO_SPACE_BYTES = 1_000_000_000, 50_000_000


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--port", metavar="PORT", help="Port that the server would listen on [8900].")
@CONFIG
@DATA
@MODEL
def command(
    as_json: bool, port: str | None, config_file: Path | None, data: str | None, model: str | None
) -> None:
    """Check this machine, the settings, the store and the model. Exit status 1 where something fails."""
    found: list[Finding] = []
    for finding in examine(config_file, data=data, model=model, port=port):
        found.append(finding)
        if not as_json:
            click.echo(_line(finding))
    healthy = all(finding.status != "fail" for finding in found)
    if as_json:
        click.echo(msgspec.json.encode({"ok": healthy, "findings": found}))
    sys.exit(0 if healthy else 1)


def _line(finding: Finding) -> str:
    status = f"{finding.status:4}"
    if is_rich(sys.stdout):
        status = click.style(status, fg=_COLOURS[finding.status])
    return f"{status}  {finding.check:9}  {one_line(finding.text)}{'; ' + one_line(finding.remedy) if finding.remedy else ''}"


def examine(
    config_file: Path | None, *, data: str | None, model: str | None, port: str | None
) -> Iterator[Finding]:
    """Check one thing after another; what needs a thing that is missing is not checked."""
    yield from versions()
    packages = _packages()
    yield packages
    try:
        config = settings(config_file, server={"data": data, "port": port}, model={"name": model})
    except ConfigError as error:
        yield Finding("settings", "fail", error.message)
        return
    yield from directory(config.data)
    yield store(config.data)
    if packages.status == "fail":
        return
    # needs packages of which the lines above must be able to say that they are missing
    from nanobot.cli import doctor_server

    yield from asyncio.run(doctor_server.examine(config))


# The machine --------------------------------------------------------------------------------------


def versions() -> Iterator[Finding]:
    """Check Python and SQLite."""
    python = platform.python_version()
    if sys.version_info >= _OLDEST_PYTHON:
        yield Finding(
            "python", "ok", f"{python}, nanobot {__version__}, {platform.system()} {platform.machine()}"
        )
    else:
        yield Finding("python", "fail", f"{python} is too old", "install Python 3.11 or newer")
    if sqlite3.sqlite_version_info >= _OLDEST_SQLITE:
        yield Finding("sqlite", "ok", sqlite3.sqlite_version)
    else:
        wanted = ".".join(map(str, _OLDEST_SQLITE[:2]))
        yield Finding(
            "sqlite",
            "fail",
            f"{sqlite3.sqlite_version} is too old",
            f"use a Python that was built with SQLite {wanted} or newer",
        )


def _packages() -> Finding:
    wanted = _PACKAGES if sys.platform == "win32" else (*_PACKAGES, *_PACKAGES_BUT_WINDOWS)
    broken = {name: reason for name in wanted if (reason := _why_not(name))}
    if broken:
        told = ", ".join(f"{name} ({reason})" for name, reason in broken.items())
        return Finding(
            "packages",
            "fail",
            f"cannot be imported: {told}",
            f"{sys.executable} -m pip install {' '.join(broken)}",
        )
    return Finding("packages", "ok", ", ".join(f"{name} {metadata.version(name)}" for name in wanted))


def _why_not(name: str) -> str:
    try:
        importlib.import_module(name)
        metadata.version(name)
    except (ImportError, metadata.PackageNotFoundError) as error:
        return one_line(str(error))
    return ""


# The data directory -------------------------------------------------------------------------------


def directory(path: Path) -> Iterator[Finding]:
    """Check that conversations can be kept in `path`."""
    there = path
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        if not there.is_dir():
            yield Finding("data", "fail", f"{there} is no directory", "name another directory with --data")
            return
        with tempfile.TemporaryFile(dir=there):
            pass
        free_bytes = shutil.disk_usage(there).free
    except OSError as error:
        yield Finding(
            "data",
            "fail",
            f"cannot write in {there} ({error.strerror})",
            "check its permissions, or name another with --data",
        )
        return
    yield Finding("data", "ok", f"{path}" if there == path else f"{path} will be made at the first start")
    yield _space(there, free_bytes)
    if there == path:
        yield _lock(path)


def _space(path: Path, free_bytes: int) -> Finding:
    text = f"{size(free_bytes)} free"
    if free_bytes < _NO_SPACE_BYTES:
        return Finding(
            "disk",
            "fail",
            f"only {text} at {path}",
            "free some space, or name a directory on another disk with --data",
        )
    if free_bytes < _LOW_SPACE_BYTES:
        return Finding("disk", "warn", f"only {text} at {path}", "free some space soon")
    return Finding("disk", "ok", text)


def _lock(path: Path) -> Finding:
    """Take the lock as a server would, and let it go again."""
    try:
        DirectoryLock(path).release()
    except StoreLocked:
        owner = (path / LOCK).read_text(encoding="utf-8", errors="replace").strip() or "unknown"
        return Finding("lock", "ok", f"in use by process {owner}")
    except StoreError as error:
        return Finding("lock", "fail", error.message)
    return Finding("lock", "ok", "no server uses the directory now")


def store(path: Path) -> Finding:
    """Check the database, reading only."""
    if not (path / DATABASE).exists():
        return Finding("store", "ok", "no conversations yet")
    try:
        db = open_reader(path)
        try:
            return _database(db, path / DATABASE)
        except sqlite3.Error as error:
            raise explain(error, path / DATABASE) from error
        finally:
            db.close()
    except StoreError as error:
        return Finding("store", "fail", error.message)


def _database(db: sqlite3.Connection, path: Path) -> Finding:
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    newest = migrations()[-1][0]
    if application_id != APPLICATION_ID:
        return Finding(
            "store", "fail", f"{path} is a database of another program", "name another directory with --data"
        )
    if version > newest:
        return Finding(
            "store",
            "fail",
            f"{path} has format {version}, this nanobot knows up to {newest}",
            "upgrade nanobot",
        )
    problems = [problem for (problem,) in db.execute("PRAGMA quick_check(3)") if problem != "ok"]
    if problems:
        return Finding(
            "store",
            "fail",
            f"{path} is damaged: {problems[0]}",
            "restore a copy made by `nanobot backup`, or move it away to start afresh",
        )
    (sessions,) = db.execute("SELECT count(*) FROM session").fetchone()
    upgrade = f", will be brought to format {newest} at the next start" if version < newest else ""
    return Finding(
        "store", "ok", f"{sessions} conversations, {size(path.stat().st_size)}, format {version}{upgrade}"
    )
