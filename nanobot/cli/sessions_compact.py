"""`nanobot sessions compact`: summarises a conversation, with the running server or in this process."""

import asyncio
import os
from pathlib import Path
from urllib.parse import quote

import click
import msgspec

from nanobot.app import make_models, open_app
from nanobot.cli import audit_log
from nanobot.cli.options import CONFIG, DATA, session_key, settings
from nanobot.cli.progress import ensure_weights
from nanobot.cli.running import find_server
from nanobot.cli.server_request import ask_server
from nanobot.cli.terminal import neutral
from nanobot.config import Config
from nanobot.core.clock import SystemClock
from nanobot.core.errors import SessionNotFound


class _Done(msgspec.Struct, frozen=True):
    """The fields of the server's answer that are shown, by their names in the API."""

    messages_summarised: int
    messages_added: int
    summary: str | None = None
    facts: int = 0
    facts_kept: int = 0


@click.command("compact")
@click.argument("key")
@CONFIG
@DATA
def compact(key: str, config_file: Path | None, data: str | None) -> None:
    """Summarise the conversation KEY but for its newest turn; the messages themselves stay as they are."""
    key = session_key(key)
    config = settings(config_file, server={"data": data})
    server = find_server(config)
    if server is not None:
        path = f"/v1/sessions/{quote(key, safe='')}/compact"
        done = msgspec.json.decode(asyncio.run(ask_server(server, "POST", path, SessionNotFound)), type=_Done)
    else:
        ensure_weights(config, os.environ)
        done = asyncio.run(_here(config, key))
        audit_log.record(config, "nanobot sessions compact", session_key=key)
    if not done.messages_added:
        click.echo("nothing to summarise: what has no summary yet is the newest turn, or short")
        return
    click.echo(
        f"{done.messages_added} messages summarised; a summary stands for the first "
        f"{done.messages_summarised}. Names, numbers and dates kept: {done.facts_kept} of {done.facts}"
    )
    click.echo(f"\n{neutral(done.summary or '')}")


async def _here(config: Config, key: str) -> _Done:
    models = make_models(config, os.environ, SystemClock())
    async with open_app(config, models) as app:
        found = await app.compactor.compact(key)
    summary = found.summary
    if summary is None:
        return _Done(found.messages, found.added)
    return _Done(found.messages, found.added, summary.text, summary.facts, summary.facts_kept)
