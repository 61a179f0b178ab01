"""Which layers hold on this machine: found out by commands that try what they must not be able to do."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.errors import ToolError
from nanobot.core.ids import Randomness
from nanobot.tools.sandbox.command import Command, CommandLimits
from nanobot.tools.sandbox.linux import Layer, LayerName, LinuxSandbox

_LIMITS = CommandLimits(wall_s=20.0, memory_bytes=512 << 20, disk_bytes=64 << 20, processes=64)
ATTEMPTS = 12
"""How many attempts a probe makes; see `attempts.py`."""


class ProbeResult(msgspec.Struct, frozen=True):
    """What came out for a layer: None where it does not hold, for the reason in `why`."""

    name: LayerName
    layer: Layer | None
    why: str = ""


class _Report(msgspec.Struct, frozen=True):
    broken: list[str]
    lacking: list[str]


async def probe_layers(clock: Clock, randomness: Randomness) -> tuple[ProbeResult, ...]:
    """Return the results of both layers, the stronger one first."""
    return (await _best_bubblewrap(clock, randomness), await _probe(Layer(), clock, randomness))


async def _best_bubblewrap(clock: Clock, randomness: Randomness) -> ProbeResult:
    path = shutil.which("bwrap")
    if path is None:
        return ProbeResult("bubblewrap", None, "it is not installed")
    result = ProbeResult("bubblewrap", None, "there is no Python for it")
    for python, prefix in _pythons():
        result = await _probe(Layer(path, python, prefix), clock, randomness)
        if result.layer is not None:
            break
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


async def _probe(layer: Layer, clock: Clock, randomness: Randomness) -> ProbeResult:
    directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="nanobot-probe-"))
    try:
        report = await _report(layer, directory, clock, randomness)
    except (OSError, ToolError, msgspec.DecodeError) as error:
        return ProbeResult(layer.name, None, str(error))
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
    if report.broken:
        return ProbeResult(layer.name, None, f"a command could {', '.join(report.broken)}")
    if report.lacking:
        return ProbeResult(layer.name, None, f"a command lacks: {', '.join(report.lacking)}")
    return ProbeResult(layer.name, layer)


async def _report(layer: Layer, directory: Path, clock: Clock, randomness: Randomness) -> _Report:
    sandbox = LinuxSandbox(directory / "state", layer, clock, randomness)
    workspace, outside = directory / "workspace", directory / "outside"
    await asyncio.to_thread(_make, directory, workspace, outside, sandbox)
    victim = await asyncio.to_thread(_start_victim)
    try:
        probe = {"file": str(outside / "file"), "pid": victim.pid}
        running = await sandbox.start_order(
            Command((), workspace, limits=_LIMITS), {"probe": probe, "environment": {}}
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
    outside.mkdir()
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
