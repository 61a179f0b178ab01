"""The stage that the engine's tests play on."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.engine.stage import Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """An open store with nothing in it."""
    stage = Stage()
    await stage.open()
    yield stage
    await stage.close()
    stage.forget()
