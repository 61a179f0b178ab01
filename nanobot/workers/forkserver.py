"""The process that forks workers: `python -m nanobot.workers.forkserver FD`.

It has the imports of the tasks behind it, so that a worker starts in some milliseconds; it never reads what
a stranger sent. Over the socket FD it gets the commands to start a worker (with the worker's own socket) and
to kill one; how each worker ended it writes to standard output. It ends when its standard input is closed.
"""

import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
from typing import BinaryIO

import msgspec

from nanobot.workers.child import work
from nanobot.workers.message import NO_MEMORY

_MOST_BYTES = 64 * 1024
_CHUNK_BYTES = 256 * 1024
_SOCKET = 3
"""The descriptor of the socket in a worker."""


class Start(msgspec.Struct, frozen=True, tag="start"):
    """Start a worker on the socket that comes with this message. `modules`: what it is going to need."""

    id: int
    modules: tuple[str, ...]


class Kill(msgspec.Struct, frozen=True, tag="kill"):
    """End a worker."""

    id: int


class Ended(msgspec.Struct, frozen=True):
    """A worker is gone: its exit status, or the negative number of the signal that ended it."""

    id: int
    status: int


Command = Start | Kill


class ForkServer:
    """Starts and kills workers as it is told. `commands`: a datagram socket; `ended`: where ends go."""

    def __init__(self, commands: socket.socket, ended: BinaryIO) -> None:
        self._commands = commands
        self._ended = ended
        self._ids: dict[int, int] = {}
        self._decoder = msgspec.json.Decoder(Command)

    def serve(self) -> None:
        """Serve until standard input is closed; then kill what still runs."""
        woken, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # Ctrl-C reaches the whole group; the server decides when this process ends.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with selectors.DefaultSelector() as selector:
            for watched in (self._commands, woken, sys.stdin):
                selector.register(watched, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._commands:
                        self._obey()
                    elif key.fileobj == woken:
                        os.read(woken, _MOST_BYTES)
                        self._reap()
                    else:
                        self._kill_all()
                        return

    def _obey(self) -> None:
        message, descriptors, _, _ = socket.recv_fds(self._commands, _MOST_BYTES, 1)
        command = self._decoder.decode(message)
        if isinstance(command, Start):
            self._start(command, descriptors[0])
            return
        pid = self._ids.get(command.id)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def _start(self, command: Start, descriptor: int) -> None:
        for module in command.modules:
            # The worker will find out, and say, what is not installed.
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
        # What is there now is shared with the workers until they write to it: the collector must not.
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            _work(descriptor)
        os.close(descriptor)
        self._ids[command.id] = pid

    def _reap(self) -> None:
        for id_, pid in list(self._ids.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._ids[id_]
                line = msgspec.json.encode(Ended(id_, os.waitstatus_to_exitcode(status)))
                self._ended.write(line + b"\n")
                self._ended.flush()

    def _kill_all(self) -> None:
        for pid in self._ids.values():
            os.kill(pid, signal.SIGKILL)


def _work(descriptor: int) -> None:
    """Do the task that comes over the socket `descriptor`, and end the process."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # Nothing of the fork server's stays open. What libraries print goes to standard error.
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(descriptor, _SOCKET)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        os.closerange(_SOCKET + 1, os.sysconf("SC_OPEN_MAX"))
        frame = bytearray()
        while chunk := os.read(_SOCKET, _CHUNK_BYTES):
            frame += chunk
        _write(work(bytes(frame)))
        status = 0
    except MemoryError:
        status = NO_MEMORY
    finally:
        # Not `exit`: nothing of the fork server's may run at its end.
        os._exit(status)


def _write(output: bytes) -> None:
    rest = memoryview(output)
    while rest:
        rest = rest[os.write(_SOCKET, rest) :]


if __name__ == "__main__":
    ForkServer(socket.socket(fileno=int(sys.argv[1])), sys.stdout.buffer).serve()
