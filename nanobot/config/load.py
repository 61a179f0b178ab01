"""Reads the settings: command line, environment (`NANOBOT_…`), `nanobot.toml`, default."""

import os
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nanobot.config.config import Config
from nanobot.config.lines import setting_lines
from nanobot.config.models import ModelTable, ProviderTable
from nanobot.config.unknown import NAMED, setting_type, table_type, unknown_name, unknown_variable, variables
from nanobot.core.errors import ConfigError

FILE = "nanobot.toml"
_Table = TypeVar("_Table", bound=msgspec.Struct)


def load(
    file: Path | None, environment: Mapping[str, str], options: Mapping[str, Mapping[str, Any]]
) -> Config:
    """Return the settings. `options` are those of the command line, by table; None means that an option is
    absent.

    Raises:
        ConfigError: a setting is not valid, or there is none of that name. One line with its value, where it
            comes from (of the file: on which line), and what is allowed.
    """
    source = _read(file)
    tables = source.tables
    config = _convert(tables, source.place)
    if unknown := unknown_variable(environment, tables):
        raise ConfigError(unknown)
    overrides = _overrides(environment, options)
    for (table, name), (value, where) in overrides.items():
        if isinstance(value, str) and (table, name) != _PATH and not _is_text(value):
            raise ConfigError(f"{where}: {table}.{name}: is not UTF-8")
        read = _from_text(table, name, value, where) if isinstance(value, str) else value
        tables = {**tables, table: {**tables.get(table, {}), name: read}}
        _convert({table: {name: read}}, lambda _, where=where: where)  # type: ignore[misc]
    return _convert(tables, source.place) if overrides else config


def origins(
    file: Path | None, environment: Mapping[str, str], options: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Return where each setting that is no default comes from, by its name: `nanobot.toml:3`, a variable, an
    option. Tables and parts of values are among the names.

    Raises:
        ConfigError: the file cannot be read.
    """
    source = _read(file)
    lines = setting_lines(source.text)
    return {
        **{setting: f"{source.name}:{line}" for setting, line in lines.items()},
        **{
            f"{table}.{name}": where for (table, name), (_, where) in _overrides(environment, options).items()
        },
    }


def sets_nothing(file: Path | None) -> bool:
    """Return whether there is a config file and no setting in it.

    Raises:
        ConfigError: the file cannot be read.
    """
    return (file or Path(FILE)).exists() and not any(_read(file).tables.values())


def log_format(file: Path | None, environment: Mapping[str, str]) -> str:
    """Return the form of the log that settings ask for which are not valid: so that the error has it too."""
    if value := environment.get("NANOBOT_LOG_FORMAT"):
        return value
    try:
        text = (file or Path(FILE)).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "console"
    # The file may be no TOML.
    found = re.search(r"""^\s*\[log\][^\[]*^\s*format\s*=\s*["'](\w+)["']""", text, re.MULTILINE)
    return found[1] if found else "console"


def _overrides(
    environment: Mapping[str, str], options: Mapping[str, Mapping[str, Any]]
) -> dict[tuple[str, str], tuple[Any, str]]:
    """Return the value of each setting that is not the file's, and where it comes from."""
    found: dict[tuple[str, str], tuple[Any, str]] = {
        setting: (environment[variable], variable)
        for variable, setting in variables().items()
        if environment.get(variable)
    }
    for table, values in options.items():
        for name, value in values.items():
            if value is not None:
                found[table, name] = (value, f"--{name.replace('_', '-')}")
    return found


_LISTS = (
    ("agent", "skills"),
    ("agent", "tools"),
    ("api", "session_headers"),
    ("api", "allowed_hosts"),
    ("api", "cors_origins"),
    ("model", "api_keys"),
    ("mcp", "sessions"),
    ("model", "fallback"),
    ("server", "forwarded_allow_ips"),
    ("shell", "allowed_hosts"),
    ("shell", "readable"),
    ("shell", "sessions"),
    ("web", "allowed_hosts"),
    ("web", "blocked_hosts"),
    ("web", "private_hosts"),
)
_OBJECTS = (
    ("mcp", "servers"),
    ("model", "headers"),
    ("model", "body"),
    ("model", "price"),
    ("workspace", "roots"),
)


def _from_text(table: str, name: str, text: str, where: str) -> object:
    """Return the value of a setting that is given as text.

    Raises:
        ConfigError: it is not the JSON object that it should be.
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


class _Source(msgspec.Struct, frozen=True):
    """The config file. `name`: how errors call it."""

    name: str
    text: str
    tables: dict[str, Any]

    def place(self, setting: str) -> str:
        """Return the file and the line of a setting, else of the nearest thing around it that has one."""
        lines = setting_lines(self.text)
        while setting not in lines and setting:
            setting = re.sub(r"(^|\.)[^.\[]*$|\[[^\[]*$", "", setting)
        return f"{self.name}:{lines[setting]}" if setting in lines else self.name


def _read(file: Path | None) -> _Source:
    path = file or Path(FILE)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if file is None:
            return _Source(FILE, "", {})
        raise ConfigError(f"--config {file}: there is no such file") from error
    except PermissionError as error:
        # What `sudo -u nanobot nanobot …` meets in root's home.
        if file is None and not os.access(".", os.X_OK, effective_ids=os.access in os.supports_effective_ids):
            raise ConfigError(
                f"{Path.cwd()}: this user may not enter the current folder, where {FILE} would be: "
                "change to another one, or name the file with --config"
            ) from error
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    # Many servers have no file of settings.
    import tomllib

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax_error(path, text, str(error))) from error
    _find_files(tables, path.parent)
    return _Source(str(path), text, tables)


def _find_files(tables: dict[str, Any], folder: Path) -> None:
    """Take the files that the settings name from the folder of the settings, where the names are relative."""
    rules = tables.get("agents")
    for table in (tables.get("agent"), *(rules if isinstance(rules, list) else ())):
        name = table.get("instructions_file") if isinstance(table, dict) else None
        if isinstance(name, str) and not name.startswith("~"):
            table["instructions_file"] = str(folder / name)
    mcp = tables.get("mcp")
    name = mcp.get("file") if isinstance(mcp, dict) else None
    if isinstance(mcp, dict) and isinstance(name, str) and not name.startswith("~"):
        mcp["file"] = str(folder / name)


def _syntax_error(path: Path, content: str, text: str) -> str:
    """Return the error for what `tomllib` says of the file's content, with the line where others have it."""
    found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", text)
    if found is None:
        return f"{path} is not valid TOML: {text}"
    if found[1] is None:
        return f"{path}:{content.count(chr(10)) + 1}: not valid TOML: {text}"
    return f"{path}:{found[1]}: not valid TOML: {text[: found.start()]} (column {found[2]})"


# Errors -------------------------------------------------------------------------------------------


_Place = Callable[[str], str]
"""Returns where a setting comes from."""


def _convert(tables: dict[str, Any], place: _Place) -> Config:
    """Return the settings in `tables`; `place` tells in an error where they come from."""
    try:
        config = msgspec.convert(
            {name: table for name, table in tables.items() if name not in NAMED}, Config, strict=False
        )
    except msgspec.ValidationError as error:
        raise _error(tables, str(error), place, ()) from error
    return msgspec.structs.replace(
        config,
        models=_convert_named(tables, "models", ModelTable, place),
        providers=_convert_named(tables, "providers", ProviderTable, place),
    )


def _convert_named(
    tables: dict[str, Any], kind: str, table_type: type[_Table], place: _Place
) -> dict[str, _Table]:
    named = tables.get(kind, {})
    if not isinstance(named, dict):
        raise ConfigError(f"{place(kind)}: {kind} must be tables, one for each name, as [{kind}.NAME]")
    converted: dict[str, _Table] = {}
    for name, table in named.items():
        try:
            converted[name] = msgspec.convert(table, table_type, strict=False)
        except msgspec.ValidationError as error:
            raise _error(tables, str(error), place, (kind, name)) from error
    return converted


def _error(tables: dict[str, Any], text: str, place: _Place, root: tuple[str, ...]) -> ConfigError:
    """Return the error for `text`, which is msgspec's and names a path below `root`."""
    location = re.search(r" - at `\$\.?(.*)`$", text)
    # In brackets may be three dots: any name of a table.
    path = (*root, *(re.split(r"\.(?![^\[]*\])", location[1]) if location and location[1] else ()))
    path = _with_names(tables, path)
    reason = (text[: location.start()] if location else text).replace("`", "")
    if reason.startswith("Invalid enum value"):
        reason = f"must be one of {', '.join(_choices(path))}"
    elif reason.startswith("Expected object, got") and len(path) == 1 and table_type(path):
        reason = f"must be a table: write [{path[0]}]"
    elif reason == "Expected array, got object" and table_type((*path[:-1], f"{path[-1]}[0]")):
        reason = f"must be a list: write [[{'.'.join(path)}]]"
    if unknown := re.fullmatch(r"Object contains unknown field (.*)", reason, re.DOTALL):
        # Its value is not shown: it may be a secret under a misspelt name.
        setting, value = ".".join((*path, unknown[1])), ""
        reason = unknown_name(path, unknown[1])
    else:
        setting, value = ".".join(path), _value(tables, path)
    message = f"{place(setting)}: {setting}: {reason[:1].lower()}{reason[1:]}{value}"
    return ConfigError("".join(character if character.isprintable() else " " for character in message))


def _with_names(tables: dict[str, Any], path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the path with the names that users chose, of which msgspec says only that there is one."""
    named: tuple[str, ...] = ()
    for step in path:
        name, dots, _ = step.partition("[...]")
        named += (name,)
        if dots:
            (*_, kind), found = typing.get_args(setting_type(named)) or (Any,), _found(tables, named)
            values = found.items() if isinstance(found, dict) else ()
            named += (next((each for each, value in values if not _fits(value, kind)), "..."),)
    return named


def _found(tables: dict[str, Any], path: tuple[str, ...]) -> Any:
    """Return what the file has at the path; None where it has nothing there."""
    found: Any = tables
    for step in path:
        name, *places = re.split(r"\[(?=\d+\])", step)
        found = found.get(name) if isinstance(found, dict) else None
        for place in places:
            number = int(place.rstrip("]"))
            found = found[number] if isinstance(found, list) and number < len(found) else None
    return found


def _fits(value: object, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        return False
    return True


def _choices(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values that the setting at `path` may have."""
    return _literals(setting_type(path))


def _literals(kind: Any) -> tuple[str, ...]:
    """Return the texts that a type of literals has, one of them in a union, a list or a table too."""
    if typing.get_origin(kind) is typing.Literal:
        return tuple(str(each) for each in typing.get_args(kind))
    return tuple(text for each in typing.get_args(kind) for text in _literals(each))


_SECRET = ("key", "proxy")
"""Words in the names of settings whose value may be a secret."""


def _value(tables: dict[str, Any], path: tuple[str, ...]) -> str:
    """Return the value at fault for the end of the error, unless it may be a secret."""
    value = _found(tables, path) if not any("[" in step for step in path) else None
    is_setting = len(path) == (3 if path and path[0] in NAMED else 2)
    if value is None or not is_setting or isinstance(value, dict | list):
        return ""
    if any(word in path[-1] for word in _SECRET):
        return ""
    return f" (it is {value!r})"
