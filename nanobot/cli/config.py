"""`nanobot config show`: every setting that applies, and where it comes from."""

import os
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from nanobot import config as settings_of
from nanobot.cli.group import Group
from nanobot.cli.options import CONFIG, DATA, MODEL, OPTIONS, settings
from nanobot.cli.terminal import neutral
from nanobot.config import FILE, Config, sets_nothing
from nanobot.config.masking import masked


class _Setting(msgspec.Struct, frozen=True):
    value: object
    origin: str


@click.group("config", cls=Group)
def command() -> None:
    """Show the settings that apply."""


@command.command("show")
@click.option("--changed", is_flag=True, help="Leave out the settings that have their default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--host", metavar="HOST", help="As of `nanobot serve`.")
@click.option("--port", metavar="PORT", help="As of `nanobot serve`.")
@CONFIG
@DATA
@MODEL
def show(
    changed: bool,
    as_json: bool,
    host: str | None,
    port: str | None,
    config_file: Path | None,
    data: str | None,
    model: str | None,
) -> None:
    """Print every setting that applies, and where it comes from: the default, the line of the config file,
    the variable of the environment, the option. Secrets are not shown.
    """
    options = {"server": {"host": host, "port": port, "data": data}, "model": {"name": model}}
    config = settings(config_file, **options)
    origins = settings_of.origins(config_file, os.environ, options)
    shown = {
        name: setting
        for name, setting in _settings(config, origins)
        if setting.origin != "default" or not changed
    }
    if as_json:
        click.echo(msgspec.json.encode(shown))
        return
    click.echo(f"# {_file(config_file)}")
    table = ""
    for name, setting in shown.items():
        head, _, field = name.rpartition(".")
        if head != table:
            table = head
            click.echo(f"\n[{neutral(table)}]")
        if setting.value is None:
            click.echo(f"# {field} is not set")
            continue
        value = neutral(_toml(setting.value))
        click.echo(f"{f'{field} = {value}':48}  # {neutral(setting.origin)}")


def _file(config_file: Path | None) -> str:
    empty = ", which has no settings" if sets_nothing(config_file) else ""
    if config_file is not None:
        return f"config file: {config_file}{empty}"
    path = Path(FILE).absolute()
    return f"config file: {path}{empty}" if path.exists() else f"no config file: there is no {path}"


def _settings(config: Config, origins: dict[str, str]) -> Iterator[tuple[str, _Setting]]:
    """Yield each setting under its dotted name: those of the single tables, then those of presets,
    providers, keys, quotas and prices that are there.
    """
    for field in msgspec.structs.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, msgspec.Struct):
            yield from _table(field.name, value, origins, every=True)
        elif isinstance(value, dict):
            for name, table in value.items():
                yield from _table(f"{field.name}.{name}", table, origins, every=False)
        else:
            for number, table in enumerate(value):
                yield from _table(f"{field.name}[{number}]", table, origins, every=False)


def _table(
    table: str, values: msgspec.Struct, origins: dict[str, str], *, every: bool
) -> Iterator[tuple[str, _Setting]]:
    """Yield the settings of a table; `every`: also those that have their default."""
    for field in msgspec.structs.fields(values):
        name = f"{table}.{field.name}"
        origin = origins.get(name, "default")
        origin = OPTIONS.get(origin, origin)
        value = getattr(values, field.name)
        if name == "server.data" and value is None:
            value = str(settings_of.default_data_directory())
        if every or origin != "default":
            yield name, _Setting(masked(field.name, value), origin)


def _toml(value: object) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items() if each is not None) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return msgspec.json.encode(value).decode()
