"""`nanobot plugins list|add|remove`: they work beside a running server, which sees their skills by itself."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from nanobot.app.skills import files_of
from nanobot.cli import audit_log
from nanobot.cli.group import Group
from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.skills import check_system
from nanobot.cli.terminal import neutral, one_line
from nanobot.config import Config
from nanobot.tools.plugins.installed import InstalledPlugin, PluginFolder, described
from nanobot.tools.plugins.wheel import unpack_wheel


@click.group("plugins", cls=Group)
def command() -> None:
    """List, add and remove plugins: skills and MCP servers in one folder, also while a server runs."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
@DATA
def list_(as_json: bool, config_file: Path | None, data: str | None) -> None:
    """List the plugins that are installed, with their skills and MCP servers."""
    config = settings(config_file, server={"data": data})
    folder = _folder(config)
    found = folder.installed()
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    if not found:
        click.echo("no plugin is installed")
    for plugin in found:
        _show(plugin, folder)


@command.command("add")
@click.argument("source", metavar="DIR|WHEEL", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Replace the plugin, and skills of the same names.")
@CONFIG
@DATA
def add(source: Path, replace: bool, config_file: Path | None, data: str | None) -> None:
    """Install the plugin in the directory DIR, or in a wheel. Its skills are offered within seconds; its MCP
    servers stay off.
    """
    config = settings(config_file, server={"data": data})
    check_system()
    folder = _folder(config)
    with _unpacked(source.resolve()) as path:
        added = folder.add(files_of(path.parent), path.name, replaces=replace)
    audit_log.record(config, "nanobot plugins add", target=added.plugin.name)
    _show(added.plugin, folder)
    for warning in added.warnings:
        click.echo(f"  warning: {one_line(warning)}")


@command.command("remove")
@click.argument("name", metavar="NAME")
@CONFIG
@DATA
def remove(name: str, config_file: Path | None, data: str | None) -> None:
    """Remove the plugin NAME, its skills, and what its MCP servers have kept."""
    config = settings(config_file, server={"data": data})
    kept = _folder(config).remove(name)
    audit_log.record(config, "nanobot plugins remove", target=name)
    click.echo(f"{name} is removed; take its MCP servers out of your settings, too, if you put them there")
    for skill in kept:
        click.echo(
            f"  the skill {neutral(skill)} was changed since, and stays: `nanobot skills remove {skill}`"
        )


def _folder(config: Config) -> PluginFolder:
    return PluginFolder(config.data, config.skills_folder)


@contextlib.contextmanager
def _unpacked(source: Path) -> Iterator[Path]:
    """Yield the directory of the plugin: `source` itself, or what a wheel has in it."""
    if source.suffix.lower() not in (".whl", ".zip") or source.is_dir():
        yield source
        return
    target = Path(tempfile.mkdtemp(prefix="nanobot-plugin-"))
    try:
        yield unpack_wheel(source, target)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _show(plugin: InstalledPlugin, folder: PluginFolder) -> None:
    version = f" {one_line(plugin.version)}" if plugin.version else ""
    click.echo(f"{plugin.name}{version}")
    if plugin.description:
        click.echo(f"  {one_line(plugin.description)}")
    if plugin.skills:
        click.echo(f"  skills: {neutral(', '.join(plugin.skills))}")
    for line in described(plugin.servers):
        click.echo(f"  {one_line(line)}")
    if any(not problem for problem in plugin.servers.values()):
        click.echo(
            f"  to turn a server on, read what it runs in {folder.mcp_file(plugin.name)}, and copy its entry"
            ' without "disabled" into the file that mcp.file names'
        )
