"""Processes under test, and what the operating system says of them. Linux only: it reads `/proc`.

Units: CPU in nanoseconds as the scheduler counted it (user and system, every thread), memory in bytes, time
  in seconds.
"""

import contextlib
import ctypes
import http.client
import os
import platform
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
_PR_SET_PDEATHSIG: Final = 1
_DROPPED: Final = ("NANOBOT_", "OPENAI_", "PYTHONDONTWRITEBYTECODE")
"""What of this process's environment a system under test does not get; without byte code on the disk, a start
would measure the compiler.
"""
_libc: Final = ctypes.CDLL(None)


class ProcessFailed(Exception):
    """A process under test did not start, or ended by itself; the message holds its last output."""


def family(pid: int) -> list[int]:
    """Return `pid` and the processes below it that are alive."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += family(int(child))
    return found


def cpu_ns(pid: int) -> int:
    """Return the CPU time that `pid` and its living children have used so far."""
    total = 0
    for member in family(pid):
        with contextlib.suppress(OSError):
            # The kernel's name for another process's CPU clock (clock_getcpuclockid): to the nanosecond,
            # where /proc/PID/stat has ticks of 10 ms.
            total += time.clock_gettime_ns((~member << 3) | 2)
    return total


def rss_bytes(pid: int) -> int:
    """Return the resident memory of `pid` and its living children, shared pages counted in full."""
    return _resident(pid, "Rss:")


def own_bytes(pid: int) -> int:
    """Return the resident memory of `pid` and its living children, a page that several share counted once."""
    return _resident(pid, "Pss:")


def _resident(pid: int, kind: str) -> int:
    total = 0
    for member in family(pid):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except OSError:
            # Children come and go; the process itself is asked for.
            if member == pid:
                raise
            continue
        for line in lines:
            if line.startswith(kind):
                total += int(line.split()[1]) * 1024
    return total


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago, outside the range from which outgoing
    connections and other servers take theirs: who starts later finds it still free.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """A process that serves HTTP on `port`.

    `ready_s` is the time from its start to the first good answer of `probe`.
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        port: int,
        *,
        environment: Mapping[str, str],
        log: Path,
        root: Path = ROOT,
    ) -> None:
        self.name, self.port, self._log = name, port, log
        clean = {key: value for key, value in os.environ.items() if not key.startswith(_DROPPED)}
        with log.open("wb") as output:
            self.started_at = time.perf_counter()
            self._process = subprocess.Popen(
                [sys.executable, *command],
                cwd=root,
                env={**clean, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self.pid = self._process.pid

    def wait_ready(self, path: str, timeout_s: float = 20.0) -> float:
        """Return the seconds from the start of the process to a 200 on `path`.

        Raises:
            ProcessFailed: it ended, or did not answer in time.
        """
        deadline = self.started_at + timeout_s
        while time.perf_counter() < deadline:
            if self._process.poll() is not None:
                raise ProcessFailed(
                    f"{self.name} ended with status {self._process.returncode} at its start:"
                    f"\n{self.last_words()}"
                )
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                with contextlib.closing(connection):
                    connection.request("GET", path)
                    if connection.getresponse().status == 200:
                        return time.perf_counter() - self.started_at
            time.sleep(0.001)
        raise ProcessFailed(f"{self.name} gave no 200 on {path} within {timeout_s:g} s:\n{self.last_words()}")

    def last_words(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])

    def kill(self) -> None:
        """End the process as a crash does: at once, with nothing put in order. What is below it is left."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End the process and all below it: asked first, made to after 5 s."""
        members = family(self.pid)
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for member in members[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)


@contextlib.contextmanager
def counting_calls(pid: int, call: str) -> Iterator[list[int]]:
    """Count how often the process makes a system call, with strace; at the end the number is in the list.

    Raises:
        ProcessFailed: strace is not installed, or may not look at the process.
    """
    counts: list[int] = []
    command = ["strace", "-f", "-qq", "-c", "-e", f"trace={call}", "-p", str(pid)]
    try:
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise ProcessFailed("strace is not installed") from None
    try:
        _wait_traced(pid, tracer)
        yield counts
    finally:
        tracer.send_signal(signal.SIGINT)
        _, said = tracer.communicate(timeout=10)
    # % time, seconds, usecs/call, calls, (errors,) syscall
    rows = [line.split() for line in said.splitlines()]
    counts.append(sum(int(row[3]) for row in rows if len(row) >= 5 and row[-1] == call))


def _wait_traced(pid: int, tracer: "subprocess.Popen[str]") -> None:
    """Return once every thread of the process is traced."""
    deadline = time.perf_counter() + 10
    while time.perf_counter() < deadline:
        if tracer.poll() is not None:
            assert tracer.stderr is not None
            raise ProcessFailed(f"strace: {tracer.stderr.read().strip()}")
        states = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
        if all(f"TracerPid:\t{tracer.pid}\n" in state for state in states):
            return
        time.sleep(0.01)
    raise ProcessFailed("strace does not get hold of the process")


@contextlib.contextmanager
def stop_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `KeyboardInterrupt`, so that every `finally` runs."""

    def interrupt(number: int, _: object) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def describe() -> dict[str, str]:
    """Return what a reader must know of this machine to compare figures."""
    processor = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(
            (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), processor
        )
    return {
        "processor": f"{processor}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "nice": str(os.nice(0)),
        **{
            name: metadata.version(name)
            for name in ("uvicorn", "starlette", "aiohttp", "msgspec", "uvloop", "httptools")
        },
    }
