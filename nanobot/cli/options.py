"""Options and arguments that several commands share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from nanobot import config
from nanobot.config import Config
from nanobot.core.errors import BadSessionKey
from nanobot.core.sessions import parse_key

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
    return config.load(config_file, os.environ, tables)


def session_key(text: str) -> str:
    """Return the session key that an argument names.

    Raises:
        BadSessionKey: it is empty, or no valid key.
    """
    key = parse_key(text)
    if not key:
        raise BadSessionKey("the key is empty: name a conversation (`nanobot sessions list` shows them)")
    return key
