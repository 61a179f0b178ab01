"""Commands that run on behind the call that began them, until their turn ends."""

import asyncio
import contextlib
from collections import defaultdict

from nanobot.core.errors import ToolError
from nanobot.core.event import TurnEnded
from nanobot.core.observer import Observer
from nanobot.core.turn import Turn
from nanobot.tools.sandbox.command import Ending, Running
from nanobot.tools.shell.commands import FilesSince, ShellCommands
from nanobot.tools.shell.output import Unread

_UNREAD_BYTES = 64_000
_MOST_ENDED = 8
"""Commands that have ended and whose last output can still be read."""


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


class BackgroundCommands(Observer):
    """Begins commands, `most` at a time for a session, and hands out what they write. As an observer it ends
    those of a turn with the turn.

    `close` ends all.
    """

    def __init__(self, commands: ShellCommands, most: int) -> None:
        self._commands = commands
        self._most = most
        self._begun: dict[str, dict[str, _Background]] = defaultdict(dict)
        self._numbers: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, session_key: str, turn_id: str, line: str, timeout_s: float) -> str:
        """Start a line of shell that runs on until its turn ends; return what it is called.

        Raises:
            ToolError: it cannot be run, or too many run already.
        """
        own = self._begun[session_key]
        at_work = [name for name, each in own.items() if each.ending is None]
        if len(at_work) >= self._most:
            raise ToolError(
                f"{len(at_work)} commands run in the background already, which is the most: stop one first"
                f" ({', '.join(at_work)})"
            )
        ended = [name for name, each in own.items() if each.ending is not None]
        for name in ended[:-_MOST_ENDED]:
            del own[name]
        number = self._numbers.get(turn_id, 0) + 1
        self._numbers[turn_id] = number
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._commands.slot(session_key))
            directory = await stack.enter_async_context(self._commands.directory(session_key))
            since = await self._commands.files_since(directory)
            running = await self._commands.start_line(session_key, directory, line, timeout_s, has_input=True)
            background = _Background(running, turn_id, since)
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
        del self._begun[session_key][name]
        return background.unread.take(), background.files

    def _find(self, session_key: str, name: str) -> _Background:
        own = self._begun.get(session_key, {})
        if name not in own:
            known = ", ".join(own) or "none"
            raise ToolError(
                f"there is no command {name!r} in the background; there are: {known}. Commands end with the"
                " turn that started them."
            )
        return own[name]

    def turn_withdrawn(self, turn_id: str) -> None:
        """End at once what the turn runs in the background: its session may have been deleted. What it waits
        for ends with its task.
        """
        for own in self._begun.values():
            for background in own.values():
                if background.turn_id == turn_id:
                    background.running.stop()

    def turn_ended(self, turn: Turn, end: TurnEnded | None) -> None:
        """End what the turn has left running."""
        self._numbers.pop(turn.id, None)
        own = self._begun.get(turn.session_key, {})
        for name, background in list(own.items()):
            if background.turn_id == turn.id:
                background.running.stop()
                del own[name]
        if not own:
            self._begun.pop(turn.session_key, None)

    async def close(self) -> None:
        """End everything; return when nothing is left of it."""
        for own in self._begun.values():
            for background in own.values():
                background.running.stop()
        if self._tasks:
            await asyncio.wait(self._tasks)
