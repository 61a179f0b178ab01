"""The stage that the engine's tests play on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.engine.stage import Stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """An open store with nothing in it."""
    stage = Stage(tmp_path / "data")
    await stage.open()
    yield stage
    await stage.close()
