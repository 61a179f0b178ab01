"""Who has an interpreter keeps it while it is used."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

from nanobot.testing import FakeClock
from nanobot.tools.sandbox.command import Command, Ending
from nanobot.tools.shell.commands import ShellCommands, ShellSettings
from nanobot.tools.shell.interpreters import Interpreters, InterpreterSettings

BOUND_S = 20.0


class Counting:
    """An interpreter that answers how many pieces of code it has run, and ends only when it is told to."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[bytes] = asyncio.Queue()
        self._runs = 0

    async def read(self) -> bytes:
        return await self._said.get()

    async def write(self, data: bytes) -> None:
        request = json.loads(data)
        self._runs += bool(request["code"])
        self._said.put_nowait(f"{self._runs}{request['mark']}0\n".encode())

    def close_input(self) -> None:
        self.stop()

    def stop(self) -> None:
        self._said.put_nowait(b"")

    async def wait(self) -> Ending:
        return Ending(None, "it was stopped")


class Starting:
    """A sandbox in which only such interpreters are started."""

    async def start(self, command: Command) -> Counting:
        return Counting()


async def test_one_that_is_about_to_be_used_makes_no_room_for_others() -> None:
    may_leave, leaves = asyncio.Event(), asyncio.Event()
    may_leave.set()

    @contextlib.asynccontextmanager
    async def directory(session_key: str) -> AsyncIterator[Path]:
        yield Path("/workspaces", session_key)
        if session_key == "a":
            leaves.set()
            await may_leave.wait()

    commands = ShellCommands(Starting(), directory, ShellSettings())
    interpreters = Interpreters(commands, FakeClock(), random.Random(1), InterpreterSettings(most=1))

    async def run(key: str) -> str:
        return (await interpreters.run(key, "x", 5.0, 1_000)).output

    async with asyncio.timeout(BOUND_S):
        assert await run("a") == "1"
        may_leave.clear()
        again = asyncio.create_task(run("a"))
        await leaves.wait()
        other = asyncio.create_task(run("b"))
        for _ in range(20):
            await asyncio.sleep(0)
        may_leave.set()
        assert await again == "2"
        assert await other == "1"
        await interpreters.close()
