"""`nanobot sessions list|show|delete|export`: all but `delete` read beside a running server."""

import asyncio
import contextlib
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec

from nanobot.cli.audit import write_down
from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.terminal import neutral
from nanobot.config import Config
from nanobot.core.clock import SystemClock
from nanobot.core.errors import BadSessionKey, SessionNotFound, StoreError, StoreLocked
from nanobot.core.message import Audio, File, Image, Message, Text
from nanobot.core.session import parse_key
from nanobot.core.store import Row
from nanobot.stores import catalogue, transcript
from nanobot.stores.opening import DATABASE, explain, open_reader
from nanobot.stores.sqlite import open_store

_PAGE = 500
_FORMAT = {"format": "nanobot.session", "version": 1}


@click.group("sessions")
def command() -> None:
    """List, read, export and delete conversations."""


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
        if file is None:
            _write(sys.stdout.buffer, key, found)
            return
        with _new_file(file) as stream:
            written = _write(stream, key, found)
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
    try:
        store = await open_store(config.data, SystemClock())
    except StoreLocked:
        raise StoreLocked(f"{config.data} is in use by a running nanobot: stop it, then delete the conversation") from None
    try:
        removed = await store.delete_session(key)
        await store.write_over()
        return removed.messages
    finally:
        await store.close()


# Reading ------------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def reading(config: Config) -> Iterator[sqlite3.Connection]:
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


def rows(db: sqlite3.Connection, key: str) -> Iterator[Row]:
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


def count(db: sqlite3.Connection, key: str) -> int:
    """Return how many messages the session has.

    Raises:
        SessionNotFound
    """
    place = transcript.find_place(db, key)
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


# Showing and writing ------------------------------------------------------------------------------------------------------


def readable(row: Row) -> str:
    """Return the message for a reader: who and when, what was said, what was called and what it gave."""
    message = row.message
    lines = [f"── {message.role}, {_when(row.created_at)}{' (stopped)' if message.stop_reason == 'incomplete' else ''}"]
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
    lines.extend(f"[{'failed: ' if result.is_error else ''}{result.content}]" for result in message.tool_results)
    return "\n".join(lines)


def exported(row: Row) -> dict[str, Any]:
    """Return the message as a line of an export: OpenAI's fields, and what the store knows of it."""
    message = row.message
    line: dict[str, Any] = {"id": f"msg_{row.seq}", "role": message.role, "content": _content(message)}
    if message.tool_calls:
        line["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in message.tool_calls
        ]
    if message.tool_results:
        line["tool_call_id"] = message.tool_results[0].call_id
    return {**line, "turn_id": row.turn_id, "created_at": row.created_at}


def _content(message: Message) -> str | list[dict[str, Any]] | None:
    if message.tool_results:
        return "".join(result.content for result in message.tool_results)
    if any(isinstance(part, Image | Audio | File) for part in message.parts):
        return [shaped for part in message.parts if (shaped := _part(part)) is not None]
    return message.text or (None if message.tool_calls else "")


def _part(part: object) -> dict[str, Any] | None:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(url, detail):
            return {"type": "image_url", "image_url": {"url": url, **({"detail": detail} if detail else {})}}
        case Audio(data, format_):
            return {"type": "input_audio", "input_audio": {"data": data, "format": format_}}
        case File(name, text, file_id):
            return {"type": "file", "file": {"filename": name, "text": text, **({"file_id": file_id} if file_id else {})}}
    return None


def _write(stream: BinaryIO, key: str, found: Iterator[Row]) -> int:
    stream.write(msgspec.json.encode({**_FORMAT, "key": key}) + b"\n")
    written = 0
    for row in found:
        stream.write(msgspec.json.encode(exported(row)) + b"\n")
        written += 1
    stream.flush()
    return written


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path` once all of it is written; a file that is there already is not touched.

    Raises:
        StoreError
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
