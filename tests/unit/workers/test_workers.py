"""Workers, whichever way they are started: what they do, what they may not, and how they end."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nanobot.testing import FakeClock
from nanobot.workers.forked import ForkLauncher
from nanobot.workers.launcher import Launcher
from nanobot.workers.pool import INSTANT_S, QUICK_S, WorkerPool
from nanobot.workers.spawned import SpawnLauncher
from nanobot.workers.task import Outcome, Task, WorkerLimits
from tests.asgi import BOUND_S
from tests.workers_tasks import ATTEMPTS

LIMITS = WorkerLimits(wall_s=BOUND_S, cpu_s=5, memory_bytes=512 * 2**20, max_output_bytes=1_000_000)
POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can take this away")


@pytest.fixture(params=[pytest.param(ForkLauncher, marks=POSIX), SpawnLauncher])
async def launcher(request: pytest.FixtureRequest) -> AsyncIterator[Launcher]:
    launcher: Launcher = request.param()
    yield launcher
    await launcher.close()


def task(head: str, content: bytes = b"", limits: WorkerLimits = LIMITS) -> Task:
    return Task("tests.workers_tasks", limits, head.encode(), content)


def limited(
    *, wall_s: float = BOUND_S, cpu_s: int = 5, memory_mb: int = 512, output: int = 1000
) -> WorkerLimits:
    return WorkerLimits(wall_s, cpu_s, memory_mb * 2**20, output)


async def done(launcher: Launcher, wanted: Task) -> Outcome:
    return await launcher.run(wanted, wanted.limits.wall_s)


async def is_gone(pid: int) -> bool:
    """Return once the process is gone."""
    async with asyncio.timeout(BOUND_S):
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("content", [b"", b"\n\0\n", b"x" * 900_000])
async def test_a_task_gets_its_content_and_gives_its_result(launcher: Launcher, content: bytes) -> None:
    assert await done(launcher, task("echo", content)) == Outcome("done", b"<" + content + b">")


async def test_each_task_has_a_process_of_its_own(launcher: Launcher) -> None:
    """What one user's file did to the process is not there when another's is read."""
    seen = [(await done(launcher, task("pid"))).output for _ in range(3)]
    assert len(set(seen)) == 3


async def test_tasks_run_at_the_same_time(launcher: Launcher) -> None:
    outcomes = await asyncio.gather(*(done(launcher, task("echo", b"%d" % n)) for n in range(4)))
    assert [outcome.output for outcome in outcomes] == [b"<0>", b"<1>", b"<2>", b"<3>"]


@pytest.mark.parametrize("how", ["crash", "raise", "nothing"])
async def test_a_task_that_breaks_has_failed_and_the_next_one_runs(launcher: Launcher, how: str) -> None:
    assert await done(launcher, task(how)) == Outcome("failed")
    assert (await done(launcher, task("echo"))).ending == "done"


async def test_what_a_library_prints_does_not_get_into_the_result(launcher: Launcher) -> None:
    assert await done(launcher, task("print")) == Outcome("done", b"the result")


async def test_a_task_that_waits_too_long_is_ended(launcher: Launcher) -> None:
    assert await done(launcher, task("sleep", limits=limited(wall_s=0.3))) == Outcome("timeout")


async def test_a_task_that_computes_too_long_is_ended(launcher: Launcher) -> None:
    assert await done(launcher, task("spin", limits=limited(cpu_s=1))) == Outcome("limit")


@LINUX
async def test_a_task_that_takes_too_much_memory_is_ended(launcher: Launcher) -> None:
    assert await done(launcher, task("eat", limits=limited(memory_mb=256))) == Outcome("limit")


async def test_a_result_that_is_too_large_is_none(launcher: Launcher) -> None:
    assert await done(launcher, task("large", limits=limited(output=1000))) == Outcome("failed")


async def test_a_cancelled_task_leaves_no_process(launcher: Launcher, tmp_path: Path) -> None:
    """The client went away: nobody waits for the result."""
    running = asyncio.ensure_future(done(launcher, task("sleep")))
    pid = await pid_of_child_of(launcher, running)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await is_gone(pid)


async def pid_of_child_of(launcher: Launcher, running: "asyncio.Future[Outcome]") -> int:
    """Return the newest process below this one, once it is a worker."""
    depth = 2 if isinstance(launcher, ForkLauncher) else 1
    async with asyncio.timeout(BOUND_S):
        while not running.done():
            if (pids := descendants(os.getpid(), depth)) and depth == len(pids):
                return pids[-1]
            await asyncio.sleep(0.005)
    raise AssertionError("the task has ended")


def descendants(pid: int, most: int) -> list[int]:
    """Return a chain of processes, each the newest child of the one before."""
    chain: list[int] = []
    while len(chain) < most:
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        except OSError:
            break
        if not children:
            break
        pid = int(children[-1])
        chain.append(pid)
    return chain


@LINUX
@pytest.mark.parametrize("attempt", [name for name, is_allowed in ATTEMPTS.items() if not is_allowed])
async def test_a_worker_reaches_nothing_outside_itself(launcher: Launcher, attempt: str) -> None:
    outcome = await done(launcher, task("attempt", attempt.encode()))
    assert outcome.ending == "done"
    assert outcome.output.startswith(b"refused: ")


@pytest.mark.parametrize("attempt", [name for name, is_allowed in ATTEMPTS.items() if is_allowed])
async def test_a_worker_can_do_what_libraries_do(launcher: Launcher, attempt: str) -> None:
    outcome = await done(launcher, task("attempt", attempt.encode()))
    assert outcome == Outcome("done", b"it worked")


async def test_a_worker_has_no_secrets_of_the_server(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    outcome = await done(launcher, task("environment"))
    assert b"PATH" in outcome.output
    assert b"OPENAI_API_KEY" not in outcome.output


# The fork server ----------------------------------------------------------------------------------


@POSIX
async def test_a_fork_server_that_died_is_replaced() -> None:
    launcher = ForkLauncher()
    try:
        parent = int((await done(launcher, task("parent"))).output)
        os.kill(parent, 9)
        assert await is_gone(parent)
        assert (await done(launcher, task("echo"))).ending == "done"
    finally:
        await launcher.close()


@POSIX
async def test_a_fork_server_that_dies_takes_its_tasks_along() -> None:
    """They have failed; nobody waits for them."""
    launcher = ForkLauncher()
    try:
        parent = int((await done(launcher, task("parent"))).output)
        running = asyncio.ensure_future(done(launcher, task("sleep")))
        await pid_of_child_of(launcher, running)
        os.kill(parent, 9)
        async with asyncio.timeout(BOUND_S):
            outcome = await running
        assert outcome.ending in ("failed", "limit")
    finally:
        await launcher.close()


@POSIX
async def test_a_fork_server_is_let_go_after_a_minute_without_a_task() -> None:
    clock = FakeClock()
    launcher = ForkLauncher(clock)
    try:
        parent = int((await done(launcher, task("parent"))).output)
        await asyncio.sleep(0)
        clock.advance(59)
        assert int((await done(launcher, task("parent"))).output) == parent
        await asyncio.sleep(0)
        clock.advance(60)
        assert await is_gone(parent)
        assert (await done(launcher, task("echo"))).ending == "done"
    finally:
        await launcher.close()


@POSIX
async def test_a_closed_pool_leaves_no_process() -> None:
    pool = WorkerPool(ForkLauncher())
    parent = int((await pool.run(task("parent"), "a")).output)
    await pool.close()
    assert await is_gone(parent)


# The pool -----------------------------------------------------------------------------------------


class NotedLauncher:
    """Notes with which time each task was started; long ones take longer than a quick one may, those of a
    second longer than an instant.
    """

    def __init__(self) -> None:
        self.started: list[tuple[str, float]] = []
        self.gate = asyncio.Event()

    async def run(self, task: Task, timeout_s: float) -> Outcome:
        name = task.head.decode()
        self.started.append((name, timeout_s))
        if not name.startswith("long"):
            return Outcome("done", task.head)
        if timeout_s <= (INSTANT_S if name.startswith("long second") else QUICK_S):
            return Outcome("timeout")
        await self.gate.wait()
        return Outcome("done", task.head)

    async def close(self) -> None:
        """Nothing to close."""


async def test_short_tasks_do_not_wait_for_long_ones() -> None:
    launcher = NotedLauncher()
    pool = WorkerPool(launcher)
    long = [asyncio.ensure_future(pool.run(task(f"long{n}"), "a")) for n in range(6)]
    async with asyncio.timeout(BOUND_S):
        assert (await pool.run(task("short"), "a")).output == b"short"
        assert (await pool.run(task("short"), "b")).output == b"short"
    launcher.gate.set()
    async with asyncio.timeout(BOUND_S):
        assert [(await each).ending for each in long] == ["done"] * 6


async def test_a_task_that_may_take_a_second_is_tried_for_a_tenth_of_it_and_no_third_time() -> None:
    launcher = NotedLauncher()
    outcome = await WorkerPool(launcher).run(task("long", limits=limited(wall_s=1.0)), "a")
    assert outcome == Outcome("timeout")
    assert launcher.started == [("long", 0.1), ("long", 1.0)]


async def test_a_file_does_not_wait_for_schemas_that_take_a_second() -> None:
    launcher = NotedLauncher()
    pool = WorkerPool(launcher)
    limits = limited(wall_s=QUICK_S)
    slow = [
        asyncio.ensure_future(pool.run(task(f"long second {n}", limits=limits), f"session {n}"))
        for n in range(12)
    ]
    async with asyncio.timeout(BOUND_S):
        assert (await pool.run(task("a file"), "b")).output == b"a file"
    launcher.gate.set()
    async with asyncio.timeout(BOUND_S):
        assert [(await each).ending for each in slow] == ["done"] * 12


async def test_a_task_of_an_instant_does_not_wait_for_those_that_take_a_second() -> None:
    launcher = NotedLauncher()
    pool = WorkerPool(launcher)
    limits = limited(wall_s=QUICK_S)
    slow = [
        asyncio.ensure_future(pool.run(task(f"long second {n}", limits=limits), f"attacker {n}"))
        for n in range(6)
    ]
    async with asyncio.timeout(BOUND_S):
        assert (await pool.run(task("instant", limits=limits), "b")).output == b"instant"
    launcher.gate.set()
    async with asyncio.timeout(BOUND_S):
        assert [(await each).ending for each in slow] == ["done"] * 6
