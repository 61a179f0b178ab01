"""`nanobot memory add|change|forget`: with the running server, where there is one, or in this process."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
import msgspec
from msgspec import UNSET, UnsetType

from nanobot.api.wire import memory as wire
from nanobot.cli import audit_log
from nanobot.cli.options import CONFIG, DATA, session_key, settings
from nanobot.cli.running import find_server
from nanobot.cli.server_request import ask_server
from nanobot.cli.store import offline_store, store_to_change
from nanobot.cli.terminal import neutral, one_line
from nanobot.config import Config
from nanobot.core.clock import SystemClock
from nanobot.core.errors import FactNotFound
from nanobot.core.ids import SystemRandomness, new_id
from nanobot.core.memory import Memory, MemoryFact
from nanobot.core.scopes import LAYERS, Layer

Value = TypeVar("Value")


class _FactRequest(msgspec.Struct, frozen=True):
    """What a running server is asked for, of the routes of `/v1/memory`."""

    method: str
    path: str
    body: bytes | None = None


class _FactId(msgspec.Struct, frozen=True):
    """The field of the server's answers that is shown."""

    id: str


@click.command("add")
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
    if replaces is not None:
        replaces = _meant(config, key, replaces).id
    body = wire.NewFactBody(
        text, subject=about or None, layer=layer, public=public, pinned=pin, replaces=replaces
    )
    new = wire.new_fact(body, new_id("mem", SystemClock().now(), SystemRandomness()), "operator")
    asked = _FactRequest("POST", "", msgspec.json.encode(body))
    click.echo(_done(config, key, "add", asked, lambda memory: memory.remember(key, new)))


@click.command("change")
@click.argument("key")
@click.argument("fact")
@click.option("--text", metavar="TEXT", help="What is so instead: a new version, the one before stays.")
@click.option("--about", metavar="WHOM", help="Whom or what it is about; empty: its owner.")
@click.option("--public/--private", default=None, help="Whether groups where the person speaks are told it.")
@click.option("--pin/--unpin", default=None, help="Whether it comes first in what the model is told.")
@CONFIG
@DATA
def change(
    key: str,
    fact: str,
    text: str | None,
    about: str | None,
    public: bool | None,
    pin: bool | None,
    config_file: Path | None,
    data: str | None,
) -> None:
    """Correct a fact, pin it, or make it public: FACT is its id, or words that only it has."""
    key = session_key(key)
    config = settings(config_file, server={"data": data})
    body = wire.FactChangeBody(
        text=_given(text), subject=_given(about), public=_given(public), pinned=_given(pin)
    )
    if body == wire.FactChangeBody():
        raise click.UsageError("say what is to be different: --text, --about, --public or --pin")
    meant = _meant(config, key, fact)
    asked = _FactRequest("PATCH", f"/{meant.id}", msgspec.json.encode(body))
    changes = wire.change(body, "operator")
    click.echo(_done(config, key, "change", asked, lambda memory: memory.change_fact(key, meant.id, changes)))


@click.command("forget")
@click.argument("key")
@click.argument("fact")
@click.option("--yes", is_flag=True, help="Do not ask.")
@CONFIG
@DATA
def forget(key: str, fact: str, yes: bool, config_file: Path | None, data: str | None) -> None:
    """Delete a fact for good with its history: FACT is its id, or words that only it has."""
    key = session_key(key)
    config = settings(config_file, server={"data": data})
    meant = _meant(config, key, fact)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask on: say --yes to forget")
        click.confirm(f"forget {described(meant)}? This cannot be undone", abort=True)
    asked = _FactRequest("DELETE", f"/{meant.id}")
    _done(config, key, "forget", asked, lambda memory: memory.forget(key, meant.id))
    click.echo(f"forgotten: {neutral(meant.text)}")


def described(fact: MemoryFact) -> str:
    """Return the fact on one line: what it says, whose it is and where it comes from."""
    marks: list[str] = [fact.layer, fact.origin]
    marks += [name for name, is_so in (("pinned", fact.is_pinned), ("public", fact.is_public)) if is_so]
    subject = f"{fact.subject}: " if fact.subject else ""
    return f"{one_line(subject + fact.text)} ({', '.join(marks)})"


def _meant(config: Config, key: str, fact: str) -> MemoryFact:
    with offline_store(config).open_readonly() as store:
        return store.fact(key, fact)


def _given(value: Value | None) -> Value | UnsetType:
    return UNSET if value is None else value


def _done(
    config: Config, key: str, name: str, asked: _FactRequest, here: Callable[[Memory], Awaitable[MemoryFact]]
) -> str:
    """Do it, by the server that uses the data directory or in this process; return the id of the fact."""
    server = find_server(config)
    if server is not None:
        path = f"/v1/memory{asked.path}"
        answer = asyncio.run(
            ask_server(server, asked.method, path, FactNotFound, asked.body, session_key=key)
        )
        return msgspec.json.decode(answer, type=_FactId).id
    fact = asyncio.run(_done_here(config, name, here))
    audit_log.record(config, f"nanobot memory {name}", session_key=key, target=fact.id)
    return fact.id


async def _done_here(
    config: Config, name: str, here: Callable[[Memory], Awaitable[MemoryFact]]
) -> MemoryFact:
    async with store_to_change(config, f"{name} the fact") as store:
        return await here(store)
