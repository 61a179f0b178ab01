"""`nanobot sessions rename|fork|import|delete`: by the running server, where there is one, or here.
An import needs the data directory for itself.
"""

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import click
import msgspec

from nanobot.api.wire import session_export
from nanobot.api.wire.session_lists import ForkBody, RemovedObject, SessionDeleted, receipt
from nanobot.api.wire.session_message import message_id, parse_message_id
from nanobot.cli import audit_log
from nanobot.cli.options import CONFIG, DATA, session_key, settings
from nanobot.cli.running import find_server
from nanobot.cli.server_request import ask_server
from nanobot.cli.store import offline_store, store_to_change
from nanobot.cli.terminal import neutral
from nanobot.config import Config
from nanobot.core.clock import SystemClock
from nanobot.core.errors import SessionNotFound, StoreError
from nanobot.core.sessions import ImportedMessage

_MAX_TITLE_CHARS = 256


class _Copied(msgspec.Struct, frozen=True):
    """The field of the server's answer that is shown."""

    messages: int


@click.command("rename")
@click.argument("key")
@click.argument("title")
@CONFIG
@DATA
def rename(key: str, title: str, config_file: Path | None, data: str | None) -> None:
    """Give the conversation KEY the title TITLE; an empty one removes it."""
    key = session_key(key)
    if len(title) > _MAX_TITLE_CHARS:
        raise click.UsageError(f"title of {len(title)} characters: at most {_MAX_TITLE_CHARS} are allowed")
    config = settings(config_file, server={"data": data})
    asyncio.run(_rename(config, key, title))


async def _rename(config: Config, key: str, title: str) -> None:
    server = find_server(config)
    if server is not None:
        body = msgspec.json.encode({"title": title or None})
        await ask_server(server, "POST", _path(key), SessionNotFound, body)
        return
    async with store_to_change(config, "rename the conversation") as store:
        session = await store.session(key)
        await store.rename_session(key, title=title or None, metadata=session.metadata)
    audit_log.record(config, "nanobot sessions rename", session_key=key)


@click.command("fork")
@click.argument("key")
@click.argument("new_key")
@click.option("--at", metavar="MESSAGE", help="The last message to copy, e.g. msg_12 [the last one].")
@CONFIG
@DATA
def fork(key: str, new_key: str, at: str | None, config_file: Path | None, data: str | None) -> None:
    """Copy the conversation KEY, up to a message, to NEW_KEY."""
    key, new_key = session_key(key), session_key(new_key)
    seq = parse_message_id(at) if at is not None else None
    config = settings(config_file, server={"data": data})
    count = asyncio.run(_fork(config, key, new_key, seq))
    click.echo(f"{count} messages copied")


async def _fork(config: Config, key: str, new_key: str, at: int | None) -> int:
    server = find_server(config)
    if server is not None:
        body = msgspec.json.encode(ForkBody(message_id(at) if at is not None else None, new_key))
        made = await ask_server(server, "POST", f"{_path(key)}/fork", SessionNotFound, body)
        return msgspec.json.decode(made, type=_Copied).messages
    async with store_to_change(config, "copy the conversation") as store:
        count = (await store.fork_session(key, new_key, at=at)).messages
    audit_log.record(config, "nanobot sessions fork", session_key=key, target=new_key)
    return count


@click.command("import")
@click.argument("key")
@click.argument("file", type=click.Path(path_type=Path))
@CONFIG
@DATA
def import_(key: str, file: Path, config_file: Path | None, data: str | None) -> None:
    """Create the conversation KEY, which must be new, from an export: FILE, or - for the standard input."""
    key = session_key(key)
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as stream:
            imported = session_export.read(stream, SystemClock().now())
            messages = tuple(imported.messages)
    except OSError as error:
        raise StoreError(f"cannot read {file} ({error.strerror}): nothing was imported") from error
    config = settings(config_file, server={"data": data})
    count = asyncio.run(_import(config, key, imported, messages))
    audit_log.record(config, "nanobot sessions import", session_key=key)
    click.echo(f"{count} messages imported")


async def _import(
    config: Config, key: str, imported: session_export.Imported, messages: Sequence[ImportedMessage]
) -> int:
    async with store_to_change(config, "import the conversation") as store:
        session = await store.import_session(
            key,
            messages,
            title=imported.title,
            metadata=imported.metadata,
            # A preset of another server may not exist here: the default model answers then.
            model=imported.model if imported.model in config.models else None,
            instructions=imported.instructions,
        )
        return session.messages


@click.command("delete")
@click.argument("key")
@click.option("--yes", is_flag=True, help="Do not ask.")
@CONFIG
@DATA
def delete(key: str, yes: bool, config_file: Path | None, data: str | None) -> None:
    """Delete the conversation KEY with all that belongs to it."""
    key = session_key(key)
    config = settings(config_file, server={"data": data})
    with offline_store(config).open_readonly() as store:
        messages = store.session(key).messages
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask on: say --yes to delete")
        click.confirm(f"delete {neutral(key)} with {messages} messages? This cannot be undone", abort=True)
    gone = asyncio.run(_delete(config, key))
    click.echo(
        f"{gone.messages} messages, {gone.turns} turns, {gone.files} files and {gone.facts} versions of facts"
        " deleted"
    )


async def _delete(config: Config, key: str) -> RemovedObject:
    server = find_server(config)
    if server is not None:
        body = await ask_server(server, "DELETE", _path(key), SessionNotFound)
        return msgspec.json.decode(body, type=SessionDeleted).removed
    async with store_to_change(config, "delete the conversation") as store:
        deletion = await store.delete_session(key)
        # Now, since no server runs here that would find the time later.
        await store.write_over()
    audit_log.record(config, "nanobot sessions delete", session_key=key)
    return receipt(key, deletion).removed


def _path(key: str) -> str:
    return f"/v1/sessions/{quote(key, safe='')}"
