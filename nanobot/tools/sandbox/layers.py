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
from typing import Any

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.errors import ToolError
from nanobot.core.ids import Randomness
from nanobot.tools.sandbox import ps_tree
from nanobot.tools.sandbox.command import Command, CommandLimits, Network
from nanobot.tools.sandbox.launched import LaunchedSandbox, Layer, LayerName
from nanobot.tools.sandbox.seatbelt import SANDBOX_EXEC

if sys.platform != "win32":
    import fcntl

_LIMITS = CommandLimits(wall_s=20.0, memory_bytes=512 << 20, disk_bytes=64 << 20, processes=64)
ATTEMPTS = 14
"""How many attempts a probe makes on Linux; see `attempts.py`."""


class ProbeResult(msgspec.Struct, frozen=True):
    """What came out for a layer: None where it does not hold, for the reason in `why`. `attempts`: how many
    were refused.
    """

    name: LayerName
    layer: Layer | None
    why: str = ""
    attempts: int = ATTEMPTS


class _Report(msgspec.Struct, frozen=True):
    broken: list[str]
    lacking: list[str]
    tried: int = ATTEMPTS
    left: int = 0


async def probe_sandbox_exec(
    data: Path, clock: Clock, randomness: Randomness, path: str = SANDBOX_EXEC
) -> tuple[ProbeResult, ...]:
    """Return the result of the only layer of macOS, as `probe_layers` does. `path`: the program."""
    if not await asyncio.to_thread(Path(path).exists):
        return (ProbeResult("sandbox-exec", None, f"there is no {path}"),)
    return (await _probe(Layer(sandbox_exec=path), data, clock, randomness),)


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
    return ProbeResult(layer.name, layer, attempts=report.tried)


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
    sandbox = LaunchedSandbox(directory / "state", layer, clock, randomness)
    workspace = directory / "workspace"
    await asyncio.to_thread(_make, directory, workspace, outside, sandbox)
    async with contextlib.AsyncExitStack() as stack:
        probe = await _aims(stack, layer, outside)
        if layer.sandbox_exec:
            probe["other"] = await _other(stack, sandbox, directory / "other")
        running = await sandbox.start_order(
            Command((), workspace, limits=_LIMITS, network=network),
            {"probe": {**probe, "has_network": network is not None}, "environment": {}},
        )
        output = b""
        while chunk := await running.read():
            output += chunk
        ending = await running.wait()
    if ending.status != 0:
        said = output.decode(errors="replace").strip().splitlines()
        raise ToolError(ending.why or (said[-1] if said else f"it ended with status {ending.status}"))
    report = msgspec.json.decode(output, type=_Report)
    if report.left and await asyncio.to_thread(ps_tree.runs, report.left):
        report.broken.append("leave a process behind")
    return report


async def _aims(stack: contextlib.AsyncExitStack, layer: Layer, outside: Path) -> dict[str, Any]:
    """Return what the attempts of a probe are aimed at; it goes with the stack."""
    victim = await asyncio.to_thread(_start_victim)
    stack.push_async_callback(asyncio.to_thread, _end_victim, victim)
    port = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    aims = {"file": str(outside / "file"), "pid": victim.pid, "port": port.getsockname()[1]}
    if layer.sandbox_exec:
        made = stack.enter_context(socket.socket(socket.AF_UNIX))
        made.bind(str(outside / "socket"))
        made.listen()
        aims.update(socket=str(outside / "socket"), program=str(outside / "program"), home=str(Path.home()))
    return aims


async def _other(stack: contextlib.AsyncExitStack, sandbox: LaunchedSandbox, workspace: Path) -> int:
    """Start a command of another workspace; return the number of its process."""
    await asyncio.to_thread(workspace.mkdir, mode=0o700)
    command = ("/bin/sh", "-c", "echo $$; read line")
    running = await sandbox.start(Command(command, workspace, limits=_LIMITS, has_input=True))
    stack.push_async_callback(running.wait)
    stack.callback(running.stop)
    said = await running.read()
    if not said.strip().isdigit():
        raise ToolError(said.decode(errors="replace").strip() or (await running.wait()).why)
    return int(said)


def _make(directory: Path, workspace: Path, outside: Path, sandbox: LaunchedSandbox) -> None:
    sandbox.open()
    directory.chmod(0o755)
    workspace.mkdir(mode=0o700)
    outside.chmod(0o777)
    file = outside / "file"
    file.write_text("canary")
    # Only the sandbox stands between it and the command, not who it belongs to.
    file.chmod(0o666)
    program = outside / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o777)


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
