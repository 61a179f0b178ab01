"""The commands of sessions: how each is started, and those that a call waits for."""

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec

from nanobot.core.errors import ToolError
from nanobot.core.skill import CommandFolders
from nanobot.core.tool import Tell, tell_nobody
from nanobot.core.workspace import Snapshot, written
from nanobot.tools.sandbox.command import Command, CommandLimits, Ending, Network, Running, Sandbox
from nanobot.tools.shell.output import HeadAndTail, LiveLines
from nanobot.tools.shell.uploads import UploadCopies
from nanobot.tools.workspace.files import SessionUploads
from nanobot.workers.slots import FairSlots

Directory = Callable[[str], contextlib.AbstractAsyncContextManager[Path]]
"""Yields the directory of a session's workspace, which is made where there is none yet, for one command; it
is left when that has ended.

Raises ToolError: there can be none.
"""
Look = Callable[[Path], Awaitable[Snapshot | None]]
"""Returns what files there are in the directory of a session's workspace."""
_WAIT_S = 20.0
_SHELLS = ("/bin/bash", "/usr/bin/bash", "/bin/sh")
# Homebrew's programs for Macs of today are not below /usr.
_HOMEBREW = "/opt/homebrew/bin:" if sys.platform == "darwin" else ""
_ENVIRONMENT = {
    "PATH": f"{_HOMEBREW}/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "USER": "agent",
    "LOGNAME": "agent",
    "PAGER": "cat",
    # The system's settings of git are not to be read.
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "agent",
    "GIT_AUTHOR_EMAIL": "agent@localhost",
    "GIT_COMMITTER_NAME": "agent",
    "GIT_COMMITTER_EMAIL": "agent@localhost",
}


class ShellSettings(msgspec.Struct, frozen=True):
    """What commands may use, each (`limits`, whose time is the longest one), and how many run at once: in the
    background of a session, and in all. `readable`: directories that all may read. `live_lines`: how many of
    the last lines of one that is waited for are told while it runs.
    """

    limits: CommandLimits = CommandLimits(wall_s=600.0)
    max_background: int = 4
    max_commands: int = 16
    readable: tuple[str, ...] = ()
    live_lines: int = 10


class CommandOutcome(msgspec.Struct, frozen=True):
    """How a command ended, the first and last of its output, and the paths of the files that it has made or
    changed.
    """

    ending: Ending
    output: str
    files: tuple[str, ...] = ()


class FilesSince:
    """Tells which files of a directory have been written since it had those of `before`; `look` None: it
    tells of none.
    """

    def __init__(self, directory: Path, before: Snapshot | None, look: Look | None) -> None:
        self._directory = directory
        self._before = before
        self._look = look

    async def written(self) -> tuple[str, ...]:
        """Return the paths, see `nanobot.core.workspace.written`."""
        if self._look is None or self._before is None:
            return ()
        return written(self._before, await self._look(self._directory))


class ShellCommands:
    """Runs commands of sessions, each in the session's own directory. `skills`: the folders that they are
    shown beside their own. `network`: returns what a command of a session has for a network; None: none has
    one. `uploads`: what was uploaded to sessions, which their commands can read. `look`: tells which files
    commands have written.

    `close` ends those that calls wait for.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        directory: Directory,
        settings: ShellSettings,
        skills: CommandFolders | None = None,
        network: Callable[[str], Network] | None = None,
        uploads: SessionUploads | None = None,
        look: Look | None = None,
    ) -> None:
        self._look = look
        self._sandbox = sandbox
        self._uploads = uploads
        self._network = network
        self._skills = skills
        self.directory = directory
        self._settings = settings
        # One session leaves room for others, whatever it does.
        self._slots = FairSlots(settings.max_commands, most_each=max(1, settings.max_commands // 2))
        self._foreground: set[Running] = set()

    @property
    def longest_s(self) -> float:
        """How long a command may take at most."""
        return self._settings.limits.wall_s

    def finds(self, program: str) -> bool:
        """Return whether commands find a program of this name. Blocks: call it in a thread."""
        return shutil.which(program, path=self._path) is not None

    @property
    def _path(self) -> str:
        return ":".join([*(f"{path}/bin" for path in self._settings.readable), _ENVIRONMENT["PATH"]])

    async def files_since(self, directory: Path) -> FilesSince:
        """Return what tells which files of a session's directory are written from now on."""
        before = await self._look(directory) if self._look is not None else None
        return FilesSince(directory, before, self._look)

    async def run(
        self, session_key: str, line: str, timeout_s: float, most_bytes: int, tell: Tell = tell_nobody
    ) -> CommandOutcome:
        """Run a line of shell to its end; `tell` its last lines meanwhile.

        Raises:
            ToolError: it cannot be run.
        """
        output, live = HeadAndTail(most_bytes), self.live_lines(tell)
        async with self.slot(session_key), self.directory(session_key) as directory:
            since = await self.files_since(directory)
            running = await self.start_line(session_key, directory, line, timeout_s)
            self._foreground.add(running)
            try:
                while data := await running.read():
                    output.add(data)
                    live.add(data)
                ending = await running.wait()
            except BaseException:
                running.stop()
                # Nothing of it may be left when the call is over, also where it was broken off.
                await _whole(running)
                raise
            finally:
                live.close()
                self._foreground.discard(running)
            files = await since.written()
        return CommandOutcome(ending, output.text(), files)

    def live_lines(self, tell: Tell) -> LiveLines:
        """Return what tells the last lines of an output while it grows."""
        return LiveLines(self._settings.live_lines, tell)

    @contextlib.asynccontextmanager
    async def slot(self, session_key: str) -> AsyncIterator[None]:
        """Hold one of the places for commands that run at once.

        Raises:
            ToolError: none gets free.
        """
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(_WAIT_S):
                    await stack.enter_async_context(self._slots.slot(session_key))
            except TimeoutError:
                raise ToolError(
                    f"too many commands run: {self._settings.max_commands} in all and half of them of one"
                    " session may (shell.max_commands); stop some, or try again later"
                ) from None
            yield

    async def start_line(
        self, session_key: str, directory: Path, line: str, timeout_s: float, *, has_input: bool = False
    ) -> Running:
        """Start a line of shell in the directory of the session.

        Raises:
            ToolError: it cannot be started.
        """
        wall_s = min(timeout_s, self.longest_s)
        return await self.start(session_key, directory, ("-c", line), wall_s, has_input=has_input)

    async def start(
        self,
        session_key: str,
        directory: Path,
        arguments: tuple[str, ...],
        wall_s: float,
        *,
        has_input: bool,
        uploads: UploadCopies | None = None,
    ) -> Running:
        """Start a shell with these arguments in the directory of the session. `uploads`: those that it reads,
        where they are to be renewed while it runs.

        Raises:
            ToolError: it cannot be started.
        """
        limits = msgspec.structs.replace(self._settings.limits, wall_s=wall_s)
        environment = {**_ENVIRONMENT, "PATH": self._path}
        return await self._sandbox.start(
            Command(
                (await asyncio.to_thread(_shell), *arguments),
                directory,
                environment,
                limits,
                self._settings.readable,
                has_input,
                self._skills.folders(session_key) if self._skills is not None else {},
                self._network(session_key) if self._network is not None else None,
                uploads or self.uploads(session_key),
            )
        )

    def uploads(self, session_key: str, *, is_kept: bool = False) -> UploadCopies | None:
        """Return the copies of what was uploaded to a session; None where commands are shown none."""
        if self._uploads is None:
            return None
        return UploadCopies(self._uploads, session_key, is_kept=is_kept)

    def close(self) -> None:
        """End those that calls wait for."""
        for running in self._foreground:
            running.stop()


async def _whole(running: Running) -> None:
    """Return when a command that was stopped has ended, even if this is cancelled meanwhile."""
    while True:
        try:
            await running.wait()
        except asyncio.CancelledError:
            continue
        return


def _shell() -> str:
    return next((path for path in _SHELLS if Path(path).exists()), _SHELLS[-1])
