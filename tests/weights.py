"""The smallest weights there are, for tests of the real engine."""

import os
from pathlib import Path

from nanobot.models.weights.fetch import fetch_weights
from nanobot.models.weights.installed import Weights, parse

TINY = "local:tiny"


def tiny_weights() -> Path:
    """Return where they are kept from run to run; they are fetched once, by the product's own means."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nanobot-tests"
    weights = parse(TINY)
    assert isinstance(weights, Weights)
    fetch_weights(weights, folder, lambda *report: None)
    return folder
