"""`nanobot sessions list|search`: they work beside a running server."""

import asyncio
from pathlib import Path

import click
import msgspec

from nanobot.api.wire.session_lists import hit_object
from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.store import exclusive_store, offline_store
from nanobot.cli.terminal import local_time, neutral, one_line
from nanobot.config import Config
from nanobot.core.errors import StoreLocked
from nanobot.core.sessions import SearchHit


@click.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many, at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
@DATA
def list_(limit: int, as_json: bool, config_file: Path | None, data: str | None) -> None:
    """List conversations, the one used last first."""
    config = settings(config_file, server={"data": data})
    with offline_store(config).open_readonly() as store:
        sessions = store.sessions(limit=limit)
    if as_json:
        click.echo(msgspec.json.encode(sessions))
        return
    if not sessions:
        click.echo("there is no conversation yet")
        return
    width = max(len(neutral(session.key)) for session in sessions)
    click.echo(f"{'KEY':{width}}  MESSAGES  LAST USED")
    for session in sessions:
        used = local_time(session.updated_at)
        click.echo(f"{neutral(session.key):{width}}  {session.messages:>8}  {used}")


@click.command("search")
@click.argument("text")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
@DATA
def search(text: str, limit: int, as_json: bool, config_file: Path | None, data: str | None) -> None:
    """Find conversations with a message that has all the words of TEXT, or words that begin so."""
    config = settings(config_file, server={"data": data})
    # Opening the store creates it where it is missing; this refuses instead.
    with offline_store(config).open_readonly():
        pass
    hits = [hit_object(hit) for hit in asyncio.run(_search(config, text, limit))]
    if as_json:
        click.echo(msgspec.json.encode(hits))
        return
    if not hits:
        click.echo("nothing found")
        return
    for hit in hits:
        if not isinstance(hit.match, msgspec.UnsetType):
            match = hit.match
            when = local_time(match.created_at)
            click.echo(f"{neutral(hit.key)}  {when}  {match.role}: {one_line(match.snippet)}")


async def _search(config: Config, text: str, limit: int) -> tuple[SearchHit, ...]:
    """Search everything; beside a running server, what that server has indexed."""
    try:
        async with exclusive_store(config) as store:
            return await store.search(text, limit=limit)
    except StoreLocked:
        with offline_store(config).open_readonly() as readonly:
            return readonly.search(text, limit=limit)
