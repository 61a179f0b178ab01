"""`nanobot sessions compact`: summarises a conversation, with the running server or in this process."""

import asyncio
import os
from pathlib import Path
from urllib.parse import quote

import aiohttp
import click
import msgspec

from nanobot.app import make_models, open_app
from nanobot.cli import audit_log
from nanobot.cli.chat_errors import unreachable
from nanobot.cli.chat_remote import parse_url
from nanobot.cli.options import CONFIG, DATA, session_key, settings
from nanobot.cli.progress import ensure_weights
from nanobot.cli.running import find_server
from nanobot.cli.terminal import neutral
from nanobot.config import Config
from nanobot.core.clock import SystemClock
from nanobot.core.errors import NanobotError, SessionNotFound
from nanobot.core.offline import RunningServer

_LONGEST_S = 600.0


class _Done(msgspec.Struct, frozen=True):
    """The fields of the server's answer that are shown, by their names in the API."""

    messages_summarised: int
    messages_added: int
    summary: str | None = None
    facts: int = 0
    facts_kept: int = 0


class _Problem(msgspec.Struct, frozen=True):
    message: str


class _Refusal(msgspec.Struct, frozen=True):
    error: _Problem


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
        done = asyncio.run(_asked(server, key))
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


async def _asked(server: RunningServer, key: str) -> _Done:
    """Have the running server do it.

    Raises:
        NanobotError: it does not answer, or says why it cannot.
    """
    url = f"{parse_url(server.url)}/v1/sessions/{quote(key, safe='')}/compact"
    trusted = aiohttp.Fingerprint(server.certificate) if server.certificate else True
    timeout = aiohttp.ClientTimeout(total=_LONGEST_S)
    headers = {"Authorization": f"Bearer {server.token}"}
    connector = aiohttp.TCPConnector(ssl=trusted)
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as http,
            http.post(url) as response,
        ):
            body = await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise await unreachable(server.url, error) from None
    if response.status == 404:
        raise SessionNotFound(msgspec.json.decode(body, type=_Refusal).error.message)
    if response.status != 200:
        raise NanobotError(msgspec.json.decode(body, type=_Refusal).error.message)
    return msgspec.json.decode(body, type=_Done)
