"""What a start says of keys that were found and cannot be used."""

from collections.abc import Mapping

import click

from nanobot.app import choose_model, known_providers
from nanobot.config import Config
from nanobot.models.providers import LOCAL
from nanobot.models.providers.environment import find_unusable


def tell_unused(config: Config, environment: Mapping[str, str]) -> None:
    """Say on stderr which keys and addresses of the environment are not used, and why, where the small model
    answers because there is nothing better.

    Raises:
        ConfigError: a setting is not valid.
    """
    if config.model.name is not None or choose_model(config, environment).name.provider != LOCAL:
        return
    for line in find_unusable(environment, known_providers(config)):
        click.echo(f"note: not used: {line}", err=True)
