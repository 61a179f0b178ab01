"""In which tables of the settings an error's cause stands."""

import contextlib
from collections.abc import Iterator

from nanobot.core.errors import ConfigError


@contextlib.contextmanager
def in_tables(*tables: str) -> Iterator[None]:
    """Note on a `ConfigError` that passes in which tables its cause stands, unless it is noted already."""
    try:
        yield
    except ConfigError as error:
        error.tables = error.tables or tables
        raise


def preset_table(preset: str | None) -> str:
    """Return the table of a preset; None: of the default model."""
    return "model" if preset is None else f"models.{preset}"
