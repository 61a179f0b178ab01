"""Search by meaning, as the settings say."""

import sys

from nanobot.config import Config
from nanobot.core.clock import Clock
from nanobot.core.distribution import install_command
from nanobot.core.errors import ConfigError
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.stores.sqlite.opening import DATABASE
from nanobot.stores.vectors.process import VectorProcess, is_installed


def missing() -> str:
    """Return why texts cannot be compared by meaning here, and what to do; empty where they can."""
    if sys.platform == "win32":
        return (
            "memory.vectors: what compares texts by meaning does not run on Windows: set it to false (then"
            " texts are compared by their words), or run the server in WSL2"
        )
    if not is_installed():
        return f"memory.vectors needs a package that is not installed: {install_command('vectors')}"
    return ""


def make_vectors(config: Config, clock: Clock, observer: Observer = NULL_OBSERVER) -> VectorProcess:
    """Return what compares texts by meaning.

    Raises:
        ConfigError: it cannot run here.
    """
    if reason := missing():
        raise ConfigError(reason, tables=("memory",))
    return VectorProcess(
        config.data / DATABASE, clock, wait_s=config.recall.max_wait_ms / 1_000, observer=observer
    )
