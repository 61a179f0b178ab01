"""Options that several commands share, and the settings they make."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from nanobot import config
from nanobot.config import Config

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
    """Return the settings; `tables` are what the command line gave.

    Raises:
        ConfigError
    """
    return config.load(config_file, os.environ, tables)
