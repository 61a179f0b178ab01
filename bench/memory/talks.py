"""Conversations with a server in this process: a model that answers at once, and what a turn of them took.

Units: CPU and time in milliseconds; tokens are a quarter of the bytes, as nobody's tokenizer counts them.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import msgspec

from nanobot.access.caller import EVERYBODY
from nanobot.app import App, Models, open_app
from nanobot.config import Config
from nanobot.core.event import TurnEnded
from nanobot.core.message import Message, Text, ToolCall, ToolResult, Usage, user
from nanobot.core.model import ModelRequest
from nanobot.core.turn import Identity
from nanobot.submit.request import TurnRequest
from nanobot.testing import Say, ScriptedModel

BYTES_PER_TOKEN: Final = 4
_SUMMARY_TASK: Final = "Below is the beginning of a conversation"


class Took(msgspec.Struct, frozen=True):
    """What one turn took. `prompt` and `cached`: tokens that were sent, and those of them that the request
    before began with. `during`: a summary was being written; `after`: it is the first turn with a new one.
    """

    cpu_ms: float
    wall_ms: float
    prompt: int
    cached: int
    during: bool = False
    after: bool = False


class Reading:
    """A model that answers with `answer`, and a summary with what `summarise` makes of the conversation.

    It knows its last request, to say how much of the next one a provider would have in its cache. What it
    takes for that is not counted as the server's.
    """

    def __init__(self, answer: str, summarise: Callable[[str], str], summary_s: float = 0.0) -> None:
        self.model = ScriptedModel(self._say, name="bench", context_tokens=1 << 40)
        self.last = ""
        self.own_s = 0.0
        self.prompt = self.cached = 0
        self.summaries = 0
        self._answer = answer
        self._summarise = summarise
        self._summary_s = summary_s

    def _say(self, request: ModelRequest) -> str | Say:
        began = time.thread_time()
        self.model.requests.clear()
        try:
            if request.system.startswith(_SUMMARY_TASK):
                self.summaries += 1
                text = self._summarise(request.messages[0].text)
                before = asyncio.Event()
                asyncio.get_running_loop().call_later(self._summary_s, before.set)
                return Say((), Message("assistant", (Text(text),), "stop", Usage(1, 1)), before=before)
            read = as_read(request)
            self.prompt = len(read) // BYTES_PER_TOKEN
            self.cached = shared_start(self.last, read) // BYTES_PER_TOKEN
            self.last = read
            return Say((), Message("assistant", (Text(self._answer),), "stop", Usage(self.prompt, 1)))
        finally:
            self.own_s += time.thread_time() - began


def shared_start(one: str, other: str) -> int:
    """Return how many characters both begin with."""
    least, most = 0, min(len(one), len(other))
    while least < most:
        middle = (least + most + 1) // 2
        if one[least:middle] == other[least:middle]:
            least = middle
        else:
            most = middle - 1
    return least


def as_read(request: ModelRequest) -> str:
    """Return the request in the order in which a model reads it."""
    pieces = [request.system, *(tool.name + tool.description for tool in request.tools)]
    for message in request.messages:
        pieces.append(message.role)
        for part in message.parts:
            if isinstance(part, Text):
                pieces.append(part.text)
            elif isinstance(part, ToolCall):
                pieces.append(part.name + part.arguments)
            elif isinstance(part, ToolResult):
                pieces.append(part.content)
    return "\n".join([*pieces, request.notes])


@contextlib.asynccontextmanager
async def serving(reading: Reading, **tables: dict[str, object]) -> AsyncIterator["Talk"]:
    """Yield a server on a directory of its own, with these settings."""
    with tempfile.TemporaryDirectory(prefix="nanobot-memory-") as directory:
        config = msgspec.convert({"server": {"data": str(Path(directory) / "data")}, **tables}, Config)
        async with open_app(config, Models(reading.model, {})) as app:
            yield Talk(app, reading)


class Talk:
    """Turns with the server, one after the other."""

    def __init__(self, app: App, reading: Reading) -> None:
        self.app = app
        self._reading = reading
        self._seen: dict[str, int] = {}
        self._number = 0

    async def ask(self, session_key: str, text: str) -> Took:
        """Ask, and return what the turn took."""
        reading, submitter = self._reading, self.app.submitter
        self._number += 1
        request = TurnRequest(
            session_key=session_key,
            input=(user(text),),
            origin="cli",
            identity=Identity(self._number.to_bytes(32)),
        )
        during = self.app.compactor.is_writing(session_key)
        before, own = reading.summaries, reading.own_s
        cpu, wall = time.process_time(), time.perf_counter()
        admission = (await submitter.submit(request, EVERYBODY)).admission
        with submitter.follow(admission) as follower:
            async for batch in follower.events():
                follower.has_ended = any(isinstance(event, TurnEnded) for _, event in batch)
        spent = time.process_time() - cpu - (reading.own_s - own)
        took = 1_000 * (time.perf_counter() - wall)
        after = not during and self._seen.get(session_key, 0) != before
        if not during:
            self._seen[session_key] = before
        return Took(1_000 * spent, took, reading.prompt, reading.cached, during, after)
