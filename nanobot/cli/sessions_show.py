"""`nanobot sessions show|export`: they work beside a running server."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from nanobot.api.wire import session_export
from nanobot.cli.new_file import new_file
from nanobot.cli.options import CONFIG, DATA, session_key, settings
from nanobot.cli.store import offline_store
from nanobot.cli.terminal import local_time, neutral
from nanobot.core.message import Audio, File, Image, Text
from nanobot.core.sessions import Row, Session


@click.command("show")
@click.argument("key")
@CONFIG
@DATA
def show(key: str, config_file: Path | None, data: str | None) -> None:
    """Print the conversation KEY as a transcript."""
    config = settings(config_file, server={"data": data})
    with offline_store(config).open_readonly() as store:
        for row in store.messages(session_key(key)):
            click.echo(neutral(readable(row)) + "\n")


def readable(row: Row) -> str:
    """Return the message as text: who and when, what was said, what was called, what that returned."""
    message = row.message
    stopped = " (stopped)" if message.stop_reason == "incomplete" else ""
    lines = [f"── {message.role}, {local_time(row.created_at)}{stopped}"]
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


@click.command("export")
@click.argument("key")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@CONFIG
@DATA
def export(key: str, file: Path | None, config_file: Path | None, data: str | None) -> None:
    """Write the conversation KEY as JSON lines, to FILE or the standard output."""
    key = session_key(key)
    config = settings(config_file, server={"data": data})
    with offline_store(config).open_readonly() as store:
        session, rows = store.session(key), store.messages(key)
        with new_file(file) as stream:
            count = _write(stream, session, rows)
    if file is not None:
        click.echo(f"{count} messages written to {file}", err=True)


def _write(stream: BinaryIO, session: Session, rows: Iterator[Row]) -> int:
    """Write the export, and return how many messages are in it."""
    stream.write(session_export.header(session))
    count = 0
    for row in rows:
        stream.write(session_export.lines((row,)))
        count += 1
    return count
