"""A command, what it may use, and how it ends; the protocol of what runs one."""

import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from nanobot.core.errors import ToolError

Network = Callable[[socket.socket], contextlib.AbstractAsyncContextManager[None]]
"""Serves what a command connects to at the socket that it is given, which listens where only that command is:
as an HTTP proxy. Once it is left, nothing of it goes on.
"""
Uploads = Callable[[Path], Awaitable[bool]]
"""Brings a directory to what was uploaded; returns whether a command is to be shown it. Raises ToolError."""


class SandboxOff(ToolError):
    """Commands cannot be run on this machine as it is."""


class CommandLimits(msgspec.Struct, frozen=True):
    """What a command and all that it starts may use together. `disk_bytes`: with what is in its workspace."""

    wall_s: float = 120.0
    memory_bytes: int = 2 << 30
    disk_bytes: int = 1 << 30
    processes: int = 256


class Command(msgspec.Struct, frozen=True):
    """A program to run in a workspace, which is the only directory that it can write beside a temporary one.

    `arguments`: the path of the program, and what it is called with. `readable`: directories that it may read
    beside those of the system. `has_input`: whether its input stays open, to be written to. `skills`:
    directories that it may read, by the names that they have in the one that its variable `SKILLS` names;
    all are in one directory. `network`: what it has for a network; None: it has none. `uploads`: fills a
    directory that it may read, as `uploads` in its workspace; None: it has none.
    """

    arguments: tuple[str, ...]
    workspace: Path
    environment: Mapping[str, str] = {}
    limits: CommandLimits = CommandLimits()
    readable: tuple[str, ...] = ()
    has_input: bool = False
    skills: Mapping[str, str] = {}
    network: Network | None = None
    uploads: Uploads | None = None


class Ending(msgspec.Struct, frozen=True):
    """How a command ended: `status` is that of its program (negative: the signal that ended it), None where
    the sandbox ended it, for the reason in `why`.
    """

    status: int | None
    why: str = ""


class Running(Protocol):
    """A command that was started."""

    async def read(self) -> bytes:
        """Return some of what it has written since, to its output or its errors; empty once that is all."""
        ...

    async def write(self, data: bytes) -> None:
        """Write to its input.

        Raises:
            ToolError: it does not read any more.
        """
        ...

    def close_input(self) -> None:
        """Let it find the end of its input."""
        ...

    async def wait(self) -> Ending:
        """Return how it ended, once nothing that it started is there any more."""
        ...

    def stop(self) -> None:
        """End it, with all that it started; `wait` returns when that is done."""
        ...


class Sandbox(Protocol):
    """Runs commands."""

    async def start(self, command: Command) -> Running:
        """Start a command.

        Raises:
            SandboxOff: it cannot be confined here.
            ToolError: it cannot be started.
        """
        ...
