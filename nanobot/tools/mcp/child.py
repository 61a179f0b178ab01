"""The process of the MCP connections: `python -m nanobot.tools.mcp.child`, started by `process.py`.

It reads orders from its standard input and writes answers to its standard output. It ends when its input
does, and takes the servers along that it has started.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from typing import BinaryIO

import msgspec

from nanobot.tools.mcp.connection import McpConnection
from nanobot.tools.mcp.messages import (
    HEAD_BYTES,
    CancelOrder,
    Connect,
    NotDone,
    Order,
    ServerEntry,
    ToProcess,
    frame_length,
    framed,
)
from nanobot.tools.mcp.token_auth import renewals_ended

_IDLE_S = 600.0
_LOOK_S = 30.0
_RENEWAL_S = 6.0
"""How long the process stays for a token that is being renewed: the one before may be used up. `process.py`
waits longer.
"""
_MOST_INSTANCES = 32
"""How many connections of its own one server may have for single sessions."""


class _Instance:
    """A connection for one session, its task, and when it was last used."""

    def __init__(self, connection: McpConnection, task: asyncio.Task[None], now: float) -> None:
        self.connection = connection
        self.task = task
        self.used_at = now


class McpConnections:
    """All connections of the process, and the orders under way."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._writing = asyncio.Lock()
        self._entries: dict[str, ServerEntry] = {}
        self._shared: dict[str, McpConnection] = {}
        self._instances: dict[tuple[str, str], _Instance] = {}
        self._orders: dict[int, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, frames: "asyncio.Queue[bytes | None]") -> None:
        """Do what the frames say until there are no more."""
        async with asyncio.TaskGroup() as group:
            self._spawn(group, self._close_idle())
            while (frame := await frames.get()) is not None:
                message = msgspec.json.decode(frame, type=ToProcess)
                if isinstance(message, Connect):
                    self._connect(message, group)
                elif isinstance(message, CancelOrder):
                    if order := self._orders.get(message.id):
                        order.cancel()
                else:
                    self._orders[message.id] = self._spawn(group, self._carry_out(message, group))
            for task in self._tasks:
                task.cancel()
            await renewals_ended(_RENEWAL_S)

    def _spawn(self, group: asyncio.TaskGroup, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _connect(self, message: Connect, group: asyncio.TaskGroup) -> None:
        for entry in message.entries:
            self._entries[entry.name] = entry
            connection = McpConnection(entry, self._send)
            self._spawn(group, connection.run(once=not entry.is_kept))
            if entry.is_kept:
                self._shared[entry.name] = connection

    async def _carry_out(self, order: Order, group: asyncio.TaskGroup) -> None:
        try:
            connection = self._connection(order, group)
            if connection is None:
                await self._send(
                    NotDone(order.id, f"{_MOST_INSTANCES} conversations use this server already")
                )
                return
            await self._send(await connection.ask(order))
        finally:
            del self._orders[order.id]

    def _connection(self, order: Order, group: asyncio.TaskGroup) -> McpConnection | None:
        if not order.instance:
            return self._shared[order.server]
        key = (order.server, order.instance)
        now = asyncio.get_running_loop().time()
        instance = self._instances.get(key)
        if instance is None:
            own = [each for each in self._instances if each[0] == order.server]
            if len(own) >= _MOST_INSTANCES and not self._close_one(own):
                return None
            connection = McpConnection(self._entries[order.server], None)
            instance = _Instance(connection, self._spawn(group, connection.run()), now)
            self._instances[key] = instance
        instance.used_at = now
        return instance.connection

    def _close_one(self, keys: list[tuple[str, str]]) -> bool:
        """Close the connection among `keys` that was unused for the longest time; return whether one was."""
        idle = [key for key in keys if not self._instances[key].connection.calls]
        if not idle:
            return False
        self._instances.pop(min(idle, key=lambda key: self._instances[key].used_at)).task.cancel()
        return True

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            last = asyncio.get_running_loop().time() - _IDLE_S
            for key, instance in list(self._instances.items()):
                if instance.used_at < last and not instance.connection.calls:
                    del self._instances[key]
                    instance.task.cancel()

    async def _send(self, message: msgspec.Struct) -> None:
        async with self._writing:
            await asyncio.to_thread(_write, self._output, framed(message))


def _write(output: BinaryIO, content: bytes) -> None:
    # Where nobody reads any more, the input ends, too.
    with contextlib.suppress(BrokenPipeError):
        output.write(content)
        output.flush()


def _read(frames: "asyncio.Queue[bytes | None]", loop: asyncio.AbstractEventLoop) -> None:
    stream = sys.stdin.buffer
    while len(head := stream.read(HEAD_BYTES)) == HEAD_BYTES:
        frame = stream.read(frame_length(head))
        loop.call_soon_threadsafe(frames.put_nowait, frame)
    loop.call_soon_threadsafe(frames.put_nowait, None)


async def _run(output: BinaryIO) -> None:
    frames: asyncio.Queue[bytes | None] = asyncio.Queue()
    reader = threading.Thread(target=_read, args=(frames, asyncio.get_running_loop()), daemon=True)
    reader.start()
    await McpConnections(output).run(frames)


def _outlive_signals() -> None:
    """Leave it to the server when this process ends: Ctrl-C in a terminal, and the stop of a service, reach
    all processes, and the server lets its turns end first.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        # A handler, as programs that are started would go on ignoring what is ignored.
        signal.signal(number, lambda *_: None)


def main() -> None:
    _outlive_signals()
    # What the SDK says of servers is reported; its tracebacks would only fill the log.
    logging.basicConfig(handlers=[logging.NullHandler()])
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    asyncio.run(_run(output))


if __name__ == "__main__":
    main()
