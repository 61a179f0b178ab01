"""All settings. Precedence: command line, environment (`NANOBOT_…`), `nanobot.toml`, default.

The setting `name` of the table `[table]` is `NANOBOT_TABLE_NAME` in the environment. docs/settings.md
describes each of them.
"""

import datetime
import os
import re
import sys
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from nanobot.core.accounts import RIGHTS, HistoryMode, Price, Quota, Right
from nanobot.core.errors import ConfigError

FILE = "nanobot.toml"
LONGEST_S = 1_000_000_000
Positive = Annotated[float, msgspec.Meta(gt=0, le=LONGEST_S)]
AtLeast1 = Annotated[int, msgspec.Meta(ge=1)]


class ServerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the server listens and how it stops."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8900
    data: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    forwarded_allow_ips: tuple[str, ...] = ()
    shutdown_grace_s: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_S)] = 30.0


class ApiTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The HTTP API."""

    key: str | None = None
    stream: bool = True
    session_headers: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    max_bad_keys: Annotated[int, msgspec.Meta(ge=0)] = 10
    metrics_open: bool = False
    max_body_mb: Positive = 20.0
    max_schema_kb: AtLeast1 = 100
    body_timeout_s: Positive = 30.0
    ping_s: Positive = 15.0
    max_queue: AtLeast1 = 16
    retry_window_s: Positive = 600.0
    disconnect_grace_s: Annotated[float, msgspec.Meta(ge=-1, le=LONGEST_S)] = 30.0


class FilesTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files and URLs in requests, and uploads."""

    max_file_mb: Positive = 20.0
    max_characters: Annotated[int, msgspec.Meta(ge=1_000)] = 80_000
    read_timeout_s: Positive = 30.0
    read_memory_mb: Annotated[int, msgspec.Meta(ge=256)] = 1_024
    fetch: bool = True
    max_fetch_mb: Positive = 10.0
    fetch_timeout_s: Positive = 20.0
    quota_mb: Positive = 500.0
    ttl_days: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 30.0


class EngineTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How turns are run."""

    max_running_turns: AtLeast1 = 64
    max_attempts: AtLeast1 = 3
    turn_timeout_s: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_S)] = 0.0


class AgentTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of a turn."""

    max_steps: AtLeast1 = 50
    window_tokens: Annotated[int, msgspec.Meta(ge=1024)] = 32_000


class ModelTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model and how it is asked. Where a value is absent, the provider's default applies."""

    name: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    context_tokens: Annotated[int, msgspec.Meta(ge=1024)] | None = None
    connect_timeout_s: Positive = 10.0
    first_byte_timeout_s: Positive = 300.0
    idle_timeout_s: Positive = 120.0
    max_retries: Annotated[int, msgspec.Meta(ge=0)] = 2
    audio: Literal["auto", "yes", "no"] = "auto"
    fallback: tuple[str, ...] = ()
    fallback_budget_s: Positive = 600.0


class RetentionTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long after its last use a session is kept whose key matches `pattern`. `days` 0: for ever."""

    pattern: str
    days: Annotated[float, msgspec.Meta(ge=0, le=36_500)]


class HistoryTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the messages of a request are where the session key matches `pattern`; `whole`: all of the
    conversation.
    """

    pattern: str
    mode: HistoryMode


class EphemeralTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Turns of sessions whose key matches `pattern` leave no trace."""

    pattern: str


class SessionsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long sessions are kept, and how the history that clients send is taken."""

    ttl: tuple[RetentionTable, ...] = ()
    history: tuple[HistoryTable, ...] = ()
    ephemeral: tuple[EphemeralTable, ...] = ()


class StoreTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How conversations are stored. `normal`: a power cut (not a crash) may lose the last turns."""

    synchronous: Literal["full", "normal"] = "full"


class LogTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is logged, to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "warning"
    format: Literal["console", "json"] = "console"
    session_keys: bool = False


class TelemetryTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Traces by OpenTelemetry. The environment's `OTEL_…` variables say where they go."""

    traces: Literal["auto", "on", "off"] = "auto"
    content: bool = False


class AuditTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The audit log: who did what."""

    enabled: bool = True
    session_keys: Literal["plain", "hashed"] = "plain"
    max_mb: Positive = 100.0
    keep: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 10


class _QuotaFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much an API key or sessions may use."""

    requests_per_minute: AtLeast1 | None = None
    running_turns: AtLeast1 | None = None
    tokens_per_day: AtLeast1 | None = None
    money_per_day: Annotated[float, msgspec.Meta(gt=0)] | None = None

    @property
    def quota(self) -> Quota:
        return Quota(self.requests_per_minute, self.running_turns, self.tokens_per_day, self.money_per_day)


class KeyTable(_QuotaFields, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An API key.

    `hash`: `sha256:` and the SHA-256 of the key in hex, never the key itself.
    """

    name: str
    hash: Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]
    scopes: tuple[Right, ...] = ("chat", "sessions:read", "sessions:write", "files")
    sessions: tuple[str, ...] = ()
    session_key: str | None = None
    history: HistoryMode = "auto"
    expires: datetime.datetime | None = None


class QuotaTable(_QuotaFields, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much the sessions that match a pattern may use, together or each."""

    pattern: str
    per: Literal["pattern", "session"] = "pattern"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every setting.

    `models` are presets: further names that a request may give as its `model`. The keys of `prices` are
    `provider:model`.
    """

    server: ServerTable = ServerTable()
    api: ApiTable = ApiTable()
    files: FilesTable = FilesTable()
    engine: EngineTable = EngineTable()
    agent: AgentTable = AgentTable()
    model: ModelTable = ModelTable()
    models: dict[str, ModelTable] = {}
    sessions: SessionsTable = SessionsTable()
    store: StoreTable = StoreTable()
    log: LogTable = LogTable()
    telemetry: TelemetryTable = TelemetryTable()
    audit: AuditTable = AuditTable()
    keys: tuple[KeyTable, ...] = ()
    quotas: tuple[QuotaTable, ...] = ()
    prices: dict[str, Price] = {}

    @property
    def data(self) -> Path:
        """The data directory.

        Raises:
            ConfigError: it is in a home directory that does not exist.
        """
        try:
            return Path(self.server.data).expanduser() if self.server.data else default_data_directory()
        except RuntimeError as error:
            raise ConfigError(
                f"server.data is {self.server.data!r}: there is no such home directory, name it in full"
            ) from error


def default_data_directory() -> Path:
    """Return where conversations are kept by default: where the platform keeps the data of applications."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "nanobot"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "nanobot"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "nanobot"


def load(
    file: Path | None, environment: Mapping[str, str], options: Mapping[str, Mapping[str, Any]]
) -> Config:
    """Return the settings. `options` are those of the command line, by table; None means that an option is
    absent.

    Raises:
        ConfigError: a setting is not valid. One line with its value, where it comes from, and what is
        allowed.
    """
    tables = _read(file)
    config = _convert(tables, str(file or FILE))
    overrides = [
        (table, name, text, variable)
        for (table, name), (variable, text) in _from_environment(environment).items()
    ]
    for table, values in options.items():
        overrides += [
            (table, name, value, f"--{name.replace('_', '-')}")
            for name, value in values.items()
            if value is not None
        ]
    for table, name, value, where in overrides:
        if isinstance(value, str) and (table, name) != _PATH and not _is_text(value):
            raise ConfigError(f"{where}: {table}.{name}: is not UTF-8")
        listed = (
            [item.strip() for item in value.split(",") if item.strip()] if (table, name) in _LISTS else value
        )
        tables = {**tables, table: {**tables.get(table, {}), name: listed}}
        _convert({table: {name: listed}}, where)
    return _convert(tables, str(file or FILE)) if overrides else config


_LISTS = (
    ("api", "session_headers"),
    ("api", "allowed_hosts"),
    ("api", "cors_origins"),
    ("server", "forwarded_allow_ips"),
    ("model", "fallback"),
)
_PATH = ("server", "data")
"""Paths may be any bytes; all other settings are text."""


def _is_text(value: str) -> bool:
    """Return whether a value of the environment or the command line was UTF-8: Python decodes other bytes as
    lone surrogates.
    """
    return value.isascii() or not any(0xD800 <= ord(character) < 0xE000 for character in value)


def _read(file: Path | None) -> dict[str, Any]:
    path = file or Path(FILE)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if file is None:
            return {}
        raise ConfigError(f"--config {file}: there is no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _tables() -> dict[str, type[msgspec.Struct]]:
    """Return the type of each table whose settings can come from the environment."""
    return {
        field.name: field.type for field in msgspec.structs.fields(Config) if isinstance(field.type, type)
    }


def _from_environment(environment: Mapping[str, str]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return variable and value of each setting in the environment, by table and name."""
    settings: dict[tuple[str, str], tuple[str, str]] = {}
    for table, kind in _tables().items():
        for name in kind.__struct_fields__:
            variable = f"NANOBOT_{table}_{name}".upper()
            if environment.get(variable):
                settings[table, name] = (variable, environment[variable])
    if environment.get("NANOBOT_DATA"):
        settings["server", "data"] = ("NANOBOT_DATA", environment["NANOBOT_DATA"])
    if environment.get("NANOBOT_MODEL"):
        settings["model", "name"] = ("NANOBOT_MODEL", environment["NANOBOT_MODEL"])
    return settings


# Errors -------------------------------------------------------------------------------------------


def _convert(tables: dict[str, Any], where: str) -> Config:
    """Return the settings in `tables`; `where` tells in an error where they come from."""
    try:
        config = msgspec.convert(
            {name: table for name, table in tables.items() if name != "models"}, Config, strict=False
        )
    except msgspec.ValidationError as error:
        raise _error(tables, str(error), where, ()) from error
    presets = tables.get("models", {})
    if not isinstance(presets, dict):
        raise ConfigError(f"{where}: models must be tables, one a preset, as [models.NAME]")
    converted: dict[str, ModelTable] = {}
    for name, table in presets.items():
        try:
            converted[name] = msgspec.convert(table, ModelTable, strict=False)
        except msgspec.ValidationError as error:
            raise _error(tables, str(error), where, ("models", name)) from error
    return msgspec.structs.replace(config, models=converted)


def _error(tables: dict[str, Any], text: str, where: str, root: tuple[str, ...]) -> ConfigError:
    """Return the error for `text`, which is msgspec's and names a path below `root`."""
    location = re.search(r" - at `\$\.?(.*)`$", text)
    path = (*root, *(location[1].split(".") if location and location[1] else ()))
    reason = (text[: location.start()] if location else text).replace("`", "")
    if reason.startswith("Invalid enum value"):
        reason = f"must be one of {', '.join(_choices(path))}"
    message = f"{where}: {'.'.join(path)}: {reason[:1].lower()}{reason[1:]}{_value(tables, path)}"
    return ConfigError("".join(character if character.isprintable() else " " for character in message))


def _choices(path: tuple[str, ...]) -> tuple[str, ...]:
    kind: type[msgspec.Struct] = (
        KeyTable
        if path[0].startswith("keys[")
        else QuotaTable
        if path[0].startswith("quotas[")
        else HistoryTable
        if path[:1] == ("sessions",) and path[1].startswith("history[")
        else _tables()[path[0]]
    )
    if path[-1].startswith("scopes["):
        return RIGHTS
    field = next(field for field in msgspec.structs.fields(kind) if field.name == path[-1])
    return typing.get_args(field.type)


def _value(tables: dict[str, Any], path: tuple[str, ...]) -> str:
    """Return the value at fault for the end of the error, unless it may be a secret."""
    value: Any = tables
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    is_setting = len(path) == (3 if path[:1] == ("models",) else 2)
    if value is None or not is_setting or "key" in path[-1] or isinstance(value, dict | list):
        return ""
    return f" (it is {value!r})"
