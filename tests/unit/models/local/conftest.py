"""The weights for tests of the real engine."""

from pathlib import Path

import pytest

from tests.weights import tiny_weights


@pytest.fixture(scope="session")
def models_dir() -> Path:
    return tiny_weights()
