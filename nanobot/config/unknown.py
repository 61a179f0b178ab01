"""Names that are no setting, and the settings that were probably meant."""

import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from nanobot.config.config import Config
from nanobot.config.models import ModelTable, ProviderTable
from nanobot.core.late_pattern import LatePattern

PREFIX = "NANOBOT_"
SHORT_VARIABLES = {"NANOBOT_DATA": ("server", "data"), "NANOBOT_MODEL": ("model", "name")}
NAMED: dict[str, type[msgspec.Struct]] = {"models": ModelTable, "providers": ProviderTable}
"""The tables that hold one table a name."""
_SERVICE_LINK = LatePattern(
    r"NANOBOT(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)"
)
"""What Kubernetes puts into the environment of every pod beside a service that is called nanobot."""
_SERVICE_ADDRESS = LatePattern(r"(tcp|udp|sctp)://")


def single_tables() -> dict[str, type[msgspec.Struct]]:
    """Return the type of each table whose settings can come from the environment."""
    return {
        field.name: field.type for field in msgspec.structs.fields(Config) if isinstance(field.type, type)
    }


def variables() -> dict[str, tuple[str, str]]:
    """Return the table and the name of the setting that each variable of the environment sets; where two set
    the same, the one that counts is the later.
    """
    named = {
        f"{PREFIX}{table}_{name}".upper(): (table, name)
        for table, kind in single_tables().items()
        for name in kind.__struct_fields__
    }
    return {**named, **SHORT_VARIABLES}


def unknown_variable(environment: Mapping[str, str], tables: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the first variable that is named like a setting but is not one; None where
    there is no such variable. Those that `tables`, the config file, names as the place of a key are known.
    """
    known = variables()
    others = set(_key_variables(tables))
    for variable, value in environment.items():
        if not variable.startswith(PREFIX) or not value or variable in known or variable in others:
            continue
        if _SERVICE_LINK.fullmatch(variable) and (
            "_SERVICE_" in variable
            or "_TCP" in variable
            or "_UDP" in variable
            or _SERVICE_ADDRESS.match(value)
        ):
            continue
        meant = _meant_variable(variable, known)
        hint = f"; did you mean {meant}?" if meant else " (docs/settings.md lists them)"
        return f"{variable}: there is no such setting{hint}"
    return None


def _key_variables(tables: Mapping[str, Any]) -> Iterable[str]:
    """Yield every `key_variable` of the config file."""
    of_kinds = [tables.get(kind) for kind in NAMED]
    named = [table for kind in of_kinds if isinstance(kind, dict) for table in kind.values()]
    for table in (tables.get("model"), *named):
        if isinstance(table, dict) and isinstance(table.get("key_variable"), str):
            yield table["key_variable"]


def unknown_name(path: tuple[str, ...], name: str) -> str:
    """Return what is wrong with `name`, which is no setting of the table at `path` (of no table: the file
    itself).
    """
    meant = _meant_setting(path, name)
    return "there is no such setting" + (f"; did you mean {meant}?" if meant else "")


def _meant_setting(path: tuple[str, ...], name: str) -> str | None:
    by_name = {
        setting: f"{table}.{setting}"
        # Reversed, so that of two tables with the same setting the first counts.
        for table, kind in reversed(single_tables().items())
        for setting in kind.__struct_fields__
    }
    if not path:
        tables = [field.name for field in msgspec.structs.fields(Config)]
        close = _nearest(name, tables, 0.7)
        return by_name.get(name) or (f"[{close}]" if close else None)
    kind = table_type(path)
    if kind is None:
        return None
    if name not in by_name:
        if close := _nearest(name, kind.__struct_fields__):
            return f"{'.'.join(path)}.{close}"
        name = _nearest(name, by_name, 0.8) or name
    return by_name.get(name)


def _meant_variable(variable: str, known: Mapping[str, tuple[str, str]]) -> str | None:
    """Return the variable whose name is nearly the same; else one whose setting is called nearly the same, in
    the table that is named or in another; else the nearest.
    """
    # What all have in common would make any two alike.
    name = variable.removeprefix(PREFIX)
    names = {each.removeprefix(PREFIX): setting for each, setting in known.items()}
    if close := _nearest(name, names, 0.8):
        return PREFIX + close
    tables = sorted({f"{table}_".upper() for table, _ in names.values()}, key=len, reverse=True)
    table = next((each for each in tables if name.startswith(each)), "")
    wanted = name.removeprefix(table).lower()
    here = {setting: each for each, (of, setting) in names.items() if f"{of}_".upper() == table}
    # Reversed, so that of two tables with the same setting the first counts.
    anywhere = {setting: each for each, (_, setting) in reversed(names.items())}
    for settings in (here, anywhere):
        if close := _nearest(wanted, settings, 0.7):
            return PREFIX + settings[close]
    close = _nearest(name, names)
    return PREFIX + close if close else None


def _nearest(name: str, names: Iterable[str], least: float = 0.6) -> str | None:
    """Return the one of the names that is most like this one; None where none is so like it."""
    # Only a mistake needs it.
    import difflib

    return next(iter(difflib.get_close_matches(name, list(names), n=1, cutoff=least)), None)


def table_type(path: tuple[str, ...]) -> type[msgspec.Struct] | None:
    """Return the type of the table at `path`, such as `("keys[0]",)` or `("models", "fast")`; None where
    there is none.
    """
    kind = setting_type(path)
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def setting_type(path: tuple[str, ...]) -> Any:
    """Return the type of the setting or the table at `path`; None where there is none."""
    kind: Any = Config
    for step in path:
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            # A table of tables: the step is a name that the user chose.
            arguments = typing.get_args(kind)
            kind = _given(arguments[-1]) if typing.get_origin(kind) is dict else None
            continue
        name = step.partition("[")[0]
        field = next((each for each in msgspec.structs.fields(kind) if each.name == name), None)
        if field is None:
            return None
        kind = _given(field.type)
        if "[" in step:
            kind = _given(typing.get_args(kind)[0 if typing.get_origin(kind) is tuple else -1])
    return kind


def _given(kind: Any) -> Any:
    """Return the type of what may also be left out, where it is there."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        others = [each for each in typing.get_args(kind) if each is not types.NoneType]
        return others[0] if len(others) == 1 else kind
    return kind
