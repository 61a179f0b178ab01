"""The commands of sessions: those that a call waits for, and those that run on behind a turn."""

import asyncio
import contextlib
import shutil
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec

from nanobot.core.errors import ToolError
from nanobot.core.event import TurnEnded
from nanobot.core.observer import Observer
from nanobot.core.skill import CommandFolders
from nanobot.core.tool import Tell, tell_nobody
from nanobot.core.turn import Turn
from nanobot.core.workspace import Snapshot, written
from nanobot.tools.sandbox.command import Command, CommandLimits, Ending, Network, Running, Sandbox
from nanobot.tools.shell.output import HeadAndTail, LiveLines, Unread
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
_UNREAD_BYTES = 64_000
_WAIT_S = 20.0
_MOST_ENDED = 8
"""Commands that have ended and whose last output can still be read."""
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


class _Background:
    """A command that runs on, and what it has written since it was last read; the `files` once it has
    ended.
    """

    def __init__(self, running: Running, turn_id: str, since: FilesSince) -> None:
        self.running = running
        self.files: tuple[str, ...] = ()
        self._since = since
        self.turn_id = turn_id
        self.unread = Unread(_UNREAD_BYTES)
        self.ending: Ending | None = None
        self.news = asyncio.Event()

    async def follow(self) -> None:
        """Take in what it writes until it has ended."""
        while data := await self.running.read():
            self.unread.add(data)
            self.news.set()
        ending = await self.running.wait()
        self.files = await self._since.written()
        self.ending = ending
        self.news.set()


class ShellCommands(Observer):
    """Runs commands of sessions, each in the session's own directory. As an observer it ends those of a turn
    with the turn. `skills`: the folders that they are shown beside their own. `network`: returns what a
    command of a session has for a network; None: none has one. `uploads`: what was uploaded to sessions,
    which their commands can read. `look`: tells which files commands have written.

    `close` ends all.
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
        self._background: dict[str, dict[str, _Background]] = defaultdict(dict)
        self._numbers: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
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

    # Foreground -----------------------------------------------------------------------------------

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
            running = await self._start(session_key, directory, line, timeout_s, has_input=False)
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

    async def _start(
        self, session_key: str, directory: Path, line: str, timeout_s: float, *, has_input: bool
    ) -> Running:
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

    # Background -----------------------------------------------------------------------------------

    async def begin(self, session_key: str, turn_id: str, line: str, timeout_s: float) -> str:
        """Start a line of shell that runs on until its turn ends; return what it is called.

        Raises:
            ToolError: it cannot be run, or too many run already.
        """
        own = self._background[session_key]
        running = [name for name, each in own.items() if each.ending is None]
        if len(running) >= self._settings.max_background:
            raise ToolError(
                f"{len(running)} commands run in the background already, which is the most: stop one first"
                f" ({', '.join(running)})"
            )
        ended = [name for name, each in own.items() if each.ending is not None]
        for name in ended[:-_MOST_ENDED]:
            del own[name]
        number = self._numbers.get(turn_id, 0) + 1
        self._numbers[turn_id] = number
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.slot(session_key))
            directory = await stack.enter_async_context(self.directory(session_key))
            since = await self.files_since(directory)
            background = _Background(
                await self._start(session_key, directory, line, timeout_s, has_input=True), turn_id, since
            )
            places = stack.pop_all()
        name = f"command-{number}"
        own[name] = background
        task = asyncio.create_task(self._follow(background, places))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return name

    async def _follow(self, background: _Background, places: contextlib.AsyncExitStack) -> None:
        async with places:
            await background.follow()

    async def read(
        self, session_key: str, name: str, wait_s: float
    ) -> tuple[str, Ending | None, tuple[str, ...]]:
        """Return what a command has written since it was last read, how it ended, None while it runs, and
        then the files that it has made or changed. Where there is nothing new, wait for it for some time.

        Raises:
            ToolError: there is no such command.
        """
        background = self._find(session_key, name)
        if not background.unread and background.ending is None:
            background.news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await background.news.wait()
        return background.unread.take(), background.ending, background.files

    async def write(self, session_key: str, name: str, text: str, *, closes: bool) -> None:
        """Write to the input of a command; `closes`: that is the end of it.

        Raises:
            ToolError: there is no such command, or it reads no more.
        """
        background = self._find(session_key, name)
        if background.ending is not None:
            raise ToolError(f"{name} has ended")
        if text:
            await background.running.write(text.encode())
        if closes:
            background.running.close_input()

    async def stop(self, session_key: str, name: str) -> tuple[str, tuple[str, ...]]:
        """End a command, with all that it started; return what it had written since it was last read, and the
        files that it has made or changed.

        Raises:
            ToolError: there is no such command.
        """
        background = self._find(session_key, name)
        background.running.stop()
        await background.running.wait()
        while background.ending is None:
            background.news.clear()
            await background.news.wait()
        del self._background[session_key][name]
        return background.unread.take(), background.files

    def _find(self, session_key: str, name: str) -> _Background:
        own = self._background.get(session_key, {})
        if name not in own:
            known = ", ".join(own) or "none"
            raise ToolError(
                f"there is no command {name!r} in the background; there are: {known}. Commands end with the"
                " turn that started them."
            )
        return own[name]

    # The end --------------------------------------------------------------------------------------

    def turn_withdrawn(self, turn_id: str) -> None:
        """End at once what the turn runs in the background: its session may have been deleted. What it waits
        for ends with its task.
        """
        for own in self._background.values():
            for background in own.values():
                if background.turn_id == turn_id:
                    background.running.stop()

    def turn_ended(self, turn: Turn, end: TurnEnded | None) -> None:
        """End what the turn has left running."""
        self._numbers.pop(turn.id, None)
        own = self._background.get(turn.session_key, {})
        for name, background in list(own.items()):
            if background.turn_id == turn.id:
                background.running.stop()
                del own[name]
        if not own:
            self._background.pop(turn.session_key, None)

    async def close(self) -> None:
        """End everything; return when nothing is left of it."""
        for running in self._foreground:
            running.stop()
        for own in self._background.values():
            for background in own.values():
                background.running.stop()
        if self._tasks:
            await asyncio.wait(self._tasks)


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
