"""`nanobot chat`"""

import asyncio
import contextlib
import getpass
import logging
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import click
import msgspec

from nanobot import __version__
from nanobot.app import check_models, choose_model, make_models, open_app
from nanobot.cli.approvals import decide
from nanobot.cli.chat_link import InProcess, Link
from nanobot.cli.chat_loop import COMPLETED, ChatLoop, follow
from nanobot.cli.chat_prompt import ChatPrompt
from nanobot.cli.chat_remote import Remote, is_this_machine
from nanobot.cli.chat_screen import Screen
from nanobot.cli.chat_view import AnswerCollector, ChatView, PlainView, RichView
from nanobot.cli.options import CONFIG, DATA, MODEL, settings
from nanobot.cli.progress import ensure_weights
from nanobot.cli.running import find_server
from nanobot.cli.terminal import is_rich, one_line
from nanobot.cli.unused_keys import tell_unused
from nanobot.config import Config
from nanobot.core.clock import SystemClock
from nanobot.core.errors import BadSessionKey, NanobotError, StoreLocked
from nanobot.core.offline import RunningServer
from nanobot.core.session_keys import parse_key


@click.command("chat")
@click.option("--session", metavar="KEY", help="The conversation to continue [cli:dm:USER].")
@click.option(
    "-m", "--message", metavar="TEXT", help="Ask this, below what comes from standard input, and exit."
)
@click.option("--url", metavar="URL", help="Talk to the server that runs there, e.g. http://127.0.0.1:8900.")
@click.option("--api-key", metavar="KEY", envvar="NANOBOT_API_KEY", help="The server's key.")
@CONFIG
@DATA
@MODEL
def command(
    session: str | None,
    message: str | None,
    url: str | None,
    api_key: str | None,
    config_file: Path | None,
    data: str | None,
    model: str | None,
) -> None:
    """Talk to the agent in the terminal: to the server that uses the data directory, where one runs.

    Without a terminal to type in, the standard input is the message; with -m, it stands above the text.
    """
    config = settings(config_file, server={"data": data}, model={"name": None if url else model})
    _configure_log(config)
    key = _session_key(session)
    message = _joined(_piped(), message)
    if message is not None and not _is_text(message):
        raise click.UsageError("there is nothing to ask: the message is empty, or not UTF-8")
    server = find_server(config) if url is None else None
    target = ChatTarget(config, url, api_key, model, server)
    if url is None and server is None:
        check_models(config, os.environ, SystemClock())
        tell_unused(config, os.environ)
        ensure_weights(config, os.environ)
    sys.exit(asyncio.run(chat(target, key) if message is None else ask_once(target, key, message)))


def _piped() -> str | None:
    """Return what comes from the standard input; None where that is a terminal, or closed."""
    if sys.stdin is None or sys.stdin.isatty():
        return None
    return sys.stdin.buffer.read().decode("utf-8", "replace")


def _joined(piped: str | None, message: str | None) -> str | None:
    """Return the message: what was asked, below the text that it is about."""
    if message is None or piped is None or not piped.strip():
        return piped if message is None else message
    return f"{piped.rstrip()}\n\n{message}"


def _is_text(message: str) -> bool:
    try:
        return bool(message.strip().encode())
    except UnicodeEncodeError:
        return False


class ChatTarget(msgspec.Struct, frozen=True):
    """What to talk to: the server at `url`, else `server`, that of the data directory; where both are None,
    the agent that `config` describes.
    """

    config: Config
    url: str | None
    api_key: str | None
    model: str | None
    server: RunningServer | None = None

    @property
    def title(self) -> str:
        if self.url is not None:
            return self.url
        if self.server is not None:
            return f"the server at {self.server.url} (process {self.server.process})"
        choice = choose_model(self.config, os.environ)
        return f"{choice.name} ({choice.why})"


def _configure_log(config: Config) -> None:
    """Keep the log off the screen unless the settings ask for it: the chat shows what went wrong."""
    if config.log.level in ("debug", "info"):
        logging.basicConfig(
            level=config.log.level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
    else:
        logging.getLogger("nanobot").addHandler(logging.NullHandler())


def _session_key(option: str | None) -> str:
    key = parse_key(_default_key() if option is None else option)
    if not key:
        raise BadSessionKey("--session is empty: name a conversation")
    return key


def _default_key() -> str:
    try:
        return f"cli:dm:{getpass.getuser()}"
    except (KeyError, OSError):
        # In some containers the user id has no name.
        return "cli:dm:user"


@contextlib.asynccontextmanager
async def open_link(target: ChatTarget) -> AsyncIterator[Link]:
    """Yield the connection to the agent.

    Raises:
        ConfigError, StoreError: the agent cannot be started here; if something else uses the data directory,
            the message says what to do.
    """
    remote = _remote(target)
    if remote is not None:
        try:
            yield remote
        finally:
            await remote.close()
        return
    # A user who leaves does not wait for a turn to end; it goes on at the next start.
    server = msgspec.structs.replace(target.config.server, shutdown_grace_s=0.0)
    config = msgspec.structs.replace(target.config, server=server)
    models = make_models(config, os.environ, SystemClock())
    async with contextlib.AsyncExitStack() as stack:
        try:
            app = await stack.enter_async_context(open_app(config, models))
        except StoreLocked as error:
            # Not a server, most likely: one says where it is.
            raise StoreLocked(
                f"{error.message}. If it is another chat: several can use one directory while `nanobot serve`"
                " runs on it. If it is a server, name its address with --url"
            ) from None
        warming = asyncio.create_task(app.models.warm())
        try:
            yield InProcess(app)
        finally:
            warming.cancel()
            await asyncio.gather(warming, return_exceptions=True)


def _remote(target: ChatTarget) -> Remote | None:
    """Return the way to a server; None where the agent runs in this process."""
    model = target.model or "nanobot"
    if target.url is not None:
        own = target.config.api.key if is_this_machine(target.url) else None
        return Remote(target.url, target.api_key or own, model)
    if target.server is not None:
        server = target.server

        def make_rule(approval_id: str, pattern: str) -> None:
            decide(target.config, approval_id, "rule", pattern)

        # The key of the process is no operator's; who reads the directory is.
        return Remote(server.url, server.token, model, server.certificate, make_rule)
    return None


async def chat(target: ChatTarget, key: str) -> int:
    """Chat until the user leaves, and return the exit status."""
    view = _view()
    async with open_link(target) as link:
        view.note(
            f"nanobot {__version__}, {target.title}\nconversation {key}; /help says more, Ctrl-D leaves\n"
        )
        await ChatLoop(link, ChatPrompt(target.config.data, COMPLETED), view, key).run()
    return 0


async def ask_once(target: ChatTarget, key: str, message: str) -> int:
    """Print the answer to `message`, or one line that says why there is none; return the exit status."""
    answer = AnswerCollector(_view() if sys.stdout.isatty() else None)
    async with open_link(target) as link:
        try:
            end = await follow(link, answer, link.ask(key, message))
        except NanobotError as error:
            return _fail(error.message)
    if end is None or end.outcome == "cancelled":
        return 130
    if end.error is not None:
        return _fail(end.error.message)
    if not sys.stdout.isatty():
        click.echo(answer.text)
    return 0


def _view() -> ChatView:
    if is_rich(sys.stdout):
        return RichView(sys.stdout, Screen(sys.stdout))
    return PlainView(sys.stdout, is_terminal=sys.stdout.isatty())


def _fail(message: str) -> int:
    click.echo(f"nanobot: {one_line(message)}", err=True)
    return 1
