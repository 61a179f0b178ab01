"""Which layers hold on this machine: found out by commands that try what they must not be able to do."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.errors import ToolError
from nanobot.core.ids import Randomness
from nanobot.tools.sandbox.command import Command, CommandLimits, Network
from nanobot.tools.sandbox.linux import Layer, LayerName, LinuxSandbox

if sys.platform != "win32":
    import fcntl

_LIMITS = CommandLimits(wall_s=20.0, memory_bytes=512 << 20, disk_bytes=64 << 20, processes=64)
ATTEMPTS = 14
"""How many attempts a probe makes; see `attempts.py`."""


class ProbeResult(msgspec.Struct, frozen=True):
    """What came out for a layer: None where it does not hold, for the reason in `why`."""

    name: LayerName
    layer: Layer | None
    why: str = ""


class _Report(msgspec.Struct, frozen=True):
    broken: list[str]
    lacking: list[str]


async def probe_layers(data: Path, clock: Clock, randomness: Randomness) -> tuple[ProbeResult, ...]:
    """Return the results of both layers, the stronger one first. The commands' files are in a directory below
    `data`, as they will be: the users of commands have to reach it. Where `data` is not there yet, they are
    where temporary files are.
    """
    return (await _best_bubblewrap(data, clock, randomness), await _probe(Layer(), data, clock, randomness))


async def _best_bubblewrap(data: Path, clock: Clock, randomness: Randomness) -> ProbeResult:
    path = shutil.which("bwrap")
    if path is None:
        return ProbeResult("bubblewrap", None, "it is not installed")
    result = ProbeResult("bubblewrap", None, "there is no Python for it")
    for python, prefix in _pythons():
        result = await _probe(Layer(path, python, prefix), data, clock, randomness)
        if result.layer is not None:
            return result
        # Some containers let programs make namespaces, but no /proc of their own.
        without = await _probe(Layer(path, python, prefix, lacks_proc=True), data, clock, randomness)
        if without.layer is not None:
            return without
    return result


def _pythons() -> Iterator[tuple[str, str]]:
    """Yield each Python that could confine a command from inside, and where its files are unless in /usr."""
    seen = set()
    own = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
    for path in (own, "/usr/bin/python3", "/usr/local/bin/python3"):
        real = os.path.realpath(path)
        if Path(real).exists() and real not in seen:
            seen.add(real)
            yield real, "" if real.startswith("/usr/") else sys.base_prefix


async def _probe(
    layer: Layer, data: Path, clock: Clock, randomness: Randomness, network: Network | None = None
) -> ProbeResult:
    try:
        async with probe_folders(data) as (directory, outside):
            report = await _report(layer, directory, outside, clock, randomness, network)
    except (OSError, ToolError, msgspec.DecodeError) as error:
        return ProbeResult(layer.name, None, str(error))
    if report.broken:
        return ProbeResult(layer.name, None, f"a command could {', '.join(report.broken)}")
    if report.lacking:
        return ProbeResult(layer.name, None, f"a command lacks: {', '.join(report.lacking)}")
    return ProbeResult(layer.name, layer)


@contextlib.asynccontextmanager
async def probe_folders(data: Path) -> AsyncIterator[tuple[Path, Path]]:
    """Yield a directory for the files of a probe, and one that its command must not reach. Meanwhile they are
    locked, so that a server that starts can tell them from those of a probe that was killed.

    Raises:
        OSError: nothing can be written there.
    """
    base = data if await asyncio.to_thread(data.is_dir) else None
    made: list[tuple[Path, int]] = []
    try:
        for prefix, parent in (("probe-", base), ("nanobot-probe-", None)):
            made.append(await asyncio.to_thread(_make_locked, prefix, parent))
        (directory, _), (outside, _) = made
        yield directory, outside
    finally:
        for each, lock in made:
            await asyncio.to_thread(shutil.rmtree, each, ignore_errors=True)
            os.close(lock)


def _make_locked(prefix: str, parent: Path | None) -> tuple[Path, int]:
    while True:
        made = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = os.open(made, os.O_RDONLY)
        # Some file systems lock nothing; nobody else takes it for one that nobody locks there either.
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_SH)
        if os.fstat(lock).st_nlink and made.exists():
            return made, lock
        # A server that started a moment ago has taken it for a leftover.
        os.close(lock)


async def probe_network(layer: Layer, data: Path, clock: Clock, randomness: Randomness) -> str:
    """Return why commands in `layer` cannot have a network that is nothing but the proxy; empty: they can."""
    if not layer.bubblewrap:
        return "a network needs the layer bubblewrap: the launcher alone has no namespace for it"
    met = asyncio.Event()
    result = await _probe(layer, data, clock, randomness, partial(_greeting, met))
    if result.layer is None:
        return result.why
    return "" if met.is_set() else "what a command connects to does not arrive"


@contextlib.asynccontextmanager
async def _greeting(met: asyncio.Event, listener: socket.socket) -> AsyncIterator[None]:
    """Be the network of a probe: answer a byte with another."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            if await reader.read(1):
                met.set()
                writer.write(b"!")

    async with await asyncio.start_server(greet, sock=listener):
        yield


async def _report(
    layer: Layer,
    directory: Path,
    outside: Path,
    clock: Clock,
    randomness: Randomness,
    network: Network | None,
) -> _Report:
    sandbox = LinuxSandbox(directory / "state", layer, clock, randomness)
    workspace = directory / "workspace"
    await asyncio.to_thread(_make, directory, workspace, outside, sandbox)
    victim = await asyncio.to_thread(_start_victim)
    try:
        with socket.create_server(("127.0.0.1", 0)) as port:
            probe = {
                "file": str(outside / "file"),
                "pid": victim.pid,
                "port": port.getsockname()[1],
                "has_network": network is not None,
            }
            running = await sandbox.start_order(
                Command((), workspace, limits=_LIMITS, network=network), {"probe": probe, "environment": {}}
            )
            output = b""
            while chunk := await running.read():
                output += chunk
            ending = await running.wait()
    finally:
        await asyncio.to_thread(_end_victim, victim)
    if ending.status != 0:
        said = output.decode(errors="replace").strip().splitlines()
        raise ToolError(ending.why or (said[-1] if said else f"it ended with status {ending.status}"))
    return msgspec.json.decode(output, type=_Report)


def _make(directory: Path, workspace: Path, outside: Path, sandbox: LinuxSandbox) -> None:
    sandbox.open()
    directory.chmod(0o755)
    workspace.mkdir(mode=0o700)
    outside.chmod(0o777)
    file = outside / "file"
    file.write_text("canary")
    # Only the sandbox stands between it and the command, not who it belongs to.
    file.chmod(0o666)


def _start_victim() -> "subprocess.Popen[bytes]":
    """Start a process that waits, with a number that none has in the namespace of a command."""
    while True:
        process = subprocess.Popen(
            ["/bin/sh", "-c", "read line", "nanobot-probe"],
            stdin=subprocess.PIPE,
            env={},
        )
        if process.pid > 64:
            return process
        _end_victim(process)


def _end_victim(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.communicate()
