"""`nanobot model list|pull|remove`: the weights of the models that run on this machine."""

import sys
from pathlib import Path

import click

from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.progress import models_directory, pull
from nanobot.cli.terminal import size
from nanobot.models.weights import installed as weights


@click.group("model")
def command() -> None:
    """List, fetch and remove the small models that run on this machine."""


@command.command("list")
@CONFIG
@DATA
def list_(config_file: Path | None, data: str | None) -> None:
    """List the models that can be fetched, and those that are here."""
    directory = _directory(config_file, data)
    here = {model.weights.name for model in weights.installed(directory)}
    click.echo(f"{'NAME':12}  {'SIZE':>8}  {'LICENCE':10}  {'HERE':4}  MODEL")
    for known in weights.KNOWN:
        is_here = "yes" if known.name in here else "no"
        click.echo(
            f"{known.name:12}  {size(known.size_bytes):>8}  {known.licence:10}  {is_here:4}  {known.title}"
        )


@command.command("pull")
@click.argument("name")
@CONFIG
@DATA
def pull_(name: str, config_file: Path | None, data: str | None) -> None:
    """Fetch the model NAME, as `nanobot model list` calls it."""
    path = pull(name, _directory(config_file, data))
    click.echo(f"{name} is here: {path}")


@command.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@CONFIG
@DATA
def remove(name: str, yes: bool, config_file: Path | None, data: str | None) -> None:
    """Delete the model NAME from this machine."""
    directory = _directory(config_file, data)
    source = weights.parse(name)
    if isinstance(source, weights.Weights) and not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask on: say --yes to delete")
        click.confirm(f"delete {source.title} ({size(source.size_bytes)}) from {directory}?", abort=True)
    click.echo(f"{name} was deleted" if weights.remove(name, directory) else f"{name} is not here")


def _directory(config_file: Path | None, data: str | None) -> Path:
    return models_directory(settings(config_file, server={"data": data}))
