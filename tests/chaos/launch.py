"""The server as the command line runs it, with two tools that record what they did and a count of retries.

CHAOS_RECORD names the directory of the records. Each line is written with O_APPEND and synced before anything
goes on, so that a kill never takes back what a tool did.
"""

import argparse
import asyncio
import logging
import os
import random
import time
from pathlib import Path

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from nanobot import config
from nanobot.api.server import build_api
from nanobot.app import app
from nanobot.cli.listener import bind
from nanobot.cli.serve import loop_factory, serve
from nanobot.core.tool import Tool, ToolContext

RUNS, RETRIES = "tool-runs", "retries"
NOTED = "noted"
_LONGEST_CALL_S = 0.2


class NoteArguments(msgspec.Struct, frozen=True):
    id: str


def note(directory: Path, name: str, *, repeatable: bool) -> Tool:
    """Return the tool that writes a line of `time name call turn` and takes a moment before it says so."""

    async def run(arguments: NoteArguments, context: ToolContext) -> str:
        line = f"{time.time():.6f} {name} {context.call_id} {context.turn_id}\n"
        await asyncio.to_thread(record, directory / RUNS, line)
        await asyncio.sleep(random.random() * _LONGEST_CALL_S)
        return f"{NOTED} {arguments.id}"

    return Tool(name, "Note an id.", NoteArguments, run, repeatable=repeatable)


def record(file: Path, line: str) -> None:
    """Add `line` to `file`; it is on the disk when this returns."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Counting:
    """Passes every request on, and records those that say they are a retry."""

    def __init__(self, api: ASGIApp, directory: Path) -> None:
        self._api = api
        self._file = directory / RETRIES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        number = dict(scope.get("headers", ())).get(b"x-stainless-retry-count", b"0")
        if number != b"0":
            with self._file.open("ab") as file:
                file.write(number + b"\n")
        await self._api(scope, receive, send)


def main() -> None:
    options = argparse.ArgumentParser()
    for name in ("--port", "--data", "--model"):
        options.add_argument(name, required=True)
    given = options.parse_args()
    settings = config.load(
        None, os.environ, {"server": {"port": given.port, "data": given.data}, "model": {"name": given.model}}
    )
    logging.basicConfig(
        level=settings.log.level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    directory = Path(os.environ["CHAOS_RECORD"])
    # The one thing that the app does not let a caller add: a look at each request.
    vars(app)["build_api"] = lambda *parts, **named: Counting(build_api(*parts, **named), directory)
    tools = [note(directory, "note_once", repeatable=False), note(directory, "note_again", repeatable=True)]
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(settings, bind(settings.server.host, settings.server.port), tools))


if __name__ == "__main__":
    main()
