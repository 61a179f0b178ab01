"""Run the attacks one after the other, each on a server of its own, and print what the innocent saw."""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import msgspec

from bench.figures import percentile
from bench.hostile.attacks import ATTACKS
from bench.hostile.innocent import Seen
from bench.machine import ROOT, ProcessFailed, Server, free_port, own_bytes, stop_on_signals

_STALL_MS: Final = 250.0
_SLOWER: Final = 3.0
_MEMORY_MB: Final = 200.0
_CALM_S: Final = 5.0
_MB: Final = 1024 * 1024


class Row(msgspec.Struct):
    """What one attack did. Memory in MB above that of the quiet server: at most, and some seconds after."""

    attack: str
    stall_ms: float
    p99_ms: float
    quiet_p99_ms: float
    turns: float
    """How many turns the innocent got a second, as a share of those without the attack."""
    memory_mb: float
    after_mb: float
    errors: list[str]

    @property
    def is_within_goals(self) -> bool:
        return (
            self.stall_ms <= _STALL_MS
            and self.p99_ms <= _SLOWER * self.quiet_p99_ms
            and self.memory_mb <= _MEMORY_MB
            and not self.errors
        )


class _Memory(threading.Thread):
    """Watches the server's memory."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._over = threading.Event()
        self.quiet = self.most = own_bytes(pid)

    def run(self) -> None:
        while not self._over.wait(0.05):
            self.most = max(self.most, self.now())

    def now(self) -> int:
        try:
            return own_bytes(self._pid)
        except OSError:
            return 0

    def stop(self) -> None:
        self._over.set()
        self.join()


def _watch(port: int, seconds: float) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "bench.hostile.innocent", str(port), str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def _seen(process: "subprocess.Popen[bytes]") -> Seen:
    output, _ = process.communicate()
    seen: Seen = msgspec.json.decode(output, type=Seen)
    return seen


def _attacked(name: str, server: Server, seconds: float) -> Row:
    quiet = _seen(_watch(server.port, seconds))
    memory = _Memory(server.pid)
    memory.start()
    watching = _watch(server.port, seconds + 2)
    attack = subprocess.Popen(
        [sys.executable, "-m", "bench.hostile.attacks", name, str(server.port), str(seconds)],
        cwd=ROOT,
        # So that the processor is not what they fight for.
        preexec_fn=lambda: os.nice(15),
    )
    try:
        seen = _seen(watching)
    finally:
        attack.kill()
        attack.wait()
    memory.stop()
    time.sleep(_CALM_S)
    return Row(
        name,
        max(seen.stalls_ms, default=0.0),
        percentile(seen.turns_ms, 99),
        percentile(quiet.turns_ms, 99),
        len(seen.turns_ms) / (seconds + 2) / (len(quiet.turns_ms) / seconds),
        (memory.most - memory.quiet) / _MB,
        (memory.now() - memory.quiet) / _MB,
        seen.errors[:3],
    )


def _servers(directory: Path, name: str) -> tuple[Server, Server]:
    """Start a model and a server that asks it."""
    upstream_port, port = free_port(), free_port()
    data = directory / name.replace(" ", "-")
    data.mkdir()
    upstream = Server(
        "upstream",
        ["-m", "bench.hostile.upstream", str(upstream_port)],
        upstream_port,
        environment={},
        log=data / "upstream.log",
    )
    environment = {"OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1", "OPENAI_API_KEY": "bench"}
    command = ["-m", "nanobot", "serve", "--port", str(port), "--data", str(data), "--model", "openai:bench"]
    server = Server("nanobot", command, port, environment=environment, log=data / "server.log")
    return upstream, server


def main() -> int:
    """Attack, and print a row as it is known; the exit status is 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each attack lasts")
    parser.add_argument("--only", default="", help="attacks whose name has this in it")
    arguments = parser.parse_args()
    print(f"{'attack':24}{'stall ms':>10}{'p99 ms':>9}{'quiet':>8}{'turns':>8}{'MB':>8}{'after':>8}")
    all_good = True
    with stop_on_signals(), tempfile.TemporaryDirectory(prefix="nanobot-hostile-") as directory:
        for name in (each for each in ATTACKS if arguments.only in each):
            upstream, server = _servers(Path(directory), name)
            try:
                upstream.wait_ready("/v1/models")
                server.wait_ready("/health")
                row = _attacked(name, server, arguments.seconds)
            except ProcessFailed as error:
                print(f"{name}: {error}", file=sys.stderr)
                return 2
            finally:
                server.stop()
                upstream.stop()
            all_good &= row.is_within_goals
            print(
                f"{row.attack:24}{row.stall_ms:>10.0f}{row.p99_ms:>9.1f}{row.quiet_p99_ms:>8.1f}"
                f"{row.turns:>8.2f}{row.memory_mb:>8.0f}{row.after_mb:>8.0f}"
                f"{'' if row.is_within_goals else '  over the goal'}",
                flush=True,
            )
            for line in row.errors:
                print(f"    {line}", flush=True)
    print(
        f"goals: no stall over {_STALL_MS:.0f} ms, p99 within {_SLOWER:g} times the quiet one, memory within "
        f"{_MEMORY_MB:.0f} MB"
    )
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main())
