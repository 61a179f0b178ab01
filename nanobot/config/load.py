"""Reads the settings: command line, environment (`NANOBOT_…`), `nanobot.toml`, default."""

import re
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nanobot.config.models import ModelTable, ProviderTable
from nanobot.config.tables import Config, HistoryTable, KeyTable, QuotaTable
from nanobot.core.accounts import RIGHTS
from nanobot.core.errors import ConfigError

FILE = "nanobot.toml"
_Table = TypeVar("_Table", bound=msgspec.Struct)


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
        read = _from_text(table, name, value, where) if isinstance(value, str) else value
        tables = {**tables, table: {**tables.get(table, {}), name: read}}
        _convert({table: {name: read}}, where)
    return _convert(tables, str(file or FILE)) if overrides else config


_LISTS = (
    ("agent", "tools"),
    ("api", "session_headers"),
    ("api", "allowed_hosts"),
    ("api", "cors_origins"),
    ("model", "api_keys"),
    ("model", "fallback"),
    ("server", "forwarded_allow_ips"),
)
_OBJECTS = (("model", "headers"), ("model", "body"), ("model", "price"))


def _from_text(table: str, name: str, text: str, where: str) -> object:
    """Return the value of a setting that is given as text.

    Raises:
        ConfigError: it should be a JSON object, and is none.
    """
    if (table, name) in _LISTS:
        return [item.strip() for item in text.split(",") if item.strip()]
    if (table, name) not in _OBJECTS:
        return text
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: {table}.{name}: must be a JSON object") from error


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
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    _find_files(tables, path.parent)
    return tables


def _find_files(tables: dict[str, Any], folder: Path) -> None:
    """Take the files that the settings name from the folder of the settings, where the names are relative."""
    rules = tables.get("agents")
    for table in (tables.get("agent"), *(rules if isinstance(rules, list) else ())):
        name = table.get("instructions_file") if isinstance(table, dict) else None
        if isinstance(name, str) and not name.startswith("~"):
            table["instructions_file"] = str(folder / name)


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
            {name: table for name, table in tables.items() if name not in _NAMED}, Config, strict=False
        )
    except msgspec.ValidationError as error:
        raise _error(tables, str(error), where, ()) from error
    return msgspec.structs.replace(
        config,
        models=_convert_named(tables, "models", ModelTable, where),
        providers=_convert_named(tables, "providers", ProviderTable, where),
    )


_NAMED: dict[str, type[msgspec.Struct]] = {"models": ModelTable, "providers": ProviderTable}
"""The tables that hold one table a name."""


def _convert_named(
    tables: dict[str, Any], kind: str, table_type: type[_Table], where: str
) -> dict[str, _Table]:
    named = tables.get(kind, {})
    if not isinstance(named, dict):
        raise ConfigError(f"{where}: {kind} must be tables, one for each name, as [{kind}.NAME]")
    converted: dict[str, _Table] = {}
    for name, table in named.items():
        try:
            converted[name] = msgspec.convert(table, table_type, strict=False)
        except msgspec.ValidationError as error:
            raise _error(tables, str(error), where, (kind, name)) from error
    return converted


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
    if path[-1].startswith("scopes["):
        return RIGHTS
    kind: type[msgspec.Struct] = (
        KeyTable
        if path[0].startswith("keys[")
        else QuotaTable
        if path[0].startswith("quotas[")
        else HistoryTable
        if path[0] == "sessions" and path[1].startswith("history[")
        else _NAMED.get(path[0]) or _tables()[path[0]]
    )
    field = next(field for field in msgspec.structs.fields(kind) if field.name == path[-1])
    return typing.get_args(field.type)


_SECRET = ("key", "proxy")
"""Words in the names of settings whose value may be a secret."""


def _value(tables: dict[str, Any], path: tuple[str, ...]) -> str:
    """Return the value at fault for the end of the error, unless it may be a secret."""
    value: Any = tables
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    is_setting = len(path) == (3 if path and path[0] in _NAMED else 2)
    if value is None or not is_setting or isinstance(value, dict | list):
        return ""
    if any(word in path[-1] for word in _SECRET):
        return ""
    return f" (it is {value!r})"
