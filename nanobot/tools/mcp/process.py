"""The process of the MCP connections, from the server's side: started in the background, and again when it
dies.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from nanobot.core.clock import Clock
from nanobot.tools.mcp.messages import (
    HEAD_BYTES,
    Answer,
    CancelOrder,
    Connect,
    Event,
    FromProcess,
    NotDone,
    Order,
    ServerConnected,
    ServerEntry,
    ServerLost,
    frame_length,
    framed,
)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_STEADY_S = 60.0
_STOP_S = 8.0
"""How long it may take to end the servers that it has started."""
_ERROR_LINES = 5
_ENVIRONMENT = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
    "VIRTUAL_ENV", "PYTHONHOME", "SYSTEMROOT", "SYSTEMDRIVE", "APPDATA", "LOCALAPPDATA", "USERPROFILE",
    "USERNAME", "HOMEDRIVE", "HOMEPATH", "TEMP", "TMP", "PATHEXT", "PROCESSOR_ARCHITECTURE",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy",
    "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
"""The variables that the process gets. API keys are not among them; the servers that it starts get fewer."""
_log = logging.getLogger(__name__)
Listen = Callable[[Event], None]


class McpProcess:
    """Connects to the servers of `entries` in a process of its own. `listen` is told what happens to the
    connections.
    """

    def __init__(self, entries: tuple[ServerEntry, ...], clock: Clock, listen: Listen) -> None:
        self._entries = entries
        self._clock = clock
        self._listen = listen
        self._child: Process | None = None
        self._up = asyncio.Event()
        self._pause = ""
        self._owner: asyncio.Task[None] | None = None
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._errors: deque[str] = deque(maxlen=_ERROR_LINES)

    @property
    def pid(self) -> int | None:
        """The id of the process while it runs."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    def start(self) -> None:
        """Begin to start the process. No effect after the first call."""
        if self._owner is None:
            self._owner = asyncio.create_task(self._run(), name="MCP connections")

    async def ask(self, order: Callable[[int], Order]) -> Answer:
        """Return the answer to the order that `order` makes of an id. A caller who is cancelled takes the
        order back.
        """
        if self._pause:
            return NotDone(0, f"the process of the connections died: {self._pause}")
        await self._up.wait()
        child, id_ = self._child, next(self._ids)
        assert child is not None and child.stdin is not None  # noqa: S101 - it is up, with pipes
        answer = self._answers[id_] = asyncio.get_running_loop().create_future()
        try:
            child.stdin.write(framed(order(id_)))
            with contextlib.suppress(ConnectionError):
                await child.stdin.drain()
            given: Answer = await answer
            return given
        except asyncio.CancelledError:
            if self._child is child and not child.stdin.is_closing():
                child.stdin.write(framed(CancelOrder(id_)))
            raise
        finally:
            self._answers.pop(id_, None)

    async def close(self) -> None:
        """End the process, and with it the servers that it has started. Safe to call twice."""
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.cancel()
            await asyncio.gather(owner, return_exceptions=True)

    async def _run(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            begun = self._clock.now()
            self._pause = ""
            try:
                await self._attend()
            except OSError as error:
                self._errors.append(str(error))
            finally:
                await self._stop()
            why = self._errors[-1] if self._errors else "it has ended"
            if self._clock.now() - begun > _STEADY_S:
                pause = _FIRST_PAUSE_S
            _log.error("the process of the MCP connections died, and starts again in %g s: %s", pause, why)
            for entry in self._entries:
                self._listen(ServerLost(entry.name, f"the process of the connections died: {why}"))
            self._pause = why
            await self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _attend(self) -> None:
        """Start the process, and pass on what it says until it ends."""
        self._errors.clear()
        child = self._child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "nanobot.tools.mcp.child",
            stdin=PIPE, stdout=PIPE, stderr=PIPE, env=_environment(),
        )  # fmt: skip
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None  # noqa: S101
        child.stdin.write(framed(Connect(self._entries)))
        self._up.set()
        errors = asyncio.create_task(self._read_errors(child.stderr))
        try:
            while True:
                length = frame_length(await child.stdout.readexactly(HEAD_BYTES))
                self._take(msgspec.json.decode(await child.stdout.readexactly(length), type=FromProcess))
        except (asyncio.IncompleteReadError, ConnectionError, ValueError) as error:
            if isinstance(error, ValueError):
                self._errors.append(f"it sent what is no message: {error}")
            else:
                # Its last words tell why.
                await errors
        finally:
            errors.cancel()

    def _take(self, message: FromProcess) -> None:
        if isinstance(message, ServerConnected | ServerLost):
            self._listen(message)
        elif (answer := self._answers.get(message.id)) and not answer.done():
            answer.set_result(message)

    async def _read_errors(self, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:
                # Too long for a line.
                continue
            if not line:
                return
            if text := line.decode(errors="replace").strip():
                self._errors.append(text)

    async def _stop(self) -> None:
        """End the process, and tell who waits for it that there will be no answer."""
        self._up.clear()
        child, self._child = self._child, None
        if child is not None:
            await _end(child)
        for id_, answer in self._answers.items():
            if not answer.done():
                answer.set_result(NotDone(id_, "the process of the connections died", may_have_run=True))


async def _end(child: Process) -> None:
    if child.stdin is not None:
        # It ends when its input does, and ends its servers first.
        child.stdin.close()
    try:
        async with asyncio.timeout(_STOP_S):
            await child.communicate()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.communicate()


def _environment() -> dict[str, str]:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # For a checkout that is not installed.
    path = os.pathsep.join(str(Path(each).absolute()) for each in sys.path if each)
    return {**environment, "PYTHONPATH": path}
