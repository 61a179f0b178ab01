"""A fresh interpreter for every task: for systems that cannot fork."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

from nanobot.workers.launcher import PYTHON_OPTIONS, environment, outcome
from nanobot.workers.message import framed
from nanobot.workers.task import Outcome, Task

_CHUNK_BYTES = 64 * 1024


class SpawnLauncher:
    """Starts `nanobot.workers.child`, which imports what it needs every time."""

    async def run(self, task: Task, timeout_s: float) -> Outcome:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *PYTHON_OPTIONS, "-m", "nanobot.workers.child"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=environment(),
        )
        most = task.limits.max_output_bytes
        try:
            async with asyncio.timeout(timeout_s):
                # At the same time: with one pipe full, neither process would get on.
                output, _ = await asyncio.gather(_read(process, most), _write(process, task))
                status = await process.wait()
        except TimeoutError:
            return Outcome("timeout")
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        return outcome(output, status, most)

    async def close(self) -> None:
        """Nothing to end: each process ends with its task."""


async def _write(process: Process, task: Task) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    # If the process has ended already, its status tells why.
    with contextlib.suppress(ConnectionError):
        for part in framed(task):
            for start in range(0, len(part), _CHUNK_BYTES):
                process.stdin.write(part[start : start + _CHUNK_BYTES])
                await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()


async def _read(process: Process, most: int) -> bytes:
    """Return the output; more than `most` bytes end the process."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    output = bytearray()
    while len(output) <= most and (chunk := await process.stdout.read(_CHUNK_BYTES)):
        output += chunk
    if len(output) > most:
        process.kill()
    return bytes(output)
