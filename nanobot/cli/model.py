"""`nanobot model list|pull|remove`: the providers, and the weights of the models that run on this machine."""

import os
import sys
from pathlib import Path

import click

from nanobot.app import known_providers
from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.progress import models_directory, pull
from nanobot.cli.terminal import size
from nanobot.config import ProviderTable
from nanobot.core.errors import ConfigError
from nanobot.models.address import Address
from nanobot.models.providers import Provider
from nanobot.models.providers.environment import default_model, find_base_url, find_key
from nanobot.models.weights import installed as weights


@click.group("model")
def command() -> None:
    """List the providers of models; list, fetch and remove the small models that run on this machine."""


@command.command("list")
@CONFIG
@DATA
def list_(config_file: Path | None, data: str | None) -> None:
    """List the models that can be fetched and those that are here, then the providers: which have a key."""
    config = settings(config_file, server={"data": data})
    directory = models_directory(config)
    here = {model.weights.name for model in weights.installed(directory)}
    click.echo(f"{'NAME':12}  {'SIZE':>8}  {'LICENCE':10}  {'HERE':4}  MODEL")
    for known in weights.KNOWN:
        is_here = "yes" if known.name in here else "no"
        click.echo(
            f"{known.name:12}  {size(known.size_bytes):>8}  {known.licence:10}  {is_here:4}  {known.title}"
        )
    click.echo()
    click.echo(f"{'PROVIDER':12}  {'KEY':28}  {'DEFAULT MODEL':20}  ADDRESS")
    for provider in known_providers(config).values():
        key = _key(provider, config.providers.get(provider.name))
        model = default_model(provider, os.environ) or "-"
        click.echo(f"{provider.name:12}  {key:28}  {model:20}  {_address(provider)}")


def _key(provider: Provider, table: ProviderTable | None) -> str:
    """Return where the provider's key comes from; never the key."""
    if provider.retired:
        return f"(shut down {provider.retired})"
    if table is not None and (table.api_key or table.api_keys):
        return "in the config file"
    if (table is not None and table.key_command) or (not provider.key_variables and provider.key_command):
        return "by a command"
    found = find_key(provider, os.environ)
    if found is not None:
        return found.variable
    return "no" if provider.needs_key else "not needed"


def _address(provider: Provider) -> str:
    """Return where the provider is, without what may be secret in it."""
    try:
        return Address(find_base_url(provider, os.environ)).shown
    except ConfigError:
        # A part of it is not known, or it is no address.
        return provider.base_url if provider.blanks else "(no address)"


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
