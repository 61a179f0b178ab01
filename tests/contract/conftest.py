"""The implementations that each suite runs on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nanobot.core.store import Limits
from tests.contract.place import IMPLEMENTATIONS, Place


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """An open store of each implementation."""
    place = Place(IMPLEMENTATIONS[request.param], tmp_path / "data", Limits(max_queue=4))
    await place.open()
    yield place
    await place.close()
