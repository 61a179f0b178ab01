"""The conversation at the prompt: read, ask, show, again; and the words that begin with a slash."""

import asyncio
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from nanobot.cli.chat_link import Link
from nanobot.cli.chat_page import ChatPage
from nanobot.cli.chat_prompt import Left
from nanobot.cli.terminal import neutral, silent_keyboard
from nanobot.core.errors import NanobotError
from nanobot.core.event import TurnEnded
from nanobot.core.sessions import parse_key

HELP = {
    "/new": "begin a fresh conversation",
    "/session KEY": "go on with another conversation",
    "/sessions": "list conversations",
    "/help": "show this",
    "/quit": "leave (so does Ctrl-D)",
}
COMMANDS = tuple(name.partition(" ")[0] for name in HELP)
_KEYS = "Enter sends. Alt-Enter, or a backslash before Enter, begins another line. Ctrl-C stops an answer. Up finds what you asked before."
_FRAME_S = 0.08
_MOST_SESSIONS = 20


class Input(Protocol):
    """Where inputs come from."""

    async def read(self) -> str:
        """Return the next input.

        Raises:
            Left: there will be no more.
        """
        ...


class Talk:
    """A chat with one user. `session_key` is the conversation that the next input goes to."""

    def __init__(
        self,
        link: Link,
        source: Input,
        page: ChatPage,
        session_key: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._link = link
        self._source = source
        self._page = page
        self._first_key = session_key
        self._now = now
        self.session_key = session_key

    async def run(self) -> None:
        """Talk until the user leaves."""
        while True:
            try:
                text = await self._source.read()
                if text and not await self._obeyed(text):
                    await self._ask(text)
            except Left:
                return
            except NanobotError as error:
                self._page.problem(error.message)

    async def _ask(self, text: str) -> None:
        end = await follow(self._link, self._page, self.session_key, text)
        if end is None or end.outcome == "cancelled":
            self._page.note("stopped")
        elif end.error is not None:
            self._page.problem(end.error.message)
        self._page.note("")

    # Commands -------------------------------------------------------------------------------------

    async def _obeyed(self, text: str) -> bool:
        """Return whether `text` was a command; it has been carried out then."""
        word, _, rest = text.partition(" ")
        if not re.fullmatch(r"/[a-z?]+", word, re.IGNORECASE):
            return False
        match word.lower():
            case "/quit" | "/exit":
                raise Left
            case "/help" | "/?":
                self._page.note("\n".join([*(f"{name:14}{what}" for name, what in HELP.items()), _KEYS]))
            case "/new":
                self._go_to(self._fresh_key())
            case "/session" if rest.strip():
                self._go_to(parse_key(rest))
            case "/session":
                self._page.note(f"this is {self.session_key}")
            case "/sessions":
                await self._list()
            case _:
                self._page.note(f"{word} is no command: /help lists them")
        return True

    def _go_to(self, key: str) -> None:
        self.session_key = key
        self._page.note(f"the conversation is now {neutral(key)}")

    def _fresh_key(self) -> str:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(self._now()))
        key = parse_key(f"{self._first_key}:{stamp}")
        return f"{key}-2" if key == self.session_key else key

    async def _list(self) -> None:
        sessions = await self._link.sessions(_MOST_SESSIONS)
        if sessions is None:
            self._page.note("conversations are listed on the server's machine: nanobot sessions list")
            return
        for session in sessions:
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(session.updated_at))
            self._page.note(f"{used}  {session.messages:5} messages  {neutral(session.key)}")
        if not sessions:
            self._page.note("there is no conversation yet")


async def follow(link: Link, page: ChatPage, session_key: str, text: str) -> TurnEnded | None:
    """Ask, and show the answer as it comes; return how the turn ended, None where the user would not wait for
    its end.

    Ctrl-C stops the turn, a second one no longer waits for it.

    Raises:
        NanobotError: the turn was not taken, or cannot be followed.
    """
    asked_to_stop = asyncio.Event()

    async def read() -> TurnEnded | None:
        async for event in link.ask(session_key, text):
            if isinstance(event, TurnEnded):
                return event
            page.take(event)
        return None

    async def stop() -> None:
        await asked_to_stop.wait()
        await link.cancel()

    page.begin()
    reading = asyncio.create_task(read())
    others = [asyncio.create_task(stop()), asyncio.create_task(_keep_painting(page))]

    def interrupt() -> None:
        if asked_to_stop.is_set():
            reading.cancel()
        asked_to_stop.set()

    try:
        with silent_keyboard(), _interrupts(interrupt):
            await asyncio.wait([reading])
        return None if reading.cancelled() else reading.result()
    finally:
        for task in (reading, *others):
            task.cancel()
        await asyncio.gather(reading, *others, return_exceptions=True)
        page.end()


async def _keep_painting(page: ChatPage) -> None:
    """Paint often enough to look alive, seldom enough to leave most of the time to others."""
    while True:
        began_at = time.monotonic()
        page.paint()
        await asyncio.sleep(max(_FRAME_S, 4 * (time.monotonic() - began_at)))


@contextmanager
def _interrupts(action: Callable[[], None]) -> Iterator[None]:
    """Have Ctrl-C do `action` instead of ending the process."""
    loop = asyncio.get_running_loop()
    before = signal.signal(signal.SIGINT, lambda number, frame: loop.call_soon_threadsafe(action) and None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
