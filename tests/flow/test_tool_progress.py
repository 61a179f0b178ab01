"""What a tool tells while it runs is seen by who follows the turn, and stored nowhere."""

import asyncio
import sys

import msgspec
import pytest

from nanobot.core.tool import Tool, ToolContext
from nanobot.testing import ScriptedModel, call
from nanobot.tools.sandbox.command import Ending
from nanobot.tools.shell.commands import ShellCommands, ShellSettings
from nanobot.tools.shell.interpreters import CodeCall
from nanobot.tools.shell.output import LiveLines
from tests.asgi import BOUND_S
from tests.flow.test_shell import Held, HeldRunning, directory
from tests.harness import Harness, OpenHarness

ASK = {"role": "user", "content": "Do it."}


class Nothing(msgspec.Struct, frozen=True):
    """No arguments."""


class Worker:
    """A tool that tells what it is told to, and ends when it may."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.over = asyncio.Event()

    async def run(self, _: Nothing, context: ToolContext) -> str:
        context.tell("first line")
        context.tell("first line\nsecond line")
        self.told.set()
        await self.over.wait()
        return "done"

    def tool(self) -> Tool:
        return Tool("work", "Work.", Nothing, self.run)


async def opened(open_harness: OpenHarness, worker: Worker) -> Harness:
    return await open_harness(ScriptedModel(call("work"), "All is done."), tools=[worker.tool()])


async def stream(harness: Harness, worker: Worker, **headers: str) -> str:
    """Return what a client is streamed that asks before the tool ends."""
    asking = asyncio.create_task(harness.door.chat("k", [ASK], stream=True, headers=headers))
    async with asyncio.timeout(BOUND_S):
        await worker.told.wait()
        worker.over.set()
        return (await asking).text


async def test_who_asks_for_the_events_of_tools_sees_what_a_call_tells_while_it_runs(
    open_harness: OpenHarness,
) -> None:
    worker = Worker()
    harness = await opened(open_harness, worker)
    text = await stream(harness, worker, **{"x-events": "tools"})
    started, told, finished = (
        text.index(f"event: tool_{name}\n") for name in ("started", "progress", "finished")
    )
    assert started < told < finished
    assert '{"id":"call_1","text":"first line\\nsecond line"}' in text


async def test_others_see_nothing_of_it_and_nothing_is_stored(open_harness: OpenHarness) -> None:
    worker = Worker()
    harness = await opened(open_harness, worker)
    assert "second line" not in await stream(harness, worker)
    shown = await harness.door.get("/v1/sessions/k/messages")
    assert "second line" not in shown.text
    turn = shown.json["data"][-1]["turn_id"]
    again = await harness.door.get(f"/v1/turns/{turn}/stream", {"x-events": "tools"})
    assert "tool_finished" in again.text
    assert "second line" not in again.text


async def test_who_resumes_a_stream_in_mid_call_sees_the_newest_and_what_follows(
    open_harness: OpenHarness,
) -> None:
    worker = Worker()
    harness = await opened(open_harness, worker)
    asking = asyncio.create_task(harness.door.chat("k", [ASK]))
    async with asyncio.timeout(BOUND_S):
        await worker.told.wait()
        turn = (await harness.door.get("/v1/sessions/k/messages")).json["data"][-1]["turn_id"]
        url = f"/v1/turns/{turn}/stream?after=2"
        following = harness.door.start("GET", url, headers={"x-events": "tools"})
        await following.until("second line")
        worker.over.set()
        text = (await following.done()).text
        await asking
    assert text.count("event: tool_progress\n") == 1
    assert text.count("event: tool_finished\n") == 1


class Writing(HeldRunning):
    """A command that writes what it is given, a piece at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def read(self) -> bytes:
        return await self.pieces.get()

    async def wait(self) -> Ending:
        return Ending(0)


class WritingSandbox(Held):
    def __init__(self, running: Writing) -> None:
        super().__init__()
        self._writing = running

    async def start(self, command: object) -> Writing:
        return self._writing


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")
async def test_the_last_lines_of_a_command_are_told_while_it_runs() -> None:
    running, told = Writing(), asyncio.Queue[str]()
    commands = ShellCommands(WritingSandbox(running), directory, ShellSettings(live_lines=2))
    work = asyncio.create_task(commands.run("k", "make", 5, 1_000, tell=told.put_nowait))
    async with asyncio.timeout(BOUND_S):
        running.pieces.put_nowait(b"one\ntwo\nthree\n" + b"x" * 5_000)
        assert await told.get() == f"three\n{'x' * 300}…"
        running.pieces.put_nowait(b"\n\x1b[2Jfour 10%\rfour 99%")
        assert await told.get() == f"{'x' * 300}…\nfour 99%"
        running.pieces.put_nowait(b"")
        await work
    assert told.empty()


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")
async def test_no_lines_are_told_where_the_settings_say_so() -> None:
    running, told = Writing(), asyncio.Queue[str]()
    commands = ShellCommands(WritingSandbox(running), directory, ShellSettings(live_lines=0))
    work = asyncio.create_task(commands.run("k", "make", 5, 1_000, tell=told.put_nowait))
    for piece in (b"one\n", b""):
        running.pieces.put_nowait(piece)
    await work
    assert told.empty()


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")
async def test_what_python_that_stays_prints_is_told_at_once_without_its_mark() -> None:
    mark, told = "END-0123456789", asyncio.Queue[str]()
    call = CodeCall(mark, 1_000, LiveLines(10, told.put_nowait))
    async with asyncio.timeout(BOUND_S):
        assert call.add(b"1\nEN") == b""
        assert await told.get() == "1"
        assert call.add(b"D of it\nEND-01234") == b""
        assert await told.get() == "1\nEND of it"
        assert call.add(b"567890\nlate") == b"late"
    assert call.output.text() == "1\nEND of it\n"
    assert call.status.result() == 0
