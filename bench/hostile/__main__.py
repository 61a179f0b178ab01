"""Run the attacks one after the other, each on a server of its own, and print what the innocent saw."""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from bench.figures import percentile
from bench.hostile.attacks import ATTACKS
from bench.hostile.crowds import WITH_FILE
from bench.hostile.innocent import Seen
from bench.hostile.page import GOALS, HEAD, PAGE, Row, text_lines, write_table
from bench.machine import ROOT, ProcessFailed, Server, cpu_ns, describe, free_port, own_bytes, stop_on_signals

CALM: Final = "calm"
"""The preset whose model the innocent ask; it answers them alone."""
_NICER: Final = 15
_AFTER_S: Final = 5.0
_MB: Final = 1024 * 1024


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


def _watch(port: int, seconds: float, name: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "bench.hostile.innocent", str(port), str(seconds), CALM]
    command += ["file"] if name in WITH_FILE else []
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def _step_back(pid: int = 0) -> None:
    """What attacks, and the model that it asks, would be on other machines: the process gets what the server
    and the innocent leave of the processors.
    """
    os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + _NICER)


def _seen(process: "subprocess.Popen[bytes]") -> Seen:
    output, _ = process.communicate()
    seen: Seen = msgspec.json.decode(output, type=Seen)
    return seen


def _children_s() -> float:
    """Return the CPU time of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _attacked(name: str, server: Server, seconds: float) -> Row:
    """Return what an attack of so many seconds did; the innocent have as long without it before."""
    quiet = _seen(_watch(server.port, seconds, name))
    memory = _Memory(server.pid)
    memory.start()
    watching = _watch(server.port, seconds + 2, name)
    attack = subprocess.Popen(
        [sys.executable, "-m", "bench.hostile.attacks", name, str(server.port), str(seconds)],
        cwd=ROOT,
        preexec_fn=_step_back,
    )
    began_ns = cpu_ns(server.pid)
    try:
        seen = _seen(watching)
        server_ns = cpu_ns(server.pid) - began_ns
    finally:
        before_s = _children_s()
        attack.kill()
        attack.wait()
    memory.stop()
    time.sleep(_AFTER_S)
    return Row(
        name,
        max(seen.stalls_ms, default=0.0),
        percentile(seen.turns_ms, 99),
        percentile(quiet.turns_ms, 99),
        len(seen.turns_ms) / (seconds + 2) / (len(quiet.turns_ms) / seconds),
        (memory.most - memory.quiet) / _MB,
        (memory.now() - memory.quiet) / _MB,
        server_ns / 1e9 / (seconds + 2),
        (_children_s() - before_s) / seconds,
        seen.errors[:3],
    )


def _servers(directory: Path, name: str) -> Iterator[Server]:
    """Start the models, of the attack and of the innocent, and then a server that asks them."""
    data = directory / name.replace(" ", "-")
    data.mkdir()
    ports = {}
    for whose in ("attack", CALM):
        port = ports[whose] = free_port()
        upstream = Server(
            f"model of the {whose}",
            ["-m", "bench.hostile.upstream", str(port)],
            port,
            environment={},
            log=data / f"{whose}.log",
        )
        yield upstream
        upstream.wait_ready("/v1/models")
        if whose != CALM:
            _step_back(upstream.pid)
    settings = data / "nanobot.toml"
    settings.write_text(
        f'[models.{CALM}]\nname = "openai:bench"\nbase_url = "http://127.0.0.1:{ports[CALM]}/v1"\n'
    )
    environment = {"OPENAI_BASE_URL": f"http://127.0.0.1:{ports['attack']}/v1", "OPENAI_API_KEY": "bench"}
    port = free_port()
    command = ["-m", "nanobot", "serve", "--port", str(port), "--data", str(data), "--model", "openai:bench"]
    command += ["--config", str(settings)]
    server = Server("nanobot", command, port, environment=environment, log=data / "server.log")
    yield server
    server.wait_ready("/health")


def _rows(names: Iterable[str], seconds: float) -> Iterator[Row]:
    """Yield the result of each attack, made one after the other.

    Raises:
        ProcessFailed: the server did not start.
    """
    with tempfile.TemporaryDirectory(prefix="nanobot-hostile-") as directory:
        for name in names:
            running: list[Server] = []
            try:
                running.extend(_servers(Path(directory), name))
                yield _attacked(name, running[-1], seconds)
            finally:
                for server in reversed(running):
                    server.stop()


def main() -> int:
    """Attack, and print a row as it is known; the exit status is 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each attack lasts")
    parser.add_argument("--only", default="", help="attacks whose name has this in it")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    arguments = parser.parse_args()
    if arguments.write and arguments.only:
        parser.error("--write needs all attacks: the table is of one run")
    rows: list[Row] = []
    print(HEAD)
    with stop_on_signals():
        try:
            for row in _rows((name for name in ATTACKS if arguments.only in name), arguments.seconds):
                rows.append(row)
                print("\n".join(text_lines(row)), flush=True)
        except ProcessFailed as error:
            print(error, file=sys.stderr)
            return 2
    print(GOALS)
    if arguments.write:
        write_table(rows, arguments.seconds, describe())
    return 0 if all(row.is_within_goals for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
