"""The prompt: inputs of several lines, and a history that is kept in a file."""

import contextlib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import (
    CompleteEvent,
    Completer,
    Completion,
    PathCompleter,
    WordCompleter,
)
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.input.typeahead import get_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import Output
from prompt_toolkit.output.defaults import create_output
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.utils import is_dumb_terminal

from nanobot.cli.terminal import unread_keys

_HISTORY = "chat_history"
TAKES_A_PATH, TAKES_A_KEY = "/attach", "/session"
_PROMPT = "> "
_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
"""What keys other than those of letters send, and what brackets a paste."""
_LEAVE_PROMPT = f"Leave? Ctrl-C or Ctrl-D leaves; go on typing to stay.\n{_PROMPT}"


class UserLeft(Exception):
    """The user ended the chat: Ctrl-D, or Ctrl-C twice at an empty prompt."""


class ChatPrompt:
    """Reads inputs. Enter sends; Alt-Enter, or a backslash at the end of the line, begins another line."""

    def __init__(self, directory: Path, commands: Sequence[str], output: Output | None = None) -> None:
        """`directory`: where the history is kept. `output`: where the prompt is shown; None: on the terminal,
        even if the answers go to a file. `known_keys`: those of conversations, for completion.
        """
        self.known_keys: Sequence[str] = ()
        # On a terminal without movements of the cursor there is a prompt without any, where none is named.
        self._is_dumb = output is None and is_dumb_terminal() and sys.stdout.isatty()
        if output is None and not self._is_dumb:
            output = create_output(always_prefer_tty=True)
        with create_app_session(output=PlainTextOutput(sys.stdout) if self._is_dumb else output):
            self._session: PromptSession[str] = PromptSession(
                _PROMPT,
                multiline=True,
                prompt_continuation=lambda width, line, is_soft_wrap: " " * width,
                history=_history(directory),
                key_bindings=_keys(),
                completer=ChatCompleter(commands, lambda: self.known_keys),
                complete_while_typing=False,
                enable_history_search=False,
                output=output,
            )

    async def read(self, *, is_asked: bool = False) -> str:
        """Return what the user entered, without white space around it.

        The first Ctrl-C at an empty prompt asks only: it may have been meant for an answer that has just
        ended. `is_asked`: something was asked that the user had not seen when they typed ahead: what was
        typed so far stands at the prompt, and is sent with Enter only.

        Raises:
            UserLeft
        """
        typed = _typed_ahead(self._session.input) if is_asked else ""
        for prompt in (_PROMPT, _LEAVE_PROMPT):
            try:
                # That of a dumb terminal does not show by itself what stands there already.
                shown = prompt + typed if self._is_dumb else prompt
                return (await self._session.prompt_async(shown, default=typed)).strip()
            except EOFError:
                break
            except KeyboardInterrupt:
                typed = ""
        raise UserLeft


class ChatCompleter(Completer):
    """Completes commands, and what follows: the path of a file of this machine, one of the known `keys`."""

    def __init__(self, commands: Sequence[str], keys: Callable[[], Sequence[str]]) -> None:
        self._commands = WordCompleter(list(commands), sentence=True)
        self._paths = PathCompleter(expanduser=True)
        self._keys = WordCompleter(lambda: list(keys()), sentence=True)

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        command, blank, rest = document.text_before_cursor.partition(" ")
        if blank and command == TAKES_A_PATH:
            return self._paths.get_completions(Document(rest), event)
        if blank and command == TAKES_A_KEY:
            return self._keys.get_completions(Document(rest), event)
        return self._commands.get_completions(document, event)


def _typed_ahead(source: Input) -> str:
    """Take what was typed before the prompt is there, and return it as text."""
    seen = "".join(key.data for key in get_typeahead(source) if key.key != Keys.CPRResponse)
    typed = _SEQUENCE.sub("", seen + unread_keys(source.fileno())).replace("\r", "\n")
    return "".join(sign for sign in typed if sign == "\n" or sign.isprintable()).strip()


def _history(directory: Path) -> History:
    """Return the history in `directory`, readable by its owner only; else, one in memory."""
    path = directory / _HISTORY
    with contextlib.suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        # A file that cannot be written must show now, not at the first input.
        with path.open("ab"):
            return FileHistory(path)
    return InMemoryHistory()


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if (
            buffer.document.current_line_before_cursor.endswith("\\")
            and not buffer.document.current_line_after_cursor
        ):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def begin_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c")
    def clear_or_leave(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt())

    return keys
