"""What a start says of keys that are missing, or were found and cannot be used."""

from collections.abc import Mapping

import click

from nanobot.app import choose_model, known_providers, passed_over
from nanobot.config import Config
from nanobot.models.providers import LOCAL
from nanobot.models.providers.environment import find_unusable


def tell_unused(config: Config, environment: Mapping[str, str]) -> None:
    """Say on stderr which providers of the settings lack their key. Where the small model answers because
    there is nothing better, also say which keys and addresses of the environment are not used, and why.

    Raises:
        ConfigError: a setting is not valid.
    """
    for line in passed_over(config, environment):
        click.echo(f"note: not used: {line}", err=True)
    if config.model.name is not None or choose_model(config, environment).name.provider != LOCAL:
        return
    for line in find_unusable(environment, known_providers(config)):
        click.echo(f"note: not used: {line}", err=True)
