"""The implementations that the suite for models runs on; each is opened once a module."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.contract.models.stage import Stage
from tests.contract.models.stages import STAGES

IMPLEMENTATIONS = [
    pytest.param(name, marks=pytest.mark.engine if name == "engine" else ()) for name in STAGES
]


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=IMPLEMENTATIONS)
async def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    stage = STAGES[request.param]()
    await stage.open(tmp_path_factory.mktemp(request.param))
    yield stage
    await stage.close()


@pytest_asyncio.fixture(loop_scope="module")
async def stage(opened: Stage) -> AsyncIterator[Stage]:
    """An open model, as it is after it was opened."""
    yield opened
    await opened.reset()


@pytest_asyncio.fixture(loop_scope="module", params=IMPLEMENTATIONS)
async def own_stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """An open model of the test's own, which it may close."""
    stage = STAGES[request.param]()
    await stage.open(tmp_path_factory.mktemp(request.param))
    yield stage
    await stage.close()
