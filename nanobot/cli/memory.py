"""`nanobot memory list|search|show|add|change|forget|export`: what is remembered, in reach of a key."""

from collections.abc import Iterable
from pathlib import Path

import click
import msgspec

from nanobot.api.wire import memory as wire
from nanobot.cli import memory_change
from nanobot.cli.group import Group
from nanobot.cli.memory_change import described
from nanobot.cli.new_file import new_file
from nanobot.cli.options import CONFIG, DATA, session_key, settings
from nanobot.cli.store import offline_store
from nanobot.cli.terminal import local_time
from nanobot.core.memory import MemoryFact
from nanobot.core.scopes import LAYERS, Layer

_MOST_FOUND = 100


@click.group("memory", cls=Group)
def command() -> None:
    """List, search, add, correct, forget and export what is remembered.

    KEY is a session key: it says whose facts are meant, the person's, the group's and those of the session.
    """


@command.command("list")
@click.argument("key")
@click.option("--layer", type=click.Choice(LAYERS), help="Only facts of this layer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
@DATA
def list_(key: str, layer: Layer | None, as_json: bool, config_file: Path | None, data: str | None) -> None:
    """List the facts that turns of the session KEY may be told, newest first."""
    config = settings(config_file, server={"data": data})
    with offline_store(config).open_readonly() as store:
        facts = [wire.standing(versions) for versions in store.facts(session_key(key))]
    _print([fact for fact in facts if layer in (None, fact.layer)], as_json=as_json)


@command.command("search")
@click.argument("key")
@click.argument("text")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
@DATA
def search(key: str, text: str, as_json: bool, config_file: Path | None, data: str | None) -> None:
    """Find the facts that have most in common with TEXT, the best first."""
    config = settings(config_file, server={"data": data})
    with offline_store(config).open_readonly() as store:
        found = store.search_facts(session_key(key), text, limit=_MOST_FOUND)
    _print(found, as_json=as_json)


@command.command("show")
@click.argument("key")
@click.argument("fact")
@CONFIG
@DATA
def show(key: str, fact: str, config_file: Path | None, data: str | None) -> None:
    """Print the versions of a fact, newest first: FACT is its id, or words that only it has."""
    config = settings(config_file, server={"data": data})
    with offline_store(config).open_readonly() as store:
        for version in store.fact_versions(session_key(key), fact):
            state = "taken back" if version.is_undone else "now" if version.valid_until is None else "before"
            click.echo(f"{local_time(version.valid_from)}  {state}: {described(version)}")


def _print(facts: Iterable[MemoryFact], *, as_json: bool) -> None:
    facts = list(facts)
    if as_json:
        click.echo(msgspec.json.encode([wire.fact_object(fact) for fact in facts]))
        return
    if not facts:
        click.echo("nothing is remembered")
    for fact in facts:
        click.echo(f"{fact.id}  {local_time(fact.valid_from)}  {described(fact)}")


@command.command("export")
@click.argument("key")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "shape",
    type=click.Choice(("json", "markdown")),
    default="json",
    show_default=True,
    help="JSON with all versions, or Markdown to read.",
)
@CONFIG
@DATA
def export(key: str, file: Path | None, shape: str, config_file: Path | None, data: str | None) -> None:
    """Write all facts that KEY reaches to FILE, which must be new, or the standard output."""
    config = settings(config_file, server={"data": data})
    with offline_store(config).open_readonly() as store:
        facts = store.facts(session_key(key))
    content = wire.markdown(facts).encode() if shape == "markdown" else wire.export(facts) + b"\n"
    with new_file(file) as stream:
        stream.write(content)
    if file is not None:
        click.echo(f"{len(facts)} facts written to {file}", err=True)


for _subcommand in (memory_change.add, memory_change.change, memory_change.forget):
    command.add_command(_subcommand)
