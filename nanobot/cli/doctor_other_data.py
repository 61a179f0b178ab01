"""The check of `nanobot doctor` for conversations in another data directory than the one that is used."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from nanobot import config as settings_of
from nanobot.cli.check_result import CheckResult
from nanobot.cli.store import offline_store
from nanobot.config import Config
from nanobot.core.errors import ConfigError, StoreError
from nanobot.stores.sqlite.opening import DATABASE

_OF_THE_SYSTEM = Path("/var/lib/nanobot")
"""Where a service of the system keeps its data (docs/operate.md)."""


def examine(config: Config, config_file: Path | None) -> Iterator[CheckResult]:
    """Warn of each other directory that other settings of this machine name, and that has conversations."""
    used = _resolved(config.data)
    has_own = (config.data / DATABASE).exists()
    seen = {used}
    for path, origin in _candidates(config_file):
        resolved = _resolved(path)
        if resolved in seen or not _has_database(path):
            continue
        seen.add(resolved)
        there = f"{path} ({origin}) has conversations"
        if has_own:
            text = f"{there} too{_summary(config, path)}; they are not used"
        else:
            text = f"{there}{_summary(config, path)}, the one that is used has none"
        yield CheckResult(
            "other data", "warn", text, f"name the right directory with --data, e.g. --data {path}"
        )


def _candidates(config_file: Path | None) -> Iterator[tuple[Path, str]]:
    """Yield data directories that could be meant, and why."""
    if os.environ.get("NANOBOT_DATA"):
        yield Path(os.environ["NANOBOT_DATA"]), "NANOBOT_DATA"
    with contextlib.suppress(ConfigError):
        in_file = settings_of.load(config_file, {}, {})
        if in_file.server.data:
            yield in_file.data, str(config_file or settings_of.FILE)
    yield settings_of.default_data_directory(), "default"
    home = Path.home()
    for path in (
        home / ".local" / "share" / "nanobot",
        home / "Library" / "Application Support" / "nanobot",
        Path("data"),
        _OF_THE_SYSTEM,
    ):
        yield path.absolute(), "found there"


def _resolved(path: Path) -> Path:
    try:
        return path.expanduser().resolve()
    except (OSError, RuntimeError):
        return path


def _has_database(path: Path) -> bool:
    try:
        return (path.expanduser() / DATABASE).is_file()
    except (OSError, RuntimeError):
        return False


def _summary(config: Config, path: Path) -> str:
    """Return how many conversations there are and when the last was used; empty where that cannot be read."""
    there = msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, data=str(path)))
    try:
        with offline_store(there).open_readonly() as store:
            (last,) = store.sessions(limit=1) or (None,)
    except (StoreError, OSError):
        return ""
    if last is None:
        return ""
    return f", last used {time.strftime('%Y-%m-%d', time.localtime(last.updated_at))}"
