"""Options and arguments that several commands share."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from nanobot import config
from nanobot.config import Config
from nanobot.core.errors import BadSessionKey, ConfigError
from nanobot.core.session_keys import parse_key

F = TypeVar("F", bound=Callable[..., Any])

CONFIG = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Settings file [nanobot.toml].",
)
DATA = click.option("--data", metavar="DIR", help="Where conversations are kept.")
MODEL = click.option(
    "--model",
    metavar="NAME",
    help="The model that answers, e.g. openai:gpt-5-mini, ollama:qwen3, local, echo.",
)


def settings(config_file: Path | None, **tables: dict[str, Any]) -> Config:
    """Return the settings; `tables` are the values of the command line, None where an option is not there.

    Raises:
        ConfigError
    """
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[_ORIGINS] = lambda: config.origins(config_file, os.environ, tables)
    try:
        return config.load(config_file, os.environ, tables)
    except ConfigError as error:
        option, colon, rest = error.message.partition(":")
        error.message = f"{OPTIONS.get(option, option)}{colon}{rest}"
        raise


OPTIONS = {
    "--name": "--model",
    "--stream": "--no-stream",
    "--turn-timeout-s": "--timeout",
    "--level": "--verbose",
}
"""The options that are not called as their setting is, by what that would be."""
_ORIGINS = "nanobot.origins"
"""The key under which the context of a command knows where its settings come from."""


def placed(error: ConfigError) -> str:
    """Return the message of `error`, with the line of the config file or the variable in front of it where
    the settings that the running command has read are its cause.
    """
    context = click.get_current_context(silent=True)
    if context is None or not error.tables or _ORIGINS not in context.meta:
        return error.message
    try:
        origins: dict[str, str] = context.meta[_ORIGINS]()
    except ConfigError:
        # The file has changed, and cannot be read any more.
        return error.message
    words = set(re.findall(r"\w+", error.message)) - {"name"}
    named = [
        name
        for table in error.tables
        for name in origins
        if name.startswith(f"{table}.") and name[len(table) + 1 :] in words
    ]
    for name in (*named, *(name for table in error.tables for name in (f"{table}.name", table))):
        # An option is on the screen already.
        if name in origins and not origins[name].startswith("--"):
            place = origins[name]
            return error.message if place in error.message else f"{place}: {error.message}"
    return error.message


def session_key(text: str) -> str:
    """Return the session key that an argument names.

    Raises:
        BadSessionKey: it is empty, or no valid key.
    """
    key = parse_key(text)
    if not key:
        raise BadSessionKey("the key is empty: name a conversation (`nanobot sessions list` shows them)")
    return key
