"""The transport to an MCP server that runs as a command: JSON lines over its standard input and output.

The SDK has one, too. This one bounds what it reads, keeps the last lines that the server wrote to its
standard error, knows when it has ended, and takes it along when this process dies.
"""

import asyncio
import contextlib
import ctypes
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Collection, Sequence
from types import TracebackType

import anyio
import mcp_types as types
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

from nanobot.core.json_entries import has_more_entries
from nanobot.tools.mcp.messages import MAX_MESSAGE_BYTES, MAX_MESSAGE_ENTRIES, StdioServer

_EXIT_S = 2.0
"""How long a server may take to end once its input has."""
_TERM_S = 1.0
_ERROR_LINES = 20
_ERROR_CHARS = 300
_ERROR_BYTES = 64 * 1024
_ERROR_PAUSE_S = 0.01
"""After each piece of that size: who writes more has to wait."""
_MOST_OTHER_LINES = 50_000
"""In a row that are no messages: a server that writes on and on is none."""
_MAX_CAME_BYTES = 200
_ID_AT_AN_END = re.compile(
    rb'^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*("[^"\\]*"|-?\d+)\s*,'
    rb'|,\s*"id"\s*:\s*("[^"\\]*"|-?\d+)\s*\}\s*$'
)
"""The id of a message, where it is no part of a result."""
_UNREAD = (types.PARSE_ERROR, types.INVALID_REQUEST)
_LISTENING = "subscriptions/listen"
_PR_SET_PDEATHSIG = 1
_ENVIRONMENT = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LC_ALL", "TZ", "TMPDIR",
    "SYSTEMROOT", "SYSTEMDRIVE", "APPDATA", "LOCALAPPDATA", "USERPROFILE", "USERNAME", "HOMEDRIVE",
    "HOMEPATH", "TEMP", "TMP", "PATHEXT", "PROCESSOR_ARCHITECTURE",
)  # fmt: skip
"""The variables that a server gets beside its own. None of them is a secret."""

_Read = MemoryObjectReceiveStream[SessionMessage | Exception]
_Write = MemoryObjectSendStream[SessionMessage]


class _WrittenLine(msgspec.Struct):
    """What there is in a line of JSON that may be a message; what it says is not decoded."""

    id: int | str | float | msgspec.UnsetType | None = msgspec.UNSET
    method: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    jsonrpc: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class StdioTransport:
    """Starts the server when it is entered, and ends it with all that it has started when it is left."""

    def __init__(self, server: StdioServer) -> None:
        self._server = server
        self._process: Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._errors: deque[str] = deque(maxlen=_ERROR_LINES)
        self._broken = ""
        self._asked: set[int | str] = set()
        """The ids of the requests that wait for an answer."""
        self.ended = asyncio.Event()

    @property
    def why(self) -> str:
        """Why the server's output has ended, as far as that is known."""
        if self._broken:
            return self._broken
        status = self._process.returncode if self._process is not None else None
        how = "it ended" if status is None else f"it ended with status {status}"
        return f"{how}: {self._errors[-1]}" if self._errors else how

    async def __aenter__(self) -> tuple[_Read, _Write]:
        process = self._process = await self._start()
        into_session, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        write, from_session = anyio.create_memory_object_stream[SessionMessage](0)
        self._tasks = [
            asyncio.create_task(self._read(process, into_session)),
            asyncio.create_task(self._write(process, from_session)),
            asyncio.create_task(self._read_errors(process)),
        ]
        return read, write

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            if self._process is not None:
                await _end(self._process)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _start(self) -> Process:
        server = self._server
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | server.env
        command = shutil.which(server.command, path=environment.get("PATH")) or server.command
        return await asyncio.create_subprocess_exec(
            command, *server.args, stdin=PIPE, stdout=PIPE, stderr=PIPE,
            env=environment, cwd=server.cwd, limit=MAX_MESSAGE_BYTES,
            start_new_session=True, preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )  # fmt: skip

    async def _read(
        self, process: Process, session: MemoryObjectSendStream[SessionMessage | Exception]
    ) -> None:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            async with session:
                others = 0
                while (line := await process.stdout.readline()) and others < _MOST_OTHER_LINES:
                    # Some servers write to their output what belongs to their standard error.
                    if message := self._message(line):
                        others = 0
                        await session.send(SessionMessage(message))
                    else:
                        others += 1
                        # What has come already is read without a pause: others have their turn.
                        await asyncio.sleep(0)
                if line:
                    self._broken = f"it wrote {others} lines that are no messages"
        except ValueError:
            self._broken = f"it sent a message of more than {MAX_MESSAGE_BYTES} bytes"
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EXIT_S):
                    await process.wait()
            self.ended.set()

    def _message(self, line: bytes) -> types.JSONRPCMessage | None:
        """Return the message that the line is; of an answer that cannot be read, an error that says so, for
        the request that it belongs to; None: it is neither.
        """
        message: types.JSONRPCMessage | None
        if len(line) > MAX_MESSAGE_ENTRIES and has_more_entries(line, MAX_MESSAGE_ENTRIES):
            message = self._unreadable(line, f"it answered with more than {MAX_MESSAGE_ENTRIES} values")
        else:
            try:
                message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                came = line[:_MAX_CAME_BYTES].decode(errors="replace")
                message = self._unreadable(line, f"it answered what is no message of the protocol: {came}")
        if not isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
            return message
        if isinstance(message, types.JSONRPCError) and message.id is None and len(self._asked) == 1:
            # It could not read a request, and there is only one that this can be.
            message.id = next(iter(self._asked)) if message.error.code in _UNREAD else None
        if message.id is not None:
            self._asked.discard(message.id)
        return message

    def _unreadable(self, line: bytes, why: str) -> types.JSONRPCError | None:
        asked = answered_id(line, self._asked)
        if asked is None:
            return None
        error = types.ErrorData(code=types.PARSE_ERROR, message=why)
        return types.JSONRPCError(jsonrpc="2.0", id=asked, error=error)

    async def _write(self, process: Process, session: MemoryObjectReceiveStream[SessionMessage]) -> None:
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        async with session:
            async for message in session:
                if isinstance(message.message, types.JSONRPCRequest):
                    # What tells of changes has no answer while all is well.
                    if message.message.method != _LISTENING:
                        self._asked.add(message.message.id)
                elif cancelled := _cancelled(message.message):
                    self._asked.discard(cancelled)
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                process.stdin.write(text.encode() + b"\n")
                try:
                    await process.stdin.drain()
                except ConnectionError:
                    # That it has ended is noticed where it is read.
                    return

    async def _read_errors(self, process: Process) -> None:
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        begun = b""
        while chunk := await process.stderr.read(_ERROR_BYTES):
            # Only the last lines count: the first piece is what was before them.
            *lines, begun = (begun + chunk).rsplit(b"\n", _ERROR_LINES)
            self._note_errors(lines[-_ERROR_LINES:])
            begun = begun[:_ERROR_BYTES]
            if len(chunk) == _ERROR_BYTES:
                await asyncio.sleep(_ERROR_PAUSE_S)
        self._note_errors([begun])

    def _note_errors(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            if text := line[: 4 * _ERROR_CHARS].decode(errors="replace").strip():
                self._errors.append(
                    "".join(each if each.isprintable() else " " for each in text)[:_ERROR_CHARS]
                )


def answered_id(line: bytes, asked: Collection[int | str]) -> int | str | None:
    """Return which of the requests the line answers, though it is no message; None: none, or nobody knows.
    A line that only belongs to standard error is no answer: the answer may still come.
    """
    try:
        message = msgspec.json.decode(line, type=_WrittenLine)
    except msgspec.ValidationError:
        return None
    except (ValueError, RecursionError):
        # Some write there what they send, with words in front: the message itself follows.
        if not line.lstrip().startswith(b"{") or b'"jsonrpc"' not in line or b'"method"' in line:
            return None
        found = _ID_AT_AN_END.search(line)
        if found is None:
            # It is one of the protocol's, and there is only one that this can be.
            return next(iter(asked)) if len(asked) == 1 else None
        try:
            id_ = msgspec.json.decode(found[1] or found[2])
        except ValueError:
            return None
    else:
        if message.id is msgspec.UNSET or message.method is not msgspec.UNSET:
            return None
        if message.jsonrpc is msgspec.UNSET and message.result is msgspec.UNSET:
            # A log may be JSON, too.
            return None
        id_ = message.id
    return next((each for each in asked if str(each) == str(id_)), None)


def _cancelled(message: types.JSONRPCMessage) -> int | str | None:
    """Return the id of the request that the message takes back; None: it takes none back."""
    if not isinstance(message, types.JSONRPCNotification) or message.method != "notifications/cancelled":
        return None
    id_ = (message.params or {}).get("requestId")
    return id_ if isinstance(id_, int | str) else None


if sys.platform == "linux":
    _prctl = ctypes.CDLL(None).prctl

    def _die_with_parent() -> None:
        """Let the kernel kill the server when this process dies, however that happens."""
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
else:

    def _die_with_parent() -> None:
        """Only Linux can."""


async def _end(process: Process) -> None:
    """End the server as the protocol has it: by closing its input; then by force, with all of its group."""
    if process.stdin is not None:
        process.stdin.close()
    if not await _has_ended(process, _EXIT_S):
        _signal(process, signal.SIGTERM)
        await _has_ended(process, _TERM_S)
    _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    await _has_ended(process, _TERM_S)
    # What is left of its group may hold its pipes open.
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()


async def _has_ended(process: Process, within_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await process.wait()
    return process.returncode is not None


def _signal(process: Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.send_signal(number)
        else:
            # Its group, which it leads: also where it has ended itself, and left children.
            os.killpg(process.pid, number)
