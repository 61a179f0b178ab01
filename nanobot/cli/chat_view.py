"""How an answer is shown while it comes: as Markdown on a terminal, as plain text elsewhere."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from nanobot.agent.question import how_to_answer
from nanobot.cli.chat_markdown import finished, lines
from nanobot.cli.chat_screen import Screen
from nanobot.cli.chat_tools import Tone, ToolLine, ToolReport, asked_lines, settled_lines, title
from nanobot.cli.terminal import neutral, one_line
from nanobot.core.event import Event, MessageAdded, TextDelta, ToolFinished, ToolProgress, ToolStarted
from nanobot.core.message import AskedCall, Message

_MAX_LIVE_LINES = 200
_DIM, _RED, _GREEN, _PLAIN = "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[0m"
_COLOURS: dict[Tone, str] = {"dim": _DIM, "added": _GREEN, "removed": _RED, "failed": _RED}
_FENCES = ("```", "~~~")
_SILENT_S = 3
"""After so many seconds in which nothing came it is told that the answer is not at its end."""


class ChatView(Protocol):
    """Shows a chat."""

    def begin(self) -> None:
        """Begin a new answer, none of which has come yet."""
        ...

    def show(self, event: Event) -> None:
        """Show an event, now or at the next `paint`."""
        ...

    def paint(self, trouble: str = "") -> None:
        """Bring the screen up to date. `trouble`: why nothing comes for the moment."""
        ...

    def end(self) -> None:
        """End the answer: all of it is shown, and final."""
        ...

    def note(self, text: str) -> None:
        """Show lines of the chat itself."""
        ...

    def problem(self, text: str) -> None:
        """Show an error."""
        ...


class RichView:
    """Shows Markdown on a terminal. Complete blocks are final; the growing one is repainted until it is, and
    so are the lines of the tools that run.
    """

    def __init__(self, stream: TextIO, screen: Screen, *, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._screen = screen
        self._now = now
        self._pending = ""
        self._tools = ToolReport(now)
        self._is_first = True
        self._began_at: float | None = None
        self._spoke_at = 0.0
        self._below: list[str] = []
        self._is_stale = False

    def begin(self) -> None:
        self._pending = ""
        self._is_first = True
        self._wait()

    def _wait(self) -> None:
        self._began_at = self._now()
        self._is_stale = True

    def show(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            self._pending += neutral(event.text.replace("\r", ""))
            self._began_at = None
            self._spoke_at = self._now()
            self._is_stale = True
        elif isinstance(event, ToolStarted):
            self._settle(len(self._pending))
            self._tools.start(event.call)
            self.paint()
        elif isinstance(event, ToolProgress):
            # The next `paint` shows it.
            self._tools.tell(event.call_id, event.text)
        elif isinstance(event, ToolFinished):
            self._settle(len(self._pending))
            for result in event.message.tool_results:
                self._leave(self._tools.finish(result))
            self._wait()
            self.paint()
        elif isinstance(event, MessageAdded) and (event.message.asks or settled_lines(event.message)):
            # The chat itself says how to answer: by which keys, and until when.
            self._pending = self._pending.removesuffix(_spelt_out(event.message.asks))
            self._settle(len(self._pending))
            self._leave(_told(event.message))

    def paint(self, trouble: str = "") -> None:
        below = self._coloured([ToolLine(one_line(trouble), "failed")]) if trouble else []
        if self._tools.is_running:
            self._screen.show([*self._coloured(self._tools.lines()), *below])
        elif self._began_at is not None:
            waited_s = int(self._now() - self._began_at)
            thinking = f"{_DIM}thinking…{f' {waited_s} s' if waited_s else ''}{_PLAIN}"
            self._screen.show([thinking, *below])
        else:
            self._paint_text(below)
        self._is_stale = False

    def _paint_text(self, trouble: list[str]) -> None:
        silent_s = int(self._now() - self._spoke_at) if self._pending else 0
        told = [f"{_DIM}… waiting {silent_s} s{_PLAIN}"] if silent_s >= _SILENT_S else []
        below = [*told, *trouble]
        if not self._is_stale and below == self._below:
            return
        self._below = below
        self._settle(finished(self._pending))
        self._screen.show([*self._spaced(lines(_tail(self._pending), self._console())), *below])

    def end(self) -> None:
        self._began_at = None
        self._settle(len(self._pending))
        self._leave(self._tools.end())
        self._screen.clear()

    def note(self, text: str) -> None:
        self._say(neutral(text), _DIM)

    def problem(self, text: str) -> None:
        self._say(one_line(text), _RED)

    def _say(self, text: str, colour: str) -> None:
        """Put the text above what is live, broken between words."""
        console = self._console()
        wrapped = [
            part.plain.rstrip()
            for line in text.split("\n")
            for part in Text(line).wrap(console, self._screen.columns, tab_size=4) or [Text("")]
        ]
        self._screen.put([f"{colour}{line}{_PLAIN}" if line else "" for line in wrapped])

    def _settle(self, count: int) -> None:
        """Put the first `count` pending characters on the screen for good."""
        done, self._pending = self._pending[:count], self._pending[count:]
        if rendered := lines(done, self._console()):
            self._screen.settle(self._spaced(rendered))
            self._is_first = False

    def _spaced(self, rendered: list[str]) -> list[str]:
        return rendered if self._is_first or not rendered else ["", *rendered]

    def _leave(self, told: list[ToolLine]) -> None:
        """Put the lines on the screen for good, in place of those that may change."""
        if told:
            self._screen.settle(self._coloured(told))
            self._is_first = False

    def _coloured(self, told: Iterable[ToolLine]) -> list[str]:
        return [f"{_COLOURS[line.tone]}{self._cut(line)}{_PLAIN}" for line in told]

    def _cut(self, line: ToolLine) -> str:
        most = self._screen.columns - cell_len(line.tail)
        text = line.text.expandtabs(4)
        return (text if cell_len(text) <= most else f"{set_cell_size(text, most - 1)}…") + line.tail

    def _console(self) -> Console:
        return Console(
            file=self._stream, force_terminal=True, width=self._screen.columns, legacy_windows=False
        )


def _told(message: Message) -> list[ToolLine]:
    """Return what is to be seen of calls that people are, or were, asked about."""
    return [*settled_lines(message), *asked_lines(message.asks)]


def _spelt_out(asks: Sequence[AskedCall]) -> str:
    """Return how the question says that it is answered."""
    return how_to_answer(asks) if asks and asks[0].question is None else ""


def _tail(text: str) -> str:
    """Return the end of a block that is too long to be repainted whole while it grows."""
    all_lines = text.split("\n")
    if len(all_lines) <= _MAX_LIVE_LINES:
        return text
    # Without its fence, the rest would not be shown as code.
    opening = [all_lines[0]] if all_lines[0].lstrip().startswith(_FENCES) else []
    return "\n".join([*opening, *all_lines[-_MAX_LIVE_LINES // 2 :]])


class PlainView:
    """Writes plain text to a stream as it comes. On a terminal, control characters are made visible."""

    def __init__(
        self, stream: TextIO, *, is_terminal: bool, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._tools = ToolReport(now)
        self._clean = neutral if is_terminal else str
        self._trouble = ""
        self._is_line_open = False

    def begin(self) -> None:
        self._is_line_open = False

    def show(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            self._stream.write(self._clean(event.text))
            self._stream.flush()
            self._is_line_open = not event.text.endswith("\n")
        elif isinstance(event, ToolStarted):
            self._tools.start(event.call)
            self._lines([ToolLine(f"[{title(event.call)}]")])
        elif isinstance(event, ToolFinished):
            for result in event.message.tool_results:
                self._lines(self._tools.finish(result))
        elif isinstance(event, MessageAdded):
            self._lines(_told(event.message))

    def paint(self, trouble: str = "") -> None:
        """Write a trouble when it begins; everything else is written at once."""
        if trouble and trouble != self._trouble:
            self._end_line()
            self.problem(trouble)
        self._trouble = trouble

    def end(self) -> None:
        self._lines(self._tools.end())
        self._end_line()

    def _lines(self, told: list[ToolLine]) -> None:
        for line in told:
            self._end_line()
            self.note(line.whole)

    def _end_line(self) -> None:
        if self._is_line_open:
            self._stream.write("\n")
            self._stream.flush()
            self._is_line_open = False

    def note(self, text: str) -> None:
        self._stream.write(self._clean(text) + "\n")
        self._stream.flush()

    def problem(self, text: str) -> None:
        self.note(f"error: {one_line(text)}")


class AnswerCollector:
    """Collects the text of the answer, for scripts, and shows it on `view`, if there is one."""

    def __init__(self, view: ChatView | None) -> None:
        self._view = view
        self._texts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def begin(self) -> None:
        if self._view is not None:
            self._view.begin()

    def show(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            self._texts.append(event.text)
            if self._view is not None:
                self._view.show(event)

    def paint(self, trouble: str = "") -> None:
        if self._view is not None:
            self._view.paint(trouble)

    def end(self) -> None:
        if self._view is not None:
            self._view.end()

    def note(self, text: str) -> None:
        """Not shown: only the answer is."""

    def problem(self, text: str) -> None:
        """Not shown: the caller reports it."""
