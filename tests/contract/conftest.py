"""The implementations that each suite runs on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nanobot.core.store import Limits
from tests.contract.store_harness import IMPLEMENTATIONS, StoreHarness, open_sqlite


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StoreHarness]:
    """An open store of each implementation."""
    with IMPLEMENTATIONS[request.param]() as open_:
        harness = StoreHarness(open_, tmp_path / "data", Limits(max_queue=4))
        await harness.open()
        yield harness
        await harness.close()


@pytest.fixture
async def disk_harness(tmp_path: Path) -> AsyncIterator[StoreHarness]:
    """An open store in a data directory, for what is about its files."""
    harness = StoreHarness(open_sqlite, tmp_path / "data", Limits(max_queue=4))
    await harness.open()
    yield harness
    await harness.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory that is not open."""
    directory = tmp_path / "data"
    directory.mkdir()
    return directory
