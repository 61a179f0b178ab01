"""`nanobot sessions list|search|show|rename|fork|export|import|delete`: those that only read work beside a
running server.
"""

import asyncio
import contextlib
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from nanobot.api.wire import session_export
from nanobot.api.wire.session_lists import found_object
from nanobot.api.wire.session_message import parse_message_id
from nanobot.cli.audit import write_down
from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.terminal import neutral, one_line
from nanobot.config import Config
from nanobot.core.clock import SystemClock
from nanobot.core.errors import BadSessionKey, SessionNotFound, StoreError, StoreLocked
from nanobot.core.message import Audio, File, Image, Text
from nanobot.core.sessions import ALL, Row, SearchHit, Session, parse_key
from nanobot.core.store import Store
from nanobot.stores.sql import catalogue, search, transcript
from nanobot.stores.sqlite import index
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.opening import DATABASE, explain, open_reader
from nanobot.stores.sqlite.store import open_store

_PAGE = 500


@click.group("sessions")
def command() -> None:
    """List, search, read, name, copy, export, import and delete conversations."""


@command.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many, at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
@DATA
def list_(limit: int, as_json: bool, config_file: Path | None, data: str | None) -> None:
    """List conversations, the one used last first."""
    with reading(_config(config_file, data)) as db:
        found = catalogue.sessions(db, limit=limit, after=None)
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    if not found:
        click.echo("there is no conversation yet")
        return
    shown = [(neutral(session.key), str(session.messages), _when(session.updated_at)) for session in found]
    width = max(len(key) for key, _, _ in shown)
    click.echo(f"{'KEY':{width}}  MESSAGES  LAST USED")
    for key, messages, used in shown:
        click.echo(f"{key:{width}}  {messages:>8}  {used}")


@command.command("show")
@click.argument("key")
@CONFIG
@DATA
def show(key: str, config_file: Path | None, data: str | None) -> None:
    """Print the conversation KEY, to be read."""
    with reading(_config(config_file, data)) as db:
        for row in rows(db, _parsed(key)):
            click.echo(neutral(readable(row)) + "\n")


@command.command("export")
@click.argument("key")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@CONFIG
@DATA
def export(key: str, file: Path | None, config_file: Path | None, data: str | None) -> None:
    """Write the conversation KEY as JSON lines, to FILE or the standard output."""
    key = _parsed(key)
    with reading(_config(config_file, data)) as db:
        found = rows(db, key)
        session = catalogue.session(db, key=key)
        if file is None:
            _write(sys.stdout.buffer, session, found)
            return
        with _new_file(file) as stream:
            written = _write(stream, session, found)
    click.echo(f"{written} messages written to {file}", err=True)


@command.command("delete")
@click.argument("key")
@click.option("--yes", is_flag=True, help="Do not ask.")
@CONFIG
@DATA
def delete(key: str, yes: bool, config_file: Path | None, data: str | None) -> None:
    """Delete the conversation KEY with all that belongs to it."""
    key = _parsed(key)
    config = _config(config_file, data)
    with reading(config) as db:
        messages = count(db, key)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask on: say --yes to delete")
        click.confirm(f"delete {neutral(key)} with {messages} messages? This cannot be undone", abort=True)
    deleted = asyncio.run(_delete(config, key))
    write_down(config, "nanobot sessions delete", session_key=key)
    click.echo(f"{deleted} messages deleted")


async def _delete(config: Config, key: str) -> int:
    async with _writing(config, "delete the conversation") as store:
        removed = await store.delete_session(key)
        await store.write_over()
        return removed.messages


@command.command("search")
@click.argument("text")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
@DATA
def search_(text: str, limit: int, as_json: bool, config_file: Path | None, data: str | None) -> None:
    """Find conversations with a message that has all the words of TEXT, or words that begin so."""
    config = _config(config_file, data)
    # where there is no store, none is made
    with reading(config):
        pass
    found = asyncio.run(_search(config, text, limit))
    shown = [found_object(each, text) for each in found]
    if as_json:
        click.echo(msgspec.json.encode(shown))
        return
    if not shown:
        click.echo("nothing found")
        return
    for each in shown:
        if not isinstance(each.match, msgspec.UnsetType):
            click.echo(
                f"{neutral(each.key)}  {_when(each.match.created_at)}  {each.match.role}: {one_line(each.match.snippet)}"
            )


async def _search(config: Config, text: str, limit: int) -> tuple[SearchHit, ...]:
    """Search; beside a running server in what that server has taken into the index, which it does within
    seconds.
    """
    try:
        store = await open_store(config.data, SystemClock())
    except StoreLocked:
        with reading(config) as db:
            return search.search(db, index, text=text, limit=limit, after=None, order="desc", matching=ALL)
    try:
        return await store.search(text, limit=limit)
    finally:
        await store.close()


@command.command("rename")
@click.argument("key")
@click.argument("title")
@CONFIG
@DATA
def rename(key: str, title: str, config_file: Path | None, data: str | None) -> None:
    """Give the conversation KEY the title TITLE; an empty one takes it away."""
    key = _parsed(key)
    if len(title) > 256:
        raise click.UsageError(f"title of {len(title)} characters: at most 256 are allowed")
    config = _config(config_file, data)
    asyncio.run(_rename(config, key, title))
    write_down(config, "nanobot sessions rename", session_key=key)


async def _rename(config: Config, key: str, title: str) -> None:
    async with _writing(config, "rename the conversation") as store:
        session = await store.session(key)
        await store.rename_session(key, title=title or None, metadata=session.metadata)


@command.command("fork")
@click.argument("key")
@click.argument("new_key")
@click.option("--at", metavar="MESSAGE", help="The last message to take along, e.g. msg_12 [the last one].")
@CONFIG
@DATA
def fork(key: str, new_key: str, at: str | None, config_file: Path | None, data: str | None) -> None:
    """Copy the conversation KEY, up to a message, to NEW_KEY."""
    key, new_key = _parsed(key), _parsed(new_key)
    seq = parse_message_id(at) if at is not None else None
    config = _config(config_file, data)
    copied = asyncio.run(_fork(config, key, new_key, seq))
    write_down(config, "nanobot sessions fork", session_key=key, target=new_key)
    click.echo(f"{copied} messages copied")


async def _fork(config: Config, key: str, new_key: str, at: int | None) -> int:
    async with _writing(config, "copy the conversation") as store:
        return (await store.fork_session(key, new_key, at=at)).messages


@command.command("import")
@click.argument("key")
@click.argument("file", type=click.Path(path_type=Path))
@CONFIG
@DATA
def import_(key: str, file: Path, config_file: Path | None, data: str | None) -> None:
    """Make the conversation KEY, which must be new, of an export: FILE, or - for the standard input."""
    key = _parsed(key)
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as stream:
            imported = session_export.read(stream, SystemClock().now())
    except OSError as error:
        raise StoreError(f"cannot read {file} ({error.strerror}): nothing was imported") from error
    config = _config(config_file, data)
    made = asyncio.run(_import(config, key, imported))
    write_down(config, "nanobot sessions import", session_key=key)
    click.echo(f"{made} messages imported")


async def _import(config: Config, key: str, imported: session_export.Imported) -> int:
    async with _writing(config, "import the conversation") as store:
        made = await store.import_session(
            key, imported.given, title=imported.title, metadata=imported.metadata
        )
        return made.messages


@contextlib.asynccontextmanager
async def _writing(config: Config, wish: str) -> AsyncIterator[Store]:
    """Yield the store, to change it.

    Raises:
        StoreLocked: a server has it; the text says how `wish` can be done all the same.
    """
    try:
        store = await open_store(config.data, SystemClock())
    except StoreLocked:
        raise StoreLocked(f"{config.data} is in use by a running nanobot: stop it, then {wish}") from None
    try:
        yield store
    finally:
        await store.close()


# Reading ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def reading(config: Config) -> Iterator[Connection]:
    """Yield a connection that sees the store as of one moment, whatever a server writes meanwhile.

    Raises:
        StoreError: there is no store, or it cannot be read.
    """
    db = open_reader(config.data)
    try:
        db.execute("BEGIN")
        yield db
    except sqlite3.Error as error:
        raise explain(error, config.data / DATABASE) from error
    finally:
        db.close()


def rows(db: Connection, key: str) -> Iterator[Row]:
    """Return the messages of the live transcript, oldest first.

    Raises:
        SessionNotFound: at once, not when the first one is asked for.
    """
    first = catalogue.messages(db, key=key, limit=_PAGE, after_seq=0)

    def pages() -> Iterator[Row]:
        page = first
        while page:
            yield from page
            page = catalogue.messages(db, key=key, limit=_PAGE, after_seq=page[-1].seq)

    return pages()


def count(db: Connection, key: str) -> int:
    """Return how many messages the session has.

    Raises:
        SessionNotFound
    """
    place = transcript.find_head(db, key)
    if place is None:
        raise SessionNotFound(f"no session {key!r} here")
    return transcript.count(db, place.session, place.tip)


def _config(config_file: Path | None, data: str | None) -> Config:
    return settings(config_file, server={"data": data})


def _parsed(key: str) -> str:
    parsed = parse_key(key)
    if not parsed:
        raise BadSessionKey("the key is empty: name a conversation (`nanobot sessions list` shows them)")
    return parsed


def _when(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


# Showing and writing ------------------------------------------------------------------------------


def readable(row: Row) -> str:
    """Return the message for a reader: who and when, what was said, what was called and what it gave."""
    message = row.message
    lines = [
        f"── {message.role}, {_when(row.created_at)}{' (stopped)' if message.stop_reason == 'incomplete' else ''}"
    ]
    for part in message.parts:
        match part:
            case Text(text):
                lines.append(text)
            case Image():
                lines.append("[an image]")
            case Audio():
                lines.append("[a recording]")
            case File(name):
                lines.append(f"[the file {name}]")
    lines.extend(f"[calls {call.name} {call.arguments}]" for call in message.tool_calls)
    lines.extend(
        f"[{'failed: ' if result.is_error else ''}{result.content}]" for result in message.tool_results
    )
    return "\n".join(lines)


def _write(stream: BinaryIO, session: Session, found: Iterator[Row]) -> int:
    stream.write(session_export.header(session))
    written = 0
    for row in found:
        stream.write(session_export.lines((row,)))
        written += 1
    stream.flush()
    return written


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path` once all of it is written; a file that is there already is not
    touched.

    Raises: StoreError
    """
    if path.exists():
        raise StoreError(f"{path} exists already: name a new file, nothing was written")
    partial = path.with_name(path.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        with partial.open("wb") as stream:
            yield stream
        partial.rename(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path} ({error.strerror}): nothing was kept of it") from error
