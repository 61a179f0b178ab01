"""`nanobot memory list|search|show|add|forget|export`: what is remembered, in reach of a session key."""

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path

import click
import msgspec

from nanobot.api.wire import memory as wire
from nanobot.cli import audit_log
from nanobot.cli.group import Group
from nanobot.cli.new_file import new_file
from nanobot.cli.options import CONFIG, DATA, session_key, settings
from nanobot.cli.store import offline_store, store_to_change
from nanobot.cli.terminal import local_time, neutral, one_line
from nanobot.config import Config
from nanobot.core.clock import SystemClock
from nanobot.core.ids import SystemRandomness, new_id
from nanobot.core.memory import MemoryFact, NewFact
from nanobot.core.scopes import LAYERS, Layer

_MOST_FOUND = 100


@click.group("memory", cls=Group)
def command() -> None:
    """List, search, add, forget and export what is remembered.

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
    """Print the versions of the fact with the id FACT, newest first."""
    config = settings(config_file, server={"data": data})
    with offline_store(config).open_readonly() as store:
        for version in store.fact_versions(session_key(key), fact):
            state = "taken back" if version.is_undone else "now" if version.valid_until is None else "before"
            click.echo(f"{local_time(version.valid_from)}  {state}: {_described(version)}")


def _print(facts: Iterable[MemoryFact], *, as_json: bool) -> None:
    facts = list(facts)
    if as_json:
        click.echo(msgspec.json.encode([wire.fact_object(fact) for fact in facts]))
        return
    if not facts:
        click.echo("nothing is remembered")
    for fact in facts:
        click.echo(f"{fact.id}  {local_time(fact.valid_from)}  {_described(fact)}")


def _described(fact: MemoryFact) -> str:
    marks: list[str] = [fact.layer, fact.origin]
    marks += [name for name, is_so in (("pinned", fact.is_pinned), ("public", fact.is_public)) if is_so]
    subject = f"{fact.subject}: " if fact.subject else ""
    return f"{one_line(subject + fact.text)} ({', '.join(marks)})"


@command.command("add")
@click.argument("key")
@click.argument("text")
@click.option("--about", metavar="WHOM", default="", help="Whom or what it is about, if not its owner.")
@click.option("--layer", type=click.Choice(LAYERS), help="Whose fact it is [what is usual for KEY].")
@click.option("--public", is_flag=True, help="Groups may be told it where the person speaks.")
@click.option("--pin", is_flag=True, help="It comes first in what the model is told.")
@click.option("--replaces", metavar="FACT", help="The fact that it is a new version of: its id or its words.")
@CONFIG
@DATA
def add(
    key: str,
    text: str,
    about: str,
    layer: Layer | None,
    public: bool,
    pin: bool,
    replaces: str | None,
    config_file: Path | None,
    data: str | None,
) -> None:
    """Remember TEXT for turns of the session KEY, and print its id."""
    key = session_key(key)
    config = settings(config_file, server={"data": data})
    new = NewFact(
        id=new_id("mem", SystemClock().now(), SystemRandomness()),
        text=text,
        origin="operator",
        subject=about,
        layer=layer,
        is_public=public,
        is_pinned=pin,
        replaces=replaces,
    )
    fact = asyncio.run(_add(config, key, new))
    audit_log.record(config, "nanobot memory add", session_key=key, target=fact.id)
    click.echo(fact.id)


async def _add(config: Config, key: str, new: NewFact) -> MemoryFact:
    async with store_to_change(config, "add the fact") as store:
        return await store.remember(key, new)


@command.command("forget")
@click.argument("key")
@click.argument("fact")
@click.option("--yes", is_flag=True, help="Do not ask.")
@CONFIG
@DATA
def forget(key: str, fact: str, yes: bool, config_file: Path | None, data: str | None) -> None:
    """Delete a fact for good with its history: FACT is its id, or words that only it has."""
    key = session_key(key)
    config = settings(config_file, server={"data": data})
    with offline_store(config).open_readonly() as store:
        meant = store.fact(key, fact)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask on: say --yes to forget")
        click.confirm(f"forget {_described(meant)}? This cannot be undone", abort=True)
    asyncio.run(_forget(config, key, meant.id))
    audit_log.record(config, "nanobot memory forget", session_key=key, target=meant.id)
    click.echo(f"forgotten: {neutral(meant.text)}")


async def _forget(config: Config, key: str, fact_id: str) -> None:
    async with store_to_change(config, "forget the fact") as store:
        await store.forget(key, fact_id)


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
