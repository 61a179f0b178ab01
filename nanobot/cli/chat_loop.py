"""The loop of the chat: read an input, ask, show the answer; and the commands that begin with a slash."""

import asyncio
import contextlib
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, Protocol

from nanobot.cli.chat_answers import FILL_IN, answer_help, answer_keys, form_of, still_open, unanswered
from nanobot.cli.chat_files import MOST_WRITTEN, Attachment, attach, save, save_to
from nanobot.cli.chat_form import fill_in
from nanobot.cli.chat_link import Link
from nanobot.cli.chat_prompt import UserLeft
from nanobot.cli.chat_view import ChatView
from nanobot.cli.terminal import neutral, silent_keyboard, size
from nanobot.core.errors import NanobotError, TurnNotFound
from nanobot.core.event import Event, MessageAdded, TurnEnded
from nanobot.core.message import AskedCall
from nanobot.core.session_keys import parse_key

HELP = {
    "/new": "begin a new conversation",
    "/session KEY": "continue another conversation",
    "/sessions": "list conversations",
    "/attach FILE": "send a file along with what you say next",
    "/always PATTERN": "let what is asked for run in all conversations like it, e.g. cli:*",
    "/files": "list the files that the agent has written",
    "/save FILE [TO]": "copy one of them here, or to TO",
    "/help": "show this",
    "/quit": "leave (so does Ctrl-D)",
}
COMMANDS = tuple(name.partition(" ")[0] for name in HELP)
COMPLETED = tuple("".join(name.partition(" ")[:2]) for name in HELP)
"""The commands as they are completed: with a blank where something follows."""
_KEYS = (
    "Enter sends. Alt-Enter, or a backslash before Enter, begins another line. "
    "Ctrl-C stops an answer; at an empty prompt, twice, it leaves. Up brings back earlier inputs."
)
_GO_ON = "Go on."
"""What is said once something was decided: a decision alone starts nothing."""
_NOTHING_ASKED: tuple[AskedCall, ...] = ()
_FRAME_S = 0.08
_MAX_SESSIONS = 20
_MOST_ASKED_LINES = 6


class InputSource(Protocol):
    """A source of the user's inputs. `known_keys`: of conversations, which it may offer."""

    known_keys: Sequence[str]

    async def read(self, *, is_asked: bool = False) -> str:
        """Return the next input. `is_asked`: something was asked, to which nothing that was typed before is
        an answer.

        Raises:
            UserLeft: there will be none.
        """
        ...


class ChatLoop:
    """A chat with one user. `session_key`: the conversation that the next input belongs to."""

    def __init__(
        self,
        link: Link,
        source: InputSource,
        view: ChatView,
        session_key: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._link = link
        self._source = source
        self._view = view
        self._first_key = session_key
        self._now = now
        self._asks = _NOTHING_ASKED
        self._attached: list[Attachment] = []
        self.session_key = session_key

    async def run(self) -> None:
        """Show where the conversation stands, and run until the user leaves.

        A Ctrl-C between an answer and the prompt does nothing: it was meant for the answer.
        """
        with _interrupts(lambda: None):
            await self._run()

    async def _run(self) -> None:
        try:
            await self._show_latest()
        except NanobotError as error:
            self._view.problem(error.message)
        while True:
            try:
                text = await self._source.read(is_asked=bool(self._asks))
                text = answer_keys(self._asks).get(text.lower(), text)
                if text.lower() == FILL_IN and form_of(self._asks) is not None:
                    await self._fill_in()
                elif text and not await self._run_command(text):
                    await self._ask(text)
            except UserLeft:
                if self._asks:
                    self._view.note(still_open(self._asks, self._now()))
                return
            except NanobotError as error:
                self._view.problem(error.message)

    async def _show_latest(self) -> bool:
        """Show what was said last in the conversation; what is not answered yet is, as it comes. Return
        whether there is something.
        """
        latest = await self._link.latest(self.session_key)
        if latest is None:
            return False
        lines = neutral(latest.asked).splitlines()
        more = len(lines) - _MOST_ASKED_LINES
        shown = [*lines[:_MOST_ASKED_LINES], f"… {more} more lines"] if more > 1 else lines
        self._view.note("\n".join([f"> {shown[0] if shown else ''}", *(f"  {line}" for line in shown[1:])]))
        with contextlib.suppress(TurnNotFound):
            await self._show(self._link.take_up(latest.id))
        return True

    async def _fill_in(self) -> None:
        """Have the form of what a tool asks filled in, and go on with that."""
        asked, form = self._asks[0], form_of(self._asks)
        content = await fill_in(form, self._source.read, self._view.note) if form is not None else None
        if content is None:
            self._view.note(answer_help(self._asks, self._now()))
            return
        await self._link.decide(asked, "once", content=content)
        await self._ask(_GO_ON)

    async def _allow(self, pattern: str) -> None:
        """Let the tools that are asked about run in all conversations of the pattern, and go on with that."""
        if not self._asks or self._asks[0].question is not None:
            self._view.note("there is no call to allow: nothing was asked, or a tool asks something itself")
            return
        if not pattern:
            self._view.note("/always needs a pattern of conversations, such as cli:*, or * for all")
            return
        for asked in self._asks:
            await self._link.decide(asked, "rule", pattern=pattern)
        await self._ask(_GO_ON)

    async def _ask(self, text: str) -> None:
        files, self._attached = tuple(self._attached), []
        await self._show(self._link.ask(self.session_key, text, files))

    async def _show(self, events: AsyncIterator[Event]) -> None:
        """Show a turn to its end, and what can be said to it."""
        before = self._asks
        waiting = {asked.id for asked in before}
        self._asks = _NOTHING_ASKED

        def note(event: Event) -> None:
            if isinstance(event, MessageAdded):
                self._asks = event.message.asks
                waiting.difference_update(call.approval for call in event.message.tool_calls)

        end = await follow(self._link, self._view, events, note)
        if end is None or end.outcome == "cancelled":
            self._view.note("stopped")
        elif end.error is not None:
            self._view.problem(end.error.message)
        elif self._asks:
            self._view.note(answer_help(self._asks, self._now()))
        elif left := [asked for asked in before if asked.id in waiting]:
            self._view.note(unanswered(left))
        self._view.note("")

    # Commands -------------------------------------------------------------------------------------

    async def _run_command(self, text: str) -> bool:
        """Carry out `text` as a command; return False if it is not one."""
        word, _, rest = text.partition(" ")
        if not re.fullmatch(r"/[a-z?]+", word, re.IGNORECASE):
            return False
        match word.lower():
            case "/quit" | "/exit":
                raise UserLeft
            case "/help" | "/?":
                self._view.note("\n".join([*(f"{name:20}{effect}" for name, effect in HELP.items()), _KEYS]))
            case "/new":
                self._switch_to(self._new_key())
            case "/session" if rest.strip():
                self._switch_to(parse_key(rest))
                if not await self._show_latest():
                    self._view.note("nothing has been said in it yet, or it may not be read")
            case "/session":
                self._view.note(f"this is {self.session_key}")
            case "/sessions":
                await self._unless_stopped(self._list())
            case "/attach" if rest.strip():
                file = await asyncio.to_thread(attach, rest.strip())
                self._attached.append(file)
                self._view.note(
                    f"{neutral(file.name)} ({size(len(file.content))}) goes along with what you say next"
                )
            case "/always":
                await self._allow(rest.strip())
            case "/files":
                await self._unless_stopped(self._list_files())
            case "/save":
                await self._unless_stopped(self._save(rest))
            case _:
                self._view.note(_unknown(word))
        return True

    def _switch_to(self, key: str) -> None:
        self._asks = _NOTHING_ASKED
        # What was meant for one conversation does not go to another.
        self._attached.clear()
        self._source.known_keys = list(dict.fromkeys([*self._source.known_keys, self.session_key]))
        self.session_key = key
        self._view.note(f"the conversation is now {neutral(key)}")

    def _new_key(self) -> str:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(self._now()))
        key = parse_key(f"{self._first_key}:{stamp}")
        return f"{key}-2" if key == self.session_key else key

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work unless Ctrl-C stops it."""
        doing = asyncio.create_task(work)
        with _interrupts(doing.cancel):
            await asyncio.wait([doing])
        if doing.cancelled():
            self._view.note("stopped")
            return
        doing.result()

    async def _list(self) -> None:
        sessions = await self._link.sessions(_MAX_SESSIONS)
        listed = [session.key for session in sessions]
        self._source.known_keys = list(dict.fromkeys([*self._source.known_keys, *listed]))
        for session in sessions:
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(session.updated_at))
            self._view.note(f"{used}  {session.messages:5} messages  {neutral(session.key)}")
        if not sessions:
            self._view.note("there is no conversation yet")

    async def _list_files(self) -> None:
        files = await self._link.files(self.session_key)
        for file in files:
            self._view.note(file.line())
        more = f"; these are the newest {MOST_WRITTEN}" if len(files) == MOST_WRITTEN else ""
        self._view.note(
            f"/save FILE copies one to this directory{more}" if files else "there are no files yet"
        )

    async def _save(self, named: str) -> None:
        path, target = save_to(named)
        content = await self._link.written(self.session_key, path)
        await asyncio.to_thread(save, content, target)
        self._view.note(f"saved {target} ({size(len(content))})")


def _unknown(word: str) -> str:
    near = get_close_matches(word.lower(), COMMANDS, n=1)
    return f"{word} is no command: {f'did you mean {near[0]}? ' if near else ''}/help lists them"


async def follow(
    link: Link,
    view: ChatView,
    events: AsyncIterator[Event],
    note: Callable[[Event], None] = lambda _: None,
) -> TurnEnded | None:
    """Show what comes of a turn of the link; return how it ended. `note` gets each event, too.

    Ctrl-C stops the turn; a second one gives up waiting for its end, and None is returned.

    Raises:
        NanobotError: the turn was not admitted, or cannot be followed.
    """
    stop_requested = asyncio.Event()

    async def read() -> TurnEnded | None:
        async for event in events:
            if isinstance(event, TurnEnded):
                return event
            view.show(event)
            note(event)
        return None

    async def stop() -> None:
        await stop_requested.wait()
        await link.cancel()

    view.begin()
    reading = asyncio.create_task(read())
    others = [asyncio.create_task(stop()), asyncio.create_task(_keep_painting(view, link))]

    def interrupt() -> None:
        if stop_requested.is_set():
            reading.cancel()
        stop_requested.set()

    try:
        with silent_keyboard(), _interrupts(interrupt):
            # Unlike awaiting the task, this tells its cancellation from one of the chat itself.
            await asyncio.wait([reading])
        return None if reading.cancelled() else reading.result()
    finally:
        for task in (reading, *others):
            task.cancel()
        await asyncio.gather(reading, *others, return_exceptions=True)
        view.end()


async def _keep_painting(view: ChatView, link: Link) -> None:
    """Paint at a steady rate, and use at most a fifth of the time for it."""
    while True:
        began_at = time.monotonic()
        view.paint(link.trouble)
        await asyncio.sleep(max(_FRAME_S, 4 * (time.monotonic() - began_at)))


@contextlib.contextmanager
def _interrupts(action: Callable[[], object]) -> Iterator[None]:
    """Let Ctrl-C call `action` instead of ending the process."""
    loop = asyncio.get_running_loop()
    # The handler runs in the middle of anything; the action must not.
    previous = signal.signal(signal.SIGINT, lambda number, frame: loop.call_soon_threadsafe(action) and None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
