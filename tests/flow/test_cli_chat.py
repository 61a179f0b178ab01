"""`nanobot chat` as a process: at a terminal of its own, and in scripts."""

import asyncio
import contextlib
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import AsyncIterator, Mapping
from fcntl import ioctl
from pathlib import Path
from typing import Self

import msgspec
import pytest

from nanobot.core.tool import Tool, ToolContext
from nanobot.testing import Say, ScriptedModel, call
from tests.asgi import BOUND_S
from tests.harness import OpenHarness, listening
from tests.unit.cli.emulator import Emulator
from tests.upstream import Gate, Upstream, refused, streamed, text
from tests.upstream import call as tool_call

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07]*\x07|\x1b[=>]|\x1b[^a-zA-Z]*$|\r")
_PASTE_ON = "\x1b[?2004h"
PROMPT = "⟪prompt⟫"
"""Stands in what was seen where the chat began to wait for input: from then on pastes are wanted in brackets.
"""
START_S = 2 * BOUND_S
"""A process has to start: on a machine with much to do that takes a while."""


def environment(**more: str) -> dict[str, str]:
    """Return an environment without a provider, without settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OPENAI_", "NANOBOT_")) and name != "NO_COLOR"
    }
    return {**kept, "TERM": "xterm-256color", "PYTHONUTF8": "1", **more}


class Ran(msgspec.Struct, frozen=True):
    status: int
    out: str
    err: str


async def run(directory: Path, *arguments: str, given: str | None = None, **variables: str) -> Ran:
    """Run `nanobot chat ARGUMENTS` without a terminal, in `directory`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "nanobot",
        "chat",
        *arguments,
        cwd=directory,
        env=environment(PYTHONPATH=str(Path(__file__).parents[2]), **variables),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(START_S):
        out, err = await process.communicate((given or "").encode())
    return Ran(process.returncode or 0, out.decode(), err.decode())


class Terminal:
    """`nanobot chat` at a pseudo terminal. What it wrote stands in `text`, without escape sequences."""

    def __init__(self, directory: Path, arguments: tuple[str, ...], variables: Mapping[str, str]) -> None:
        self._directory = directory
        self._arguments = arguments
        self._variables = variables
        self._raw = b""
        self._seen = 0
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._end, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "nanobot",
            "chat",
            *self._arguments,
            cwd=self._directory,
            env=environment(PYTHONPATH=str(Path(__file__).parents[2]), **self._variables),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        os.set_blocking(self._end, False)
        asyncio.get_running_loop().add_reader(self._end, self._read)
        return self

    async def __aexit__(self, *reason: object) -> None:
        asyncio.get_running_loop().remove_reader(self._end)
        if self._process.returncode is None:
            await self.kill()
        os.close(self._end)

    def _read(self) -> None:
        try:
            piece = os.read(self._end, 65536)
        except OSError:
            # the process has gone and with it the other end
            piece = b""
        if not piece:
            asyncio.get_running_loop().remove_reader(self._end)
        self._raw += piece
        # it asks where the cursor is
        if b"\x1b[6n" in piece:
            os.write(self._end, b"\x1b[1;1R")
        self._changed.set()

    @property
    def raw(self) -> str:
        return self._raw.decode("utf-8")

    @property
    def text(self) -> str:
        return _ESCAPE.sub("", self._raw.decode("utf-8", "ignore").replace(_PASTE_ON, PROMPT))

    def type(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    async def see(self, wanted: str) -> str:
        """Wait for `wanted` after what was seen before; return all that came up to its end."""
        try:
            async with asyncio.timeout(START_S):
                while (found := self.text.find(wanted, self._seen)) < 0:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{wanted!r} did not come; there was {self.text[self._seen :]!r}") from None
        before, self._seen = self._seen, found + len(wanted)
        return self.text[before : self._seen]

    async def kill(self) -> None:
        self._process.kill()
        await self._process.wait()

    async def left(self) -> int:
        """Return the exit status, once it has one."""
        async with asyncio.timeout(START_S):
            return await self._process.wait()


@contextlib.asynccontextmanager
async def chat(directory: Path, *arguments: str, **variables: str) -> AsyncIterator[Terminal]:
    """Yield the chat once it waits for input."""
    async with Terminal(directory, arguments, variables) as terminal:
        await terminal.see("Ctrl-D leaves")
        await terminal.see(PROMPT)
        yield terminal


# At a terminal ------------------------------------------------------------------------------------


async def test_it_answers_in_markdown_remembers_and_leaves_with_ctrl_d(tmp_path: Path) -> None:
    async with chat(tmp_path, "--model", "echo", "--data", "data") as terminal:
        terminal.type("hello **bold** 你好\r")
        await terminal.see("You said: hello bold 你好\n")
        await terminal.see(PROMPT)
        terminal.type("/sessions\r")
        await terminal.see("2 messages  cli:dm:")
        await terminal.see(PROMPT)
        terminal.type("\x04")
        assert await terminal.left() == 0
    async with chat(tmp_path, "--model", "echo", "--data", "data") as terminal:
        terminal.type("\x1b[A\x1b[A")
        await terminal.see("hello **bold** 你好")
        terminal.type("\r")
        await terminal.see("You said: hello bold 你好\n")
        await terminal.see(PROMPT)
        terminal.type("/sessions\r")
        await terminal.see("4 messages  cli:dm:")


async def test_ctrl_c_stops_the_answer_and_the_chat_goes_on(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        upstream.then(streamed(text("half an answer"), Gate()))
        async with chat(
            tmp_path, "--data", "data", OPENAI_API_KEY="sk-x", OPENAI_BASE_URL=upstream.url
        ) as terminal:
            terminal.type("hello\r")
            await terminal.see("half an answer")
            terminal.type("\x03")
            await terminal.see("stopped")
            await terminal.see(PROMPT)
            await upstream.deserted()
            terminal.type("again\r")
            await terminal.see("Hello there")
            await terminal.see(PROMPT)
            terminal.type("\x03")
            await terminal.see("Leave?")
            terminal.type("\x03")
            assert await terminal.left() == 0
    kept = msgspec.json.decode(upstream.requests[1].body)["messages"]
    assert "half an answer" in [message["content"] for message in kept]


async def test_an_answer_that_was_under_way_when_the_chat_was_killed_is_shown_by_the_next_one(
    tmp_path: Path,
) -> None:
    async with Upstream() as upstream:
        settings = {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": upstream.url}
        upstream.then(streamed(text("half"), Gate()))
        async with chat(tmp_path, "--data", "data", **settings) as terminal:
            terminal.type("how are you?\r")
            await terminal.see("half")
            await terminal.kill()
            await upstream.deserted()
        upstream.then(streamed(text("Fine, thank you.")))
        for _ in range(2):
            async with Terminal(tmp_path, ("--data", "data"), settings) as terminal:
                await terminal.see("> how are you?")
                await terminal.see("Fine, thank you.")
                await terminal.see(PROMPT)
                terminal.type("\x04")
                assert await terminal.left() == 0
    assert len(upstream.requests) == 2


async def test_it_talks_to_a_running_server_and_shows_its_tools(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    harness = await open_harness(
        ScriptedModel(
            call("calculate", '{"expression":"6*7"}'), "**42**", Say(("half ", "x"), between=asyncio.Event())
        )
    )
    async with (
        listening(harness.app.asgi) as server,
        chat(tmp_path, "--url", server.url, "--data", "data", "--session", "a:b") as terminal,
    ):
        terminal.type("what is 6*7?\r")
        await terminal.see("· calculate 6*7")
        await terminal.see("42\n")
        await terminal.see("42\n")
        await terminal.see(PROMPT)
        terminal.type("go on\r")
        await terminal.see("half")
        terminal.type("\x03")
        await terminal.see("stopped")
        await terminal.see(PROMPT)
        terminal.type("/quit\r")
        assert await terminal.left() == 0
    assert [session.key for session in await harness.app.store.sessions(limit=9)] == ["a:b"]


async def test_it_shows_what_runs_with_diffs_and_plans_asks_by_keys_and_stops_a_tool(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    started, never = asyncio.Event(), asyncio.Event()

    class Nothing(msgspec.Struct, frozen=True):
        """No arguments."""

    async def wait(_: Nothing, context: ToolContext) -> str:
        started.set()
        await never.wait()
        return "never"

    harness = await open_harness(
        ScriptedModel(
            call("write_file", '{"path": "a.txt", "content": "one\\ntwo\\n"}'),
            call("update_plan", '{"goal": "Files", "steps": ["[x] write", "[>] edit"]}', "c2"),
            call("edit_file", '{"path": "a.txt", "old": "two", "new": "2"}', "c3"),
            "Edited.",
            call("wait", "{}", "c4"),
            "Never mind.",
        ),
        tools=[Tool("wait", "Wait.", Nothing, wait)],
        policy=[{"tools": {"edit_file": "ask"}}],
    )
    async with (
        listening(harness.app.asgi) as server,
        chat(tmp_path, "--url", server.url, "--data", "data", "--session", "a:b") as terminal,
    ):
        terminal.type("write and edit\r")
        await terminal.see("· write_file a.txt")
        await terminal.see("  +one\n  +two\n")
        await terminal.see("  Files: 1 of 2 steps done\n  [x] write\n  [>] edit\n")
        await terminal.see("May I make this call?")
        await terminal.see("  -two\n  +2\n")
        await terminal.see("y: yes, this once")
        await terminal.see(PROMPT)
        terminal.type("y\r")
        await terminal.see("· edit_file a.txt")
        await terminal.see("Edited.")
        await terminal.see(PROMPT)
        assert "\x1b[32m  +2\x1b[0m" in terminal.raw
        assert "\x1b[31m  -two\x1b[0m" in terminal.raw
        terminal.type("now wait\r")
        await terminal.see("· wait")
        await asyncio.wait_for(started.wait(), BOUND_S)
        terminal.type("\x03")
        await terminal.see("✗ wait (cut off")
        await terminal.see("stopped")
        await terminal.see(PROMPT)
        terminal.type("/quit\r")
        assert await terminal.left() == 0


async def test_what_is_typed_during_an_answer_waits_for_the_prompt(tmp_path: Path) -> None:
    gate = Gate()
    async with Upstream() as upstream:
        upstream.then(streamed(text("first"), gate, text(" answer")))
        async with chat(
            tmp_path, "--data", "data", OPENAI_API_KEY="sk-x", OPENAI_BASE_URL=upstream.url
        ) as terminal:
            terminal.type("one\r")
            await terminal.see("first")
            terminal.type("typed early")
            gate.open()
            shown = await terminal.see("first answer")
            assert "typed early" not in shown
            await terminal.see(PROMPT)
            await terminal.see("typed early")


async def test_a_yes_that_was_typed_before_the_question_came_agrees_to_nothing(tmp_path: Path) -> None:
    gate = Gate()
    writing = tool_call(0, "c1", "write_file", '{"path": "a.txt", "content": "one"}')
    async with Upstream() as upstream:
        upstream.then(streamed(text("Let me "), gate, text("see."), writing, reason="tool_calls"))
        upstream.then(streamed(text("As you like.")))
        (tmp_path / "nanobot.toml").write_text('[[policy]]\ntools = { write_file = "ask" }\n')
        async with chat(
            tmp_path, "--data", "data", OPENAI_API_KEY="sk-x", OPENAI_BASE_URL=upstream.url
        ) as terminal:
            terminal.type("one\r")
            await terminal.see("Let me")
            terminal.type("yes\r")
            gate.open()
            await terminal.see("y: yes, this once")
            await terminal.see(PROMPT)
            await terminal.see("yes")
            terminal.type("\x7f\x7f\x7fno\r")
            await terminal.see("As you like.")
            assert "· write_file" not in terminal.text


async def test_one_question_at_a_terminal_shows_the_answer_once(tmp_path: Path) -> None:
    async with Terminal(
        tmp_path, ("--model", "echo", "--data", "data", "-m", "hello **you**"), {}
    ) as terminal:
        assert await terminal.left() == 0
        await terminal.see("hello you\n")
        screen = Emulator()
        screen.write(terminal.raw)
    assert screen.text == "You said: hello you"


async def test_no_color_means_plain_text_as_it_comes(tmp_path: Path) -> None:
    async with chat(tmp_path, "--model", "echo", "--data", "data", NO_COLOR="1") as terminal:
        terminal.type("hello **bold**\r")
        await terminal.see("You said: hello **bold**\n")


# In scripts ---------------------------------------------------------------------------------------


async def test_a_terminal_that_knows_no_escape_sequences_is_sent_none(tmp_path: Path) -> None:
    async with Terminal(tmp_path, ("--model", "echo", "--data", "data"), {"TERM": "dumb"}) as terminal:
        await terminal.see("Ctrl-D leaves")
        await terminal.see("> ")
        terminal.type("hello\r")
        await terminal.see("You said: hello\n")
        await terminal.see("> ")
        terminal.type("/quit\r")
        assert await terminal.left() == 0
        assert "\x1b" not in terminal.raw


async def test_one_question_prints_the_answer_and_nothing_else(tmp_path: Path) -> None:
    ran = await run(tmp_path, "--model", "echo", "--data", "data", "-m", "hello **you**")
    assert ran == Ran(0, "You said: hello **you**\n", "")
    ran = await run(tmp_path, "--model", "echo", "--data", "data", given="from a pipe\n")
    assert ran == Ran(0, "You said: from a pipe\n\n", "")


async def test_with_a_message_the_standard_input_is_what_it_is_about(tmp_path: Path) -> None:
    asked = ("--model", "echo", "--data", "data", "-m", "Sum this up.")
    assert await run(tmp_path, *asked, given="one\ntwo\n") == Ran(
        0, "You said: one\ntwo\n\nSum this up.\n", ""
    )
    assert await run(tmp_path, *asked, given=" \n") == Ran(0, "You said: Sum this up.\n", "")


async def test_an_error_is_one_line_with_status_1_and_no_half_answer(tmp_path: Path) -> None:
    async with Upstream(lambda asked: refused(401, "Incorrect API key")) as upstream:
        ran = await run(
            tmp_path, "--data", "data", "-m", "hello", OPENAI_API_KEY="sk-x", OPENAI_BASE_URL=upstream.url
        )
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("nanobot: ") and ran.err.count("\n") == 1 and "Traceback" not in ran.err


async def test_a_server_can_be_asked_from_a_script(open_harness: OpenHarness, tmp_path: Path) -> None:
    harness = await open_harness(ScriptedModel("from the server"), api={"key": "sesame"})
    async with listening(harness.app.asgi) as server:
        assert await run(tmp_path, "--url", server.url, "--api-key", "sesame", "-m", "hi") == Ran(
            0, "from the server\n", ""
        )
        refused_ = await run(tmp_path, "--url", server.url, "-m", "hi")
    assert (
        (refused_.status, refused_.out) == (1, "")
        and refused_.err.count("\n") == 1
        and "--api-key" in refused_.err
    )


async def test_a_directory_that_another_chat_or_a_server_holds_is_told_with_what_to_do(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    harness = await open_harness()
    ran = await run(tmp_path, "--model", "echo", "--data", str(harness.data), "-m", "hi")
    assert (ran.status, ran.out) == (2, "")
    assert f"in use by another nanobot (process {os.getpid()})" in ran.err
    assert "several can use one directory while `nanobot serve` runs on it" in ran.err
    assert "http://" not in ran.err and ran.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [("-m", "  "), ("-m", "hi", "--session", ""), ("-m", "hi", "--url", "nowhere")]
)
async def test_what_cannot_be_asked_is_refused_with_status_2(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    ran = await run(tmp_path, "--model", "echo", "--data", "data", *arguments)
    assert (ran.status, ran.out) == (2, "") and "Traceback" not in ran.err
