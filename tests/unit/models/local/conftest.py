"""The weights for tests of the real engine."""

import os
from pathlib import Path

import pytest

from nanobot.models.weights.fetch import fetch
from tests.unit.models.local.real import TINY


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Where the test weights are kept from run to run; they are fetched once, by the product's own means."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nanobot-tests"
    fetch(TINY, folder, lambda *report: None)
    return folder
