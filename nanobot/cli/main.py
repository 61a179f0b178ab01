"""The command `nanobot` and the table of its sub-commands.

A sub-command is imported when it is called, so that `nanobot --help` does not load the server.
"""

import gc
import importlib
import logging
import os
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from nanobot import __version__
from nanobot.core.errors import ConfigError, NanobotError

COMMANDS = {
    "serve": ("nanobot.cli.serve", "Serve the agent over HTTP, as OpenAI's API."),
    "chat": ("nanobot.cli.chat", "Talk to the agent in the terminal."),
    "sessions": (
        "nanobot.cli.sessions",
        "List, search, read, copy, export, import and delete conversations.",
    ),
    "memory": ("nanobot.cli.memory", "List, search, add, forget and export what is remembered."),
    "import": (
        "nanobot.cli.import_",
        "Take in conversations and memories of ChatGPT, HKUDS' nanobot or mem0, also while a server runs.",
    ),
    "skills": ("nanobot.cli.skills", "List, add, check and remove the agent's skills."),
    "plugins": ("nanobot.cli.plugins", "List, add and remove plugins: skills and MCP servers in one folder."),
    "people": (
        "nanobot.cli.people",
        "List people, link their accounts, export and erase them, also while a server runs.",
    ),
    "approvals": (
        "nanobot.cli.approvals",
        "List, approve and deny the calls of tools that wait for a person, also while a server runs.",
    ),
    "keys": ("nanobot.cli.keys", "Create, list and revoke API keys, also while a server runs."),
    "mcp": (
        "nanobot.cli.mcp",
        "List and check the MCP servers of the settings; be one, for other programs.",
    ),
    "model": ("nanobot.cli.model", "List, fetch and remove the small models that run on this machine."),
    "doctor": ("nanobot.cli.doctor", "Check this machine, the settings, the store and the model."),
    "config": ("nanobot.cli.config", "Show the settings that apply, and where each comes from."),
    "audit": ("nanobot.cli.isolation", "Check that nothing of one session reaches another."),
    "backup": (
        "nanobot.cli.backup",
        "Copy all conversations, or all that is worth keeping, also while a server runs.",
    ),
    "help": ("nanobot.cli.help", "Show what a command does and its options."),
}


class Commands(click.Group):
    """A group whose commands live in modules of their own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name][0]}.command is not a command")
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            # Loads the settings, which a command that fails so has loaded already.
            from nanobot.cli.options import placed

            error.message = placed(error)
            raise

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete from the table: without it, every Tab would import every command."""
        commands = [
            CompletionItem(name, help=summary)
            for name, (_, summary) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        # Not Group's, which imports them all.
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nanobot")
def nanobot() -> None:
    """nanobot: a self-hosted AI agent behind an OpenAI-compatible API."""


def main() -> None:
    """Run the command line; a `NanobotError` is printed as one line, with exit status 2."""
    # While the command is loaded: all of it stays, and the collector would go through it again and again.
    gc.disable()
    try:
        nanobot.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        if not _is_logged(error.format_message()):
            error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except NanobotError as error:
        if not _is_logged(error.message):
            click.echo(f"nanobot: {error.message}", err=True)
        sys.exit(2)
    finally:
        gc.enable()


def _is_logged(message: str) -> bool:
    """Write what stops a server as a line of its log, if the log is for programs; return whether it is."""
    if sys.argv[1:2] != ["serve"]:
        return False
    # Only a server has a log.
    from nanobot.telemetry.stderr import log_line

    if log_line(logging.CRITICAL, message):
        return True
    if os.environ.get("NANOBOT_LOG_FORMAT") != "json":
        return False
    from nanobot.telemetry.logs import configure_without_settings

    configure_without_settings()
    return log_line(logging.CRITICAL, message)
