"""`nanobot people erase`: erases a person, with the running server or in this process."""

import asyncio
import sys
from pathlib import Path
from urllib.parse import quote

import click
import msgspec

from nanobot.api.wire.people import PersonDeleted, receipt
from nanobot.cli import audit_log
from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.running import find_server
from nanobot.cli.server_request import ask_server
from nanobot.cli.store import offline_store, store_to_change
from nanobot.cli.terminal import neutral
from nanobot.config import Config
from nanobot.core.errors import PersonNotFound
from nanobot.core.people import Person


@click.command("erase")
@click.argument("person")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the receipt as JSON.")
@CONFIG
@DATA
def erase(person: str, yes: bool, as_json: bool, config_file: Path | None, data: str | None) -> None:
    """Delete all conversations, files and facts of PERSON, named as wx:alice, for good."""
    config = settings(config_file, server={"data": data})
    with offline_store(config).open_readonly() as store:
        found = store.person(person)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask on: say --yes to erase")
        click.confirm(f"erase {_described(found)}? This cannot be undone", abort=True)
    done = asyncio.run(_erased(config, person))
    if as_json:
        click.echo(msgspec.json.encode(done))
        return
    gone = done.removed
    click.echo(
        f"{neutral(person)} is erased: {gone.sessions} sessions, {gone.messages} messages,"
        f" {gone.turns} turns, {gone.files} files, {gone.facts} versions of facts, {gone.links} links;"
        f" {gone.bytes_} bytes"
    )
    if not done.complete:
        click.echo(f"{done.left.sessions} sessions are left", err=True)


def _described(person: Person) -> str:
    """Return what would go."""
    names = ", ".join(map(neutral, person.names))
    return f"{names} with {person.sessions} sessions, {person.files} files and all that is remembered of them"


async def _erased(config: Config, person: str) -> PersonDeleted:
    server = find_server(config)
    if server is not None:
        body = await ask_server(server, "DELETE", f"/v1/people/{quote(person, safe='')}", PersonNotFound)
        return msgspec.json.decode(body, type=PersonDeleted)
    async with store_to_change(config, "erase the person") as store:
        erasure = await store.erase_person(person)
        # Now, since no server runs here that would find the time later.
        await store.write_over()
    audit_log.record(config, "nanobot people erase", session_key=person)
    return receipt(person, erasure)
