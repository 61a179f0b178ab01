"""The old database, restored, opened by the code under test, and asked.

`opened` is the only place here that knows names of that code.
"""

import asyncio
import contextlib
import gzip
import json
import random
import shutil
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.asgi import BOUND_S, Door
from tests.migration.routes import Answer, Answers, Ask, Walk, look, read, settle
from tests.migration.writing_routes import change, resend

HERE = Path(__file__).parent
PRESET = "small"
PRICES = {"scripted": {"input": 1.5, "output": 6.0, "cached_input": 0.25}}
_NAMES = ("admin", "alice", "group", "reader", "revoked", "forgotten", "expired", "lasting")
TOKENS = {name: f"golden-key-of-{name}" for name in _NAMES}
"""The API keys of the database, by their names."""
OPENED_AT = 1_800_352_800.0
"""When the server is back: past the end of an upload and of a key that were there when it crashed."""
DATABASE, UPLOADS = "nanobot.sqlite3", "files"
"""What the old code called them in a data directory."""


@contextlib.asynccontextmanager
async def opened(data: Path) -> AsyncIterator["Reopened"]:
    """Open the app on a data directory, at a fixed time, with models that echo once they may."""
    from nanobot.app import Models, open_app
    from nanobot.testing import FakeClock, Say, ScriptedModel
    from tests.harness import configured

    asked, may_answer = asyncio.Semaphore(0), asyncio.Event()

    def answer(request: Any) -> Say:
        asked.release()
        return Say((_echo(request),), before=may_answer)

    models = Models(
        ScriptedModel(answer, name="scripted"), {PRESET: ScriptedModel(answer, name="small-model")}
    )
    tables: dict[str, dict[str, Any]] = {
        "prices": PRICES,
        "audit": {"enabled": False},
        "api": {"max_bad_keys": 0},
        # Those that the old code had: a model that calls one that there is none of is told their names.
        "agent": {"tools": ["current_time", "calculate"]},
    }
    clock, randomness = FakeClock(OPENED_AT), random.Random(1)
    async with open_app(configured(data, tables), models, clock=clock, randomness=randomness) as app:
        door = Door(app.asgi)

        async def ask(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
            done = await door.call(method, path, body=body, headers=headers)
            return Answer(done.status, done.headers, done.raw)

        try:
            yield Reopened(ask, asked, may_answer)
        finally:
            await door.close()


class Reopened(NamedTuple):
    """The app, opened again: how to ask it, and its models: when they are asked, and when they may answer."""

    ask: Ask
    asked: asyncio.Semaphore
    may_answer: asyncio.Event


def _echo(request: Any) -> str:
    """Return the answer of the model: what it was told last, and how much came before."""
    last = request.messages[-1]
    said = " ".join(result.content for result in last.tool_results) or last.text
    return f"Heard as number {len(request.messages)}: {said[:80]}"


def restore(data: Path) -> None:
    """Make the data directory as a kill -9 left it: all of the database still in SQLite's log."""
    made = data.with_name(data.name + ".made")
    for folder in (made, data):
        folder.mkdir()
    with contextlib.closing(sqlite3.connect(made / DATABASE)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.executescript((HERE / "old.sql").read_text(encoding="utf-8"))
        for name in (DATABASE, f"{DATABASE}-wal"):
            shutil.copyfile(made / name, data / name)
    shutil.rmtree(made)
    (data / UPLOADS).mkdir()
    for content in (HERE / "uploads").iterdir():
        shutil.copyfile(content, data / UPLOADS / content.name.removesuffix(".bin"))


def _known() -> dict[str, Any]:
    known: dict[str, Any] = json.loads((HERE / "known.json").read_text(encoding="utf-8"))
    return known


async def settled(server: Reopened) -> None:
    """Return when the turns that the crash cut off have ended."""
    server.may_answer.set()
    async with asyncio.timeout(BOUND_S):
        await settle(server.ask, _known(), TOKENS)


async def walked(server: Reopened, *, has_settled: bool = False) -> Answers:
    """Return what every route answers: while the turns that were cut off run again, and once they have ended.

    `has_settled`: they have ended before.
    """
    walk = Walk(server.ask, _known(), TOKENS)
    if not has_settled:
        async with asyncio.timeout(BOUND_S):
            for _ in {key for _, key in walk.known["open_turns"]}:  # one turn runs in each of the sessions
                await server.asked.acquire()
        await look(walk)
    await settled(server)
    await resend(walk)
    await read(walk)
    await change(walk)
    return walk.answers


def answered_before() -> Answers:
    """Return what the old code answered."""
    answers: Answers = json.loads(gzip.decompress((HERE / "answers.json.gz").read_bytes()))
    return answers
