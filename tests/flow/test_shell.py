"""The agent runs commands where the settings let it, each session in a place of its own."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nanobot.context.build import tools_size
from nanobot.core.message import ToolResult
from nanobot.testing import Say, ScriptedModel, call
from nanobot.tools.sandbox.command import Command, Ending, Running
from nanobot.tools.sandbox.layers import probe_folders
from nanobot.tools.shell.access import ShellAccess
from nanobot.tools.shell.background import BackgroundCommands
from nanobot.tools.shell.commands import ShellCommands, ShellSettings
from tests.asgi import BOUND_S
from tests.harness import OpenHarness, with_new_database
from tests.processes import is_there, nap

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")
ASK, AGAIN = {"role": "user", "content": "Run it."}, {"role": "user", "content": "And again."}
ALLOW = {"sessions": ["*"]}
UNASKED = [{"tools": {"@shell": "allow"}}]
NAMES = {"run_command", "read_output", "write_input", "stop_command", "python"}


def run(line: str, **arguments: object) -> Say:
    return call("run_command", msgspec.json.encode({"command": line, **arguments}).decode())


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what only processes outside can bring about."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


def results(model: ScriptedModel) -> list[ToolResult]:
    """Return the results of the last turn that has called a tool."""
    request = [each for each in model.requests if each.messages[-1].role == "tool"][-1]
    return [result for message in request.messages for result in message.tool_results]


async def test_no_commands_by_default(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    harness = await open_harness(model)
    await harness.door.chat("k", [ASK])
    assert not NAMES & {tool.name for tool in model.requests[0].tools}
    assert "nanobot.app.shell" not in sys.modules or not (harness.data / "commands").exists()


@pytest.mark.parametrize("tables", [{}, {"shell": ALLOW}])
async def test_what_commands_of_a_killed_server_left_goes_also_where_there_are_none_now(
    open_harness: OpenHarness, tmp_path: Path, tables: dict[str, Any]
) -> None:
    data = with_new_database(tmp_path / "data")
    for folder in ("commands/0a/tmp", "probe-a1b2c3d4/state"):
        (data / folder).mkdir(parents=True)
        (data / folder / "file").write_text("kumquat")
    await open_harness(data=data, **tables)
    await until(lambda: not [each for each in data.glob("**/file") if "kumquat" in each.read_text()])
    await until(lambda: not [*data.glob("probe-*"), *data.glob("removed-*"), *data.glob("commands/*")])
    assert (data / "commands").exists() == bool(tables)


async def test_a_server_that_starts_leaves_the_probe_of_another_process_alone(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    data = with_new_database(tmp_path / "data")
    async with probe_folders(data) as (directory, outside):
        (directory / "file").write_text("kumquat")
        (data / "probe-a1b2c3d4").mkdir()
        await open_harness(data=data)
        await until(lambda: not (data / "probe-a1b2c3d4").exists())
        assert (directory / "file").read_text() == "kumquat" and outside.is_dir()
    assert not directory.exists() and not outside.exists()


async def test_the_model_sees_what_a_command_writes_and_how_it_ends(open_harness: OpenHarness) -> None:
    model = ScriptedModel(run("echo kumquat; exit 3"), "Done.")
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    assert (await harness.door.chat("k", [ASK])).said == "Done."
    (result,) = results(model)
    assert (result.content, result.is_error) == ("kumquat\n\n[exit status 3]", False)
    assert {tool.name for tool in model.requests[0].tools} >= NAMES


async def test_a_command_is_asked_about_first_unless_a_policy_allows_it(open_harness: OpenHarness) -> None:
    model = ScriptedModel(run("echo kumquat"), "Done.")
    harness = await open_harness(model, shell=ALLOW)
    question = (await harness.door.chat("k", [ASK])).said
    assert "echo kumquat" in question and "run_command" in question
    assert len(model.requests) == 1
    assert (await harness.door.chat("k", [{"role": "user", "content": "yes"}])).said == "Done."
    assert results(model)[-1].content.startswith("kumquat")


async def test_a_script_of_python_runs_in_the_workspace_and_its_errors_show_their_lines(
    open_harness: OpenHarness,
) -> None:
    def python(code: str) -> Say:
        return call("python", msgspec.json.encode({"code": code}).decode())

    quoted = 'it\'s "$HOME" `x` \\ é'
    model = ScriptedModel(
        python(f"print({quoted!r})\nopen('made.py', 'w').write('value = 7')"),
        python("import made\nprint(made.value)\n1 / 0"),
        python(""),
        run("ls"),
        "Done.",
    )
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("k", [ASK])
    first, second, empty, listed = results(model)
    assert first.content.startswith(f"{quoted}\n\n[exit status 0]")
    assert second.content.startswith("7\nTraceback") and "1 / 0" in second.content
    assert 'script.py", line 3' in second.content and second.content.endswith("[exit status 1]")
    assert empty.is_error
    assert listed.content == "made.py\n\n[exit status 0]"


async def test_python_is_asked_about_first_unless_a_policy_allows_it(open_harness: OpenHarness) -> None:
    model = ScriptedModel(call("python", '{"code": "print(6 * 7)"}'), "Done.")
    harness = await open_harness(model, shell=ALLOW)
    assert "print(6 * 7)" in (await harness.door.chat("k", [ASK])).said
    await harness.door.chat("k", [{"role": "user", "content": "yes"}])
    assert results(model)[-1].content == "42\n\n[exit status 0]"


async def test_all_tools_of_the_shell_cost_little(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("k", [ASK])
    assert tools_size(tuple(tool for tool in model.requests[0].tools if tool.name in NAMES)) <= 600


async def test_files_stay_with_their_session_and_are_never_anothers(open_harness: OpenHarness) -> None:
    model = ScriptedModel(
        run("echo canary-1 > secret; pwd"),
        "written",
        run("cat secret"),
        "read",
        run("cat secret; ls -laR . .. / ~ /tmp /workspace 2>&1; find / -name secret 2>/dev/null"),
        "nothing",
    )
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("ann", [ASK])
    await harness.door.chat("ann", [AGAIN])
    assert results(model)[-1].content.startswith("canary-1\n")
    model.requests.clear()
    await harness.door.chat("bob", [ASK])
    (result,) = results(model)
    assert "canary-1" not in result.content and "secret\n" not in result.content.replace("cat: secret", "")


async def test_a_key_is_no_name_of_a_directory(open_harness: OpenHarness) -> None:
    model = ScriptedModel(run("echo x > f"), "ok")
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("../../../tmp/évil", [ASK])
    (path,) = harness.data.glob("workspaces/*/files")
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{32}", path.parent.name)
    assert [file.name for file in path.iterdir()] == ["f"]


async def test_commands_and_the_tools_for_files_have_the_same_files(open_harness: OpenHarness) -> None:
    model = ScriptedModel(
        call("write_file", '{"path": "d/a", "content": "one\\n"}'),
        run("cat d/a; echo two >> d/a; ln -s /etc/passwd link"),
        call("read_file", '{"file": "d/a"}'),
        call("read_file", '{"file": "link"}'),
        run("cat d/a"),
        "ok",
    )
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("k", [ASK])
    said = [result.content for result in results(model)]
    assert said[1].startswith("one\n") and "two" in said[2] and "root:" not in said[3]
    assert said[4] == "one\ntwo\n\n[exit status 0]"


async def test_the_files_of_a_deleted_session_are_gone(open_harness: OpenHarness) -> None:
    model = ScriptedModel(run("echo canary-3 > f"), "ok", run("ls; cat f"), "ok")
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("k", [ASK])
    await harness.door.call("DELETE", "/v1/sessions/k")
    assert list(harness.data.glob("workspaces/*/files/f")) == []
    await harness.door.chat("k", [ASK])
    assert "canary-3" not in results(model)[-1].content


async def test_only_the_sessions_that_the_settings_name(open_harness: OpenHarness) -> None:
    model = ScriptedModel(run("echo hello"), "ok", run("echo hello"), "ok")
    harness = await open_harness(model, shell={"sessions": ["wx:dm:*"]}, policy=UNASKED)
    await harness.door.chat("wx:dm:ann", [ASK])
    assert results(model)[-1].content.startswith("hello")
    model.requests.clear()
    await harness.door.chat("wx:group:g:user:ann", [ASK])
    (result,) = results(model)
    assert result.is_error and "not allowed in this conversation" in result.content


async def test_no_secret_of_the_server_is_in_the_environment(
    open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary-2")
    model = ScriptedModel(run("env; cat /proc/*/environ 2>/dev/null"), "ok")
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("k", [ASK])
    assert "canary-2" not in results(model)[0].content and "HOME=" in results(model)[0].content


async def test_a_long_output_is_shown_from_both_ends(open_harness: OpenHarness) -> None:
    model = ScriptedModel(run("seq 1 100000"), "ok")
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("k", [ASK])
    text = results(model)[0].content
    assert text.startswith("1\n2\n") and "100000\n\n[exit status 0]" in text and "bytes left out" in text
    assert len(text) < 70_000


async def test_a_command_ends_with_its_time(open_harness: OpenHarness) -> None:
    model = ScriptedModel(run(f"echo begun; {nap(5151)}", timeout_s=4), "ok")
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("k", [ASK])
    assert results(model)[0].content == "begun\n\n[ended: it took longer than 4 s]"
    assert not is_there(nap(5151))


async def test_a_cancelled_turn_leaves_no_command_behind(open_harness: OpenHarness) -> None:
    model = ScriptedModel(run(nap(5252)), "ok")
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    exchange = harness.door.chatting("k", [ASK], {"x-disconnect-grace": "0"}, stream=True)
    await until(lambda: is_there(nap(5252)))
    exchange.disconnect()
    await until(lambda: not is_there(nap(5252)))
    await exchange.done()


async def test_a_stop_of_the_server_leaves_no_command_behind(open_harness: OpenHarness) -> None:
    model = ScriptedModel(run(nap(5353)), "ok")
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    asked = asyncio.create_task(harness.door.chat("k", [ASK]))
    await until(lambda: is_there(nap(5353)))
    await harness.close()
    assert not is_there(nap(5353))
    asked.cancel()
    await asyncio.wait([asked])


async def test_a_background_command_is_read_written_to_and_stopped(open_harness: OpenHarness) -> None:
    name = '"command": "command-1"'
    model = ScriptedModel(
        run(f"echo ready; while read x; do echo got $x; done; echo 5454; {nap(5454)}", background=True),
        call("read_output", f'{{{name}, "wait_s": 20}}'),
        call("write_input", f'{{{name}, "text": "hello\\n"}}'),
        call("read_output", f'{{{name}, "wait_s": 20}}'),
        call("write_input", f'{{{name}, "close": true}}'),
        call("read_output", f'{{{name}, "wait_s": 20}}'),
        call("stop_command", f"{{{name}}}"),
        call("read_output", f"{{{name}}}"),
        "ok",
    )
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    assert (await harness.door.chat("k", [ASK])).said == "ok"
    said = [result.content for result in results(model)]
    assert said[0].startswith("command-1 runs in the background")
    assert said[1] == "ready\n\n[still running]"
    assert said[3] == "got hello\n\n[still running]"
    assert said[5] == "5454\n\n[still running]"
    assert said[6] == "[stopped]"
    assert "there is no command 'command-1'" in said[7]
    assert not is_there(nap(5454))


async def test_background_commands_end_with_their_turn(open_harness: OpenHarness) -> None:
    model = ScriptedModel(
        run(nap(5555), background=True),
        "ok",
        call("read_output", '{"command": "command-1"}'),
        "ok",
    )
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("k", [ASK])
    await until(lambda: not is_there(nap(5555)))
    await harness.door.chat("k", [AGAIN])
    assert "Commands end with the turn that started them" in results(model)[-1].content


class Held:
    """A sandbox whose commands end when they are told to."""

    def __init__(self) -> None:
        self.started: list[Command] = []
        self.running: list[HeldRunning] = []

    async def start(self, command: Command) -> Running:
        self.started.append(command)
        self.running.append(HeldRunning())
        return self.running[-1]


class HeldRunning:
    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def read(self) -> bytes:
        await self.over.wait()
        return b""

    async def write(self, data: bytes) -> None: ...

    def close_input(self) -> None: ...

    async def wait(self) -> Ending:
        await self.over.wait()
        return Ending(0)

    def stop(self) -> None:
        self.over.set()


@contextlib.asynccontextmanager
async def directory(_: str) -> AsyncIterator[Path]:
    yield Path("/workspace")


async def test_a_session_has_four_background_commands_and_only_sees_its_own() -> None:
    commands = BackgroundCommands(ShellCommands(Held(), directory, ShellSettings()), 4)
    names = [await commands.begin("ann", "turn", "x", 5) for _ in range(4)]
    assert names == ["command-1", "command-2", "command-3", "command-4"]
    with pytest.raises(Exception, match="4 commands run in the background already"):
        await commands.begin("ann", "turn", "x", 5)
    with pytest.raises(Exception, match="there is no command 'command-1' in the background; there are: none"):
        await commands.read("bob", "command-1", 0)
    await commands.close()


async def test_one_session_leaves_room_for_others() -> None:
    sandbox = Held()
    commands = ShellCommands(sandbox, directory, ShellSettings(max_commands=4))
    first = [asyncio.create_task(commands.run("ann", "x", 5, 100)) for _ in range(4)]
    other = asyncio.create_task(commands.run("bob", "x", 5, 100))
    async with asyncio.timeout(BOUND_S):
        while len(sandbox.started) < 3:
            await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(sandbox.started) == 3
    while not all(task.done() for task in (*first, other)):
        for running in sandbox.running:
            running.stop()
        await asyncio.sleep(0)


def test_a_pattern_lets_those_sessions_that_match() -> None:
    access = ShellAccess(("wx:dm:*",))
    access.check("wx:dm:ann")
    with pytest.raises(Exception, match="not allowed"):
        access.check("tg:dm:ann")


async def test_time_is_never_more_than_the_settings_say() -> None:
    sandbox = Held()
    commands = ShellCommands(sandbox, directory, ShellSettings())
    task = asyncio.create_task(commands.run("k", "x", 10_000, 100))
    while not sandbox.running:
        await asyncio.sleep(0)
    sandbox.running[0].stop()
    await task
    assert sandbox.started[0].limits.wall_s == 600.0
    assert os.environ.get("HOME") not in sandbox.started[0].environment.values()
