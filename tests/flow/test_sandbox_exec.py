"""Commands on macOS: what switches them on, what a probe finds, and how its launcher runs and ends them.
Nobody has run this on a Mac; on Linux, `tests/sandbox_exec.py` stands in for the program that confines them
there.
"""

import asyncio
import logging
import os
import re
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nanobot.app.shell import best_layer, network_rules
from nanobot.cli.check_result import CheckResult
from nanobot.cli.doctor_sandbox import examine
from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError
from nanobot.core.ids import SystemRandomness
from nanobot.stores.workspaces.removing import remove_tree
from nanobot.testing import FakeClock
from nanobot.tools.sandbox.command import Command, CommandLimits, Ending, Running
from nanobot.tools.sandbox.landlock import version
from nanobot.tools.sandbox.launched import LaunchedSandbox, Layer
from nanobot.tools.sandbox.layers import ProbeResult, probe_sandbox_exec
from tests.asgi import BOUND_S
from tests.contract.sandbox.test_sandbox import everything, until
from tests.escape.users import end_all, users
from tests.harness import configured
from tests.processes import is_there, nap

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="macOS is imitated on Linux"),
    pytest.mark.skipif(sys.platform == "linux" and version() < 6, reason="needs Landlock's scopes"),
]
SYSTEM_PYTHON = "/usr/bin/python3"
ROOT = Path(__file__).parent.parent.parent
STAND_IN = ROOT / "tests" / "sandbox_exec.py"
ON = {"sessions": ["*"], "sandbox_exec": True}
LIMITS = CommandLimits(wall_s=20.0, memory_bytes=200 << 20, disk_bytes=30 << 20, processes=40)
CONFINES = f'exec {SYSTEM_PYTHON} -I -S {STAND_IN} "$@"'
LETS_ALL_PASS = 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"'
KEEPS_SIGNALS_ONLY = (
    f'exec {SYSTEM_PYTHON} -I -S -c \'import os, sys; sys.path.insert(0, "{ROOT}");'
    " from nanobot.tools.sandbox import landlock; landlock.scope_signals();"
    ' command = sys.argv[sys.argv.index("--") + 1 :]; os.execv(command[0], command)\' "$@"'
)
FAILS = "echo 'sandbox-exec: sandbox_apply: Operation not permitted' >&2; exit 71"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that users of commands can reach."""
    made = Path(tempfile.mkdtemp(prefix="nanobot-macos-"))
    try:
        made.chmod(0o777)
        yield made
    finally:
        remove_tree(made)


def program(place: Path, script: str) -> str:
    path = place / "sandbox-exec"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def as_user(work: Callable[[], Awaitable[Any]]) -> Any:
    """Return what `work` returns, as JSON has it, in a process of a user that is not root: for root, nothing
    is run on macOS.
    """

    async def whole() -> Any:
        return await work()

    if os.getuid() != 0:
        return msgspec.to_builtins(asyncio.run(whole()))
    uid = users().uid
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(55)
            # That of root may be where only root can read it.
            sys.executable = SYSTEM_PYTHON
            result = {"result": msgspec.to_builtins(asyncio.run(whole()))}
        except BaseException as error:  # noqa: BLE001 - it is told to the test
            result = {"error": repr(error)}
        os.write(writing, msgspec.json.encode(result))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        told = msgspec.json.decode(file.read())
    os.waitpid(child, 0)
    end_all()
    assert "error" not in told, told
    return told["result"]


# What a probe finds -------------------------------------------------------------------------------


def probed(place: Path, script: str) -> ProbeResult:
    path = program(place, script)
    found = as_user(lambda: probe_sandbox_exec(place, SystemClock(), SystemRandomness(), path))
    (result,) = msgspec.convert(found, tuple[ProbeResult, ...])
    assert not list(place.glob("probe-*"))
    return result


def test_a_program_that_confines_holds(place: Path) -> None:
    result = probed(place, CONFINES)
    assert result.layer == Layer(sandbox_exec=str(place / "sandbox-exec")), result.why
    assert result.attempts > 15


def test_a_program_that_does_not_confine_is_found_out(place: Path) -> None:
    result = probed(place, KEEPS_SIGNALS_ONLY)
    assert result.layer is None
    for attempt in ("read a file outside", "connect to this machine", "run a program outside", "listen"):
        assert attempt in result.why
    assert "signal" not in result.why


def test_where_what_is_left_behind_stays_nothing_holds(place: Path) -> None:
    # Then the killer cannot kill.
    result = probed(place, f'exec {SYSTEM_PYTHON} -I -S {STAND_IN} refuse-kill "$@"')
    assert (result.layer, result.why) == (None, "a command could leave a process behind")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, who can risk the processes of another user")
def test_where_signals_get_out_nothing_is_begun_nor_killed(place: Path) -> None:
    result = probed(place, LETS_ALL_PASS)
    assert (result.layer, result.why) == (None, "the sandbox does not keep signals inside")


def test_a_program_that_the_system_refuses_is_told(place: Path) -> None:
    result = probed(place, FAILS)
    assert result.layer is None and "sandbox_apply: Operation not permitted" in result.why


async def test_a_system_without_the_program_has_no_layer(tmp_path: Path) -> None:
    (result,) = await probe_sandbox_exec(tmp_path, SystemClock(), SystemRandomness(), "/nonexistent/x")
    assert (result.layer, result.why) == (None, "there is no /nonexistent/x")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
async def test_for_root_nothing_is_run(place: Path) -> None:
    path = program(place, CONFINES)
    (result,) = await probe_sandbox_exec(place, SystemClock(), SystemRandomness(), path)
    assert result.layer is None and "no command runs as root" in result.why


# What switches it on ------------------------------------------------------------------------------


async def test_it_is_off_until_the_settings_switch_it_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = configured(tmp_path, {"shell": {"sessions": ["*"]}})
    assert await best_layer(config, SystemClock(), SystemRandomness(), "darwin") is None
    assert "not been tested on a Mac; shell.sandbox_exec = true switches it on" in caplog.text
    (shell,) = await examine(config, "darwin")
    assert shell.status == "warn" and "shell.sandbox_exec = true" in shell.text
    assert await examine(configured(tmp_path, {}), "darwin") == ()


async def test_a_probe_that_fails_leaves_commands_off_and_says_so(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    config = configured(place, {"shell": ON})
    path = program(place, FAILS)
    assert await best_layer(config, SystemClock(), SystemRandomness(), "darwin", path) is None
    assert "commands are off: sandbox-exec does not hold: " in caplog.text
    results = {each.check: each for each in await examine(config, "darwin", path)}
    assert results["sandbox-exec"].status == "warn"
    assert results["shell"].text == "commands are off: no layer of the sandbox holds"


def test_one_that_holds_is_used_and_the_doctor_says_what_it_is_worth(place: Path) -> None:
    config = configured(place, {"shell": ON})
    path = program(place, CONFINES)
    layer = as_user(lambda: best_layer(config, SystemClock(), SystemRandomness(), "darwin", path))
    assert layer["sandbox_exec"] == path
    found = msgspec.convert(as_user(lambda: examine(config, "darwin", path)), tuple[CheckResult, ...])
    layer_line, shell = found
    assert layer_line.status == "ok" and "has not been tested on a Mac" in layer_line.text
    assert shell.text == "commands run in the layer sandbox-exec"


async def test_elsewhere_the_setting_changes_nothing(tmp_path: Path) -> None:
    config = configured(tmp_path, {"shell": ON})
    (shell,) = await examine(config, "win32")
    assert "WSL2" in shell.text and "WSL2" in shell.remedy
    layers = [each.check for each in await examine(config, "linux")]
    assert "sandbox-exec" not in layers


async def test_a_network_is_refused(tmp_path: Path) -> None:
    table = {**ON, "network": "allow", "allowed_hosts": ["pypi.org"]}
    config = configured(tmp_path, {"shell": table})
    with pytest.raises(ConfigError, match="macOS does not have: commands have no network"):
        network_rules(config, "darwin")
    assert network_rules(config, "linux") is not None
    results = {each.check: each for each in await examine(config, "darwin", "/nonexistent/x")}
    assert results["network"].status == "fail" and 'shell.network = "none"' in results["network"].text


# How its launcher runs commands -------------------------------------------------------------------


class Bench:
    """A sandbox, and a workspace whose name tries to be a part of the profile."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.workspace = place / 'a")) (allow default) ("\n'
        self.layer = Layer(sandbox_exec=program(place, CONFINES))

    def run(self, line: str, limits: CommandLimits = LIMITS, **more: Any) -> tuple[str, Ending]:
        """Return what a command wrote, and how it ended."""

        async def work() -> tuple[str, Ending]:
            running = await self.start(line, limits, **more)
            async with asyncio.timeout(40):
                return await everything(running), await running.wait()

        output, ending = as_user(work)
        return output, msgspec.convert(ending, Ending)

    async def start(self, line: str, limits: CommandLimits = LIMITS, **more: Any) -> Running:
        sandbox = LaunchedSandbox(self.place / "state", self.layer, FakeClock(), SystemRandomness())
        sandbox.open()
        self.workspace.mkdir(exist_ok=True)
        return await sandbox.start(
            Command(("/bin/sh", "-c", line), self.workspace, {"PATH": "/usr/bin:/bin"}, limits, **more)
        )


@pytest.fixture
def bench(place: Path) -> Bench:
    return Bench(place)


def test_a_command_works_in_its_workspace_and_nowhere_else(bench: Bench) -> None:
    secret = bench.place / "secret"
    secret.write_text("canary")
    secret.chmod(0o666)
    output, ending = bench.run(
        'echo one > f; cat f; echo two > "$TMPDIR/t"; cat "$TMPDIR/t"; test "$PWD" = "$HOME" && echo home;'
        f" cat {secret}; echo changed > {secret}; ls {bench.place}; exit 3"
    )
    lines = [line for line in output.splitlines() if "ermission denied" not in line]
    assert (lines, ending) == (["one", "two", "home"], Ending(3))
    assert secret.read_text() == "canary"
    assert (bench.workspace / "f").read_text() == "one\n"


def test_it_has_only_its_own_descriptors_and_environment(bench: Bench) -> None:
    code = (
        "import os\nopen_ = []\nfor number in range(64):\n    try: os.fstat(number)\n"
        "    except OSError: continue\n    open_.append(number)\nprint(sorted(os.environ), open_)"
    )
    output, _ = bench.run(f"exec {SYSTEM_PYTHON} -I -S -X utf8 -c '{code}'")
    assert re.sub("'(LC_CTYPE|OLDPWD)', ", "", output) == "['HOME', 'PATH', 'PWD', 'TMPDIR'] [0, 1, 2]\n"


def test_what_it_leaves_behind_is_ended(bench: Bench) -> None:
    assert bench.run(f"(setsid {nap(4646)} &) ; (setsid sh -c '{nap(4646)}' &) ; sleep 0.2")[1] == Ending(0)
    assert not is_there(nap(4646))
    restless = "import os,time\nwhile True:\n  if os.fork(): os._exit(0)\n  os.setsid()"
    assert bench.run(f'{SYSTEM_PYTHON} -I -S -c "{restless} # {nap(4747)}" & sleep 0.3')[1] == Ending(0)
    assert not is_there(nap(4747))


def test_time_memory_and_files_of_all_its_processes_end_it(bench: Bench) -> None:
    within = msgspec.structs.replace(LIMITS, wall_s=2.0)
    assert bench.run(f"setsid {nap(4848)} & {nap(4848)}", within)[1].why == "it took longer than 2 s"
    assert not is_there(nap(4848))
    hold = f"{SYSTEM_PYTHON} -I -S -c \"import time; x = b'x' * (60 << 20); time.sleep(60)\""
    assert "of memory: 200 are allowed" in bench.run(f"for i in 1 2 3 4; do {hold} & done; wait")[1].why
    fill = "for i in 1 2 3 4 5 6 7; do head -c 5000000 /dev/zero > f$i; done; sleep 60"
    assert "30 are allowed" in bench.run(fill)[1].why


def test_a_command_that_ends_its_killer_is_ended(bench: Bench) -> None:
    # A shell does not signal itself.
    output, ending = bench.run(f"{nap(4949)} & kill -s KILL -- -1; {nap(5050)}; echo went on")
    assert (output, ending) == ("", Ending(None, "it ended the process that ends what it leaves behind"))
    assert not is_there(nap(4949)) and not is_there(nap(5050))


def test_what_a_command_leaves_behind_without_its_killer_is_ended(bench: Bench) -> None:
    _, ending = bench.run(f"kill -s KILL -- -1; {nap(6747)} >/dev/null 2>&1 & exit 0")
    assert ending.status == 0 or ending.why == "it ended the process that ends what it leaves behind"
    assert not is_there(nap(6747))


def test_stop_and_the_end_of_its_launcher_end_it(bench: Bench) -> None:
    async def stopped() -> Ending:
        running = await bench.start(f"trap '' TERM; (setsid {nap(6151)} &); echo begun; {nap(6151)}")
        await until(running, "begun")
        running.stop()
        return await running.wait()

    async def killed() -> Ending:
        running = await bench.start(f"(setsid {nap(6252)} &); echo begun; {nap(6252)}")
        await until(running, "begun")
        running._process.kill()  # type: ignore[attr-defined]  # noqa: SLF001 - from outside it is not to be had
        ending = await running.wait()
        async with asyncio.timeout(BOUND_S):
            while is_there(nap(6252)):
                await asyncio.sleep(0.05)
        return ending

    assert as_user(stopped)["why"] == "stopped" and not is_there(nap(6151))
    assert as_user(killed)["why"] == "its launcher was ended"


def test_skills_and_uploads_are_read_and_never_changed(bench: Bench) -> None:
    for name in ("shown", "hidden"):
        (bench.place / "skills" / name).mkdir(parents=True)
        (bench.place / "skills" / name / "run.sh").write_text("echo ran")

    async def fill(folder: Path) -> bool:
        (folder / "one.csv").write_text("1,2\n")
        return True

    output, ending = bench.run(
        'cat uploads/one.csv; echo x >> uploads/one.csv; sh "$SKILLS/shown/run.sh";'
        ' echo x >> "$SKILLS/shown/run.sh"; sh "$SKILLS/hidden/run.sh"; echo end',
        skills={"shown": str(bench.place / "skills" / "shown")},
        uploads=fill,
    )
    assert output.startswith("1,2\n") and output.count("ran") == 1 and output.endswith("end\n"), output
    assert ending == Ending(0)
    assert [each.read_text() for each in (bench.place / "state").rglob("one.csv")] == ["1,2\n"]


def test_a_network_is_never_started(bench: Bench) -> None:
    async def work() -> str:
        def network(listener: object) -> Any: ...

        try:
            await bench.start("true", network=network)
        except Exception as error:  # noqa: BLE001 - its text is looked at
            return str(error)
        return ""

    assert "a network needs bubblewrap" in as_user(work)
