"""What every layer of the sandbox promises whoever runs a command in it."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from nanobot.core.clock import SystemClock
from nanobot.core.errors import ToolError
from nanobot.core.ids import SystemRandomness
from nanobot.testing import FakeClock
from nanobot.tools.sandbox.command import Command, CommandLimits, Ending, Running
from nanobot.tools.sandbox.launched import LaunchedSandbox, Layer
from nanobot.tools.sandbox.layers import ProbeResult, probe_layers, probe_sandbox_exec
from tests.processes import is_there, nap

pytestmark = pytest.mark.skipif(
    sys.platform not in ("linux", "darwin"), reason="the sandbox is for Linux and macOS"
)
BOUND_S = 20.0
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
GIT = (
    "export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a"
    " GIT_COMMITTER_EMAIL=a@b"
)
SMALL = CommandLimits(wall_s=20.0, memory_bytes=200 << 20, disk_bytes=30 << 20, processes=40)


@pytest.fixture(scope="module")
def results() -> tuple[ProbeResult, ...]:
    probe = probe_sandbox_exec if sys.platform == "darwin" else probe_layers
    return asyncio.run(probe(Path(tempfile.gettempdir()), SystemClock(), SystemRandomness()))


@pytest.fixture(params=["bubblewrap", "bubblewrap without /proc", "launcher", "sandbox-exec"])
def layer(request: pytest.FixtureRequest, results: tuple[ProbeResult, ...]) -> Layer:
    name, _, without = request.param.partition(" ")
    result = next((each for each in results if each.name == name), None)
    if result is None:
        pytest.skip(f"{name} is for {'macOS' if name == 'sandbox-exec' else 'Linux'}")
    if result.layer is None:
        pytest.skip(f"{result.name}: {result.why}")
    return msgspec.structs.replace(result.layer, lacks_proc=True) if without else result.layer


@pytest.fixture
async def sandbox(layer: Layer) -> AsyncIterator["Bench"]:
    base = Path(tempfile.mkdtemp(prefix="nanobot-sandbox-"))
    base.chmod(0o711)
    try:
        yield Bench(base, layer)
    finally:
        shutil.rmtree(base, ignore_errors=True)


class Bench:
    """A sandbox with a workspace."""

    def __init__(self, base: Path, layer: Layer) -> None:
        self.base = base
        self.layer = layer
        self.clock = FakeClock()
        self.sandbox = LaunchedSandbox(base / "state", layer, self.clock, SystemRandomness())
        self.sandbox.open()
        self.workspace = base / "workspace"
        self.workspace.mkdir()

    async def start(self, line: str, limits: CommandLimits = SMALL, *, has_input: bool = False) -> Running:
        return await self.sandbox.start(
            Command(("/bin/sh", "-c", line), self.workspace, ENVIRONMENT, limits, has_input=has_input)
        )

    async def run(self, line: str, limits: CommandLimits = SMALL) -> tuple[str, Ending]:
        async with asyncio.timeout(BOUND_S):
            running = await self.start(line, limits)
            return await everything(running), await running.wait()


async def everything(running: Running) -> str:
    output = b""
    while data := await running.read():
        output += data
    return output.decode()


async def until(running: Running, text: str) -> str:
    """Read until `text` has come."""
    output = ""
    async with asyncio.timeout(BOUND_S):
        while text not in output:
            data = await running.read()
            assert data, output
            output += data.decode()
    return output


async def test_a_command_says_what_it_writes_and_how_it_ended(sandbox: Bench) -> None:
    assert await sandbox.run("echo out; echo err >&2; exit 3") == ("out\nerr\n", Ending(3))


async def test_it_begins_in_the_workspace_and_its_files_stay(sandbox: Bench) -> None:
    assert (await sandbox.run("mkdir d && echo text > d/f"))[1] == Ending(0)
    assert (sandbox.workspace / "d" / "f").read_text() == "text\n"
    assert (await sandbox.run("cat d/f; rm -r d"))[0] == "text\n"
    assert list(sandbox.workspace.iterdir()) == []


async def test_files_that_the_server_writes_can_be_read_and_changed(sandbox: Bench) -> None:
    assert (await sandbox.run("true"))[1] == Ending(0)
    (sandbox.workspace / "d").mkdir()
    (sandbox.workspace / "d" / "f").write_text("one\n")
    (sandbox.workspace / "d" / "f").chmod(0o600)
    assert await sandbox.run("echo two >> d/f; cat d/f") == ("one\ntwo\n", Ending(0))
    assert (sandbox.workspace / "d" / "f").read_text() == "one\ntwo\n"


async def test_tmp_is_private_and_stays_for_the_next_command(sandbox: Bench) -> None:
    canary = Path(tempfile.gettempdir()) / f"nanobot-canary-{os.getpid()}"
    canary.write_text("canary")
    try:
        canary.chmod(0o644)
        output, ending = await sandbox.run(f'echo x > "$TMPDIR/x"; ls "$TMPDIR"; cat {canary}')
        assert output.splitlines()[0] == "x" and ending != Ending(0)
        assert (await sandbox.run('cat "$TMPDIR/x"'))[0] == "x\n"
    finally:
        canary.unlink()


async def test_it_gets_the_environment_it_is_given_and_no_other(
    sandbox: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NANOBOT_API_KEY", "canary-key")
    output, _ = await sandbox.run(
        "env; tr '\\0' '\\n' < /proc/self/environ; tr '\\0' '\\n' < /proc/1/environ"
    )
    assert "canary-key" not in output and "PATH=/usr/bin:/bin" in output.splitlines()


async def test_its_input_is_empty_unless_it_is_asked_for(sandbox: Bench) -> None:
    assert await sandbox.run("wc -c") == ("0\n", Ending(0))


async def test_what_is_written_to_its_input_arrives(sandbox: Bench) -> None:
    running = await sandbox.start("read a; echo got $a; cat", has_input=True)
    await running.write(b"one\n")
    assert "got one" in await until(running, "got one")
    await running.write(b"two\n")
    running.close_input()
    assert await everything(running) == "two\n"
    assert await running.wait() == Ending(0)
    with pytest.raises(ToolError, match="input"):
        await running.write(b"three\n")


async def test_time_ends_it_and_all_that_it_started(sandbox: Bench) -> None:
    limits = CommandLimits(wall_s=4.0)
    output, ending = await sandbox.run(f"echo a; (setsid {nap(4242)} &) ; {nap(4242)}", limits)
    assert (output, ending) == ("a\n", Ending(None, "it took longer than 4 s"))
    assert not is_there(nap(4242))


async def test_what_it_leaves_behind_is_gone_when_it_has_ended(sandbox: Bench) -> None:
    assert (await sandbox.run(f"setsid {nap(4343)} & sleep 0.1"))[1] == Ending(0)
    assert not is_there(nap(4343))


async def test_stop_ends_it(sandbox: Bench) -> None:
    running = await sandbox.start(f"trap '' TERM INT HUP; echo begun; {nap(4444)}")
    await until(running, "begun")
    running.stop()
    async with asyncio.timeout(BOUND_S):
        assert await running.wait() == Ending(None, "stopped")
    assert not is_there(nap(4444))


async def test_memory_is_counted_over_all_its_processes(sandbox: Bench) -> None:
    limits = CommandLimits(memory_bytes=60 << 20)
    hold = "import time; x = b'x' * (25 << 20); time.sleep(60)"
    _, ending = await sandbox.run(
        f'for i in 1 2 3 4; do /usr/bin/python3 -I -c "{hold}" & done; wait', limits
    )
    assert ending.status is None and "of memory: 60 are allowed" in ending.why


async def test_a_fork_bomb_is_ended_when_it_has_more_processes_than_it_may(sandbox: Bench) -> None:
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    _, ending = await sandbox.run(f"/usr/bin/python3 -I -c '{bomb}'")
    assert ending.status is None and "processes: at most 40 are allowed" in ending.why
    assert (await sandbox.run("echo on"))[0] == "on\n"


async def test_as_many_processes_as_it_may_have_are_left_alone(sandbox: Bench) -> None:
    line = "for i in $(seq 36); do sleep 1.5 & done; wait; echo done"
    assert await sandbox.run(line) == ("done\n", Ending(0))


async def test_the_disk_is_counted_over_all_its_files(sandbox: Bench) -> None:
    line = "for i in 1 2 3 4 5 6 7; do head -c 5000000 /dev/zero > f$i; done; sleep 60"
    _, ending = await sandbox.run(line)
    assert ending.status is None and "30 are allowed" in ending.why


async def test_other_sessions_files_are_not_there(sandbox: Bench) -> None:
    other = sandbox.base / "other"
    other.mkdir()
    other.chmod(0o755)
    (other / "secret").write_text("canary")
    (other / "secret").chmod(0o644)
    output, ending = await sandbox.run(f"cat {other}/secret; ls {other}; ls {sandbox.base}")
    assert ending.status != 0 and "canary" not in output and "secret\n" not in output.replace("/secret", "")


async def test_two_commands_of_a_workspace_run_side_by_side(sandbox: Bench) -> None:
    first = await sandbox.start("echo begun; read x; echo $x", has_input=True)
    await until(first, "begun")
    assert await sandbox.run("echo second > f; cat f") == ("second\n", Ending(0))
    await first.write(b"still there\n")
    assert await everything(first) == "still there\n"
    assert await first.wait() == Ending(0)


async def test_a_program_that_is_not_there_is_said_to_be_so(sandbox: Bench) -> None:
    running = await sandbox.sandbox.start(Command(("/nonexistent",), sandbox.workspace, ENVIRONMENT, SMALL))
    output = await everything(running)
    ending = await running.wait()
    assert ending.status != 0
    assert "No such file" in output + ending.why


async def test_temporary_files_go_when_nobody_used_them_for_an_hour_or_the_workspace_is_gone(
    sandbox: Bench,
) -> None:
    await sandbox.run('echo x > "$TMPDIR/x"')
    state = sandbox.base / "state"
    await sandbox.sandbox.sweep()
    assert len(list(state.iterdir())) == 1
    sandbox.clock.advance(3_700.0)
    await sandbox.sandbox.sweep()
    assert list(state.iterdir()) == []
    await sandbox.run("true")
    shutil.rmtree(sandbox.workspace)
    await sandbox.sandbox.sweep()
    assert list(state.iterdir()) == []


async def test_a_launcher_that_is_killed_takes_its_command_along(sandbox: Bench) -> None:
    running = await sandbox.start(f"(setsid {nap(4545)} &) ; echo begun; {nap(4545)}")
    await until(running, "begun")
    running._process.kill()  # type: ignore[attr-defined]  # noqa: SLF001 - from outside it is not to be had
    async with asyncio.timeout(BOUND_S):
        assert (await running.wait()).why == "its launcher was ended"
        while is_there(nap(4545)):
            await asyncio.sleep(0.05)


async def test_ordinary_programs_work(sandbox: Bench) -> None:
    """They are those of this machine."""
    # Only root can give commands a /dev/shm of their own without bubblewrap; a pool needs one.
    has_shm = sandbox.layer.name != "launcher" or os.geteuid() == 0
    pool = "multiprocessing as m; print(m.Pool(2).map(abs, [-1]))" if has_shm else "multiprocessing"
    lines = {
        "git": "git init -q r && cd r && echo a > a && git add a && git commit -qm m && git log",
        "gcc": "echo 'int main(void) { return 0; }' > a.c && gcc -o a a.c && ./a",
        "python3": f"python3 -c 'import sqlite3, {pool}'",
        "tar": "echo x > f && tar czf f.tgz f && rm f && tar xzf f.tgz && cat f",
        "node": "node -e 'process.exit(0)'",
    }
    for program, line in lines.items():
        if shutil.which(program, path=ENVIRONMENT["PATH"]):
            output, ending = await sandbox.run(f"{GIT}; {line}", CommandLimits())
            assert ending == Ending(0), f"{program}: {output}"


async def test_folders_of_skills_are_shown_to_be_read_only(sandbox: Bench) -> None:
    for name in ("shown", "hidden"):
        (sandbox.base / "skills" / name).mkdir(parents=True)
        (sandbox.base / "skills" / name / "run.sh").write_text("echo ran")
    shown = {"shown": str(sandbox.base / "skills" / "shown"), "gone": str(sandbox.base / "skills" / "gone")}
    line = (
        'sh "$SKILLS/shown/run.sh"; echo x >> "$SKILLS/shown/run.sh"; touch "$SKILLS/shown/new" "$SKILLS/new"'
    )
    line += '; sh "$SKILLS/hidden/run.sh"; echo end'
    running = await sandbox.sandbox.start(
        Command(("/bin/sh", "-c", line), sandbox.workspace, ENVIRONMENT, SMALL, skills=shown)
    )
    async with asyncio.timeout(BOUND_S):
        output, ending = await everything(running), await running.wait()
    assert output.startswith("ran\n") and output.endswith("end\n") and output.count("ran") == 1, output
    assert ending == Ending(0)
    place = sandbox.base / "skills" / "shown"
    assert [each.name for each in place.iterdir()] == ["run.sh"]
    assert (place / "run.sh").read_text() == "echo ran"
    assert not (sandbox.base / "skills" / "new").exists()


async def test_what_was_uploaded_is_read_in_the_workspace_and_never_changed(sandbox: Bench) -> None:
    contents = {"one.csv": "1,2", "older/one.csv": "3,4"}

    async def fill(folder: Path) -> bool:
        for name, content in contents.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)
        return bool(contents)

    line = (
        "cat uploads/one.csv uploads/older/one.csv; echo x >> uploads/one.csv; touch uploads/new;"
        " rm -rf uploads/older; mv uploads/one.csv uploads/two.csv; rm uploads/one.csv; echo end"
    )
    command = Command(("/bin/sh", "-c", line), sandbox.workspace, ENVIRONMENT, SMALL, uploads=fill)
    # A command may remove the link, it comes again.
    for change in ("true", "rm uploads", "true"):
        await sandbox.run(change)
        async with asyncio.timeout(BOUND_S):
            running = await sandbox.sandbox.start(command)
            output, ending = await everything(running), await running.wait()
        assert output.startswith("1,23,4") and output.endswith("end\n"), output
        assert ending == Ending(0)
        (folder,) = (sandbox.base / "state").glob("*/uploads")
        copies = {str(each.relative_to(folder)): each.read_text() for each in folder.rglob("*.csv")}
        assert copies == contents and len(list(folder.iterdir())) == 2


async def test_a_directory_that_a_command_calls_uploads_stays(sandbox: Bench) -> None:
    async def fill(folder: Path) -> bool:
        (folder / "theirs").write_text("uploaded")
        return True

    await sandbox.run("mkdir uploads; echo own > uploads/mine")
    command = Command(("/bin/cat", "uploads/mine"), sandbox.workspace, ENVIRONMENT, SMALL, uploads=fill)
    running = await sandbox.sandbox.start(command)
    assert (await everything(running), await running.wait()) == ("own\n", Ending(0))


async def test_copies_of_uploads_go_once_no_command_of_the_session_runs(sandbox: Bench) -> None:
    async def fill(folder: Path) -> bool:
        (folder / "secret").write_text("kumquat")
        return True

    command = Command(("/bin/cat",), sandbox.workspace, ENVIRONMENT, SMALL, has_input=True, uploads=fill)
    running = await sandbox.sandbox.start(command)
    await sandbox.sandbox.sweep()
    assert list((sandbox.base / "state").glob("*/uploads/secret"))
    running.close_input()
    await everything(running)
    await running.wait()
    await sandbox.sandbox.sweep()
    assert not list((sandbox.base / "state").rglob("secret"))
