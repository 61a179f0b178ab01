"""Workers forked from one process that has the imports behind it: they start in some milliseconds."""

import asyncio
import contextlib
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

import msgspec

from nanobot.core.clock import Clock, SystemClock
from nanobot.workers.forkserver import Command, Ended, Kill, Start
from nanobot.workers.launcher import PYTHON_OPTIONS, environment, outcome
from nanobot.workers.message import framed
from nanobot.workers.task import Outcome, Task

IDLE_S = 60.0
"""How long the fork server is kept without a task; it takes as much memory as the libraries it imported."""
_CHUNK_BYTES = 64 * 1024
_decode_ended = msgspec.json.Decoder(Ended).decode


class ForkLauncher:
    """Keeps a fork server while there are tasks, and for a minute after.

    Belongs to the event loop of its first use.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._server: _RunningForkServer | None = None
        self._starting = asyncio.Lock()
        self._running = 0
        self._idle: asyncio.Task[None] | None = None
        # Only to keep it from being collected.
        self._ending: asyncio.Task[None] | None = None

    async def run(self, task: Task, timeout_s: float) -> Outcome:
        self._running += 1
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        try:
            async with self._starting:
                if self._server is not None and self._server.is_gone:
                    await self._server.close()
                    self._server = None
                if self._server is None:
                    self._server = await _RunningForkServer.start()
            return await self._server.run(task, timeout_s)
        finally:
            self._running -= 1
            if not self._running:
                self._idle = asyncio.get_running_loop().create_task(self._let_go_when_idle())

    async def _let_go_when_idle(self) -> None:
        await self._clock.sleep(IDLE_S)
        # A task that comes now must not cancel this: it waits, and starts another fork server.
        self._ending, self._idle = self._idle, None
        async with self._starting:
            if self._running == 0:
                await self._end()

    async def close(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        async with self._starting:
            await self._end()

    async def _end(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.close()


class _RunningForkServer:
    """A fork server that runs."""

    def __init__(self, process: Process, commands: socket.socket) -> None:
        self._process = process
        self._commands = commands
        self._ends: dict[int, asyncio.Future[int]] = {}
        self._open: set[asyncio.StreamWriter] = set()
        self._last_id = 0
        self.is_gone = False
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls) -> "_RunningForkServer":
        # Datagrams: what comes with a message must not be taken for another's.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *PYTHON_OPTIONS, "-m", "nanobot.workers.forkserver", str(theirs.fileno())),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=environment(),
                pass_fds=(theirs.fileno(),),
            )
        finally:
            theirs.close()
        return cls(process, ours)

    async def run(self, task: Task, timeout_s: float) -> Outcome:
        ours, theirs = socket.socketpair()
        self._last_id += 1
        id_ = self._last_id
        ended = self._ends[id_] = asyncio.get_running_loop().create_future()
        try:
            with theirs:
                self._tell(Start(id_, (task.module, *task.libraries)), theirs)
            reader, writer = await asyncio.open_unix_connection(sock=ours)
        except OSError:
            ours.close()
            del self._ends[id_]
            return Outcome("failed")
        most = task.limits.max_output_bytes
        self._open.add(writer)
        try:
            async with asyncio.timeout(timeout_s):
                output, _ = await asyncio.gather(_read(reader, most), _write(writer, task))
                if len(output) > most:
                    return Outcome("failed")
                status = await ended
        except TimeoutError:
            return Outcome("timeout")
        finally:
            writer.transport.abort()
            self._open.discard(writer)
            if not ended.done():
                with contextlib.suppress(OSError):
                    self._tell(Kill(id_))
                await asyncio.shield(ended)
            del self._ends[id_]
        return outcome(output, status, most)

    def _tell(self, command: Command, descriptor: socket.socket | None = None) -> None:
        message = msgspec.json.encode(command)
        if descriptor is None:
            self._commands.send(message)
        else:
            socket.send_fds(self._commands, [message], [descriptor.fileno()])

    async def _listen(self) -> None:
        """Take down how workers ended, until the fork server is gone; those that still ran are gone then."""
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        async for line in self._process.stdout:
            end = _decode_ended(line)
            if (waiting := self._ends.get(end.id)) is not None and not waiting.done():
                waiting.set_result(end.status)
        self.is_gone = True
        self._commands.close()
        for waiting in self._ends.values():
            if not waiting.done():
                waiting.set_result(-1)
        for writer in self._open:
            writer.transport.abort()

    async def close(self) -> None:
        """End the fork server, and with it what it runs."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.close()
        await self._process.wait()
        await self._listening


async def _read(reader: asyncio.StreamReader, most: int) -> bytes:
    """Return the output; of one over `most` bytes, enough to see that it is."""
    output = bytearray()
    with contextlib.suppress(ConnectionError):
        while len(output) <= most and (chunk := await reader.read(_CHUNK_BYTES)):
            output += chunk
    return bytes(output)


async def _write(writer: asyncio.StreamWriter, task: Task) -> None:
    # If the process has ended already, its status tells why.
    with contextlib.suppress(ConnectionError):
        for part in framed(task):
            for start in range(0, len(part), _CHUNK_BYTES):
                writer.write(part[start : start + _CHUNK_BYTES])
                await writer.drain()
        writer.write_eof()
