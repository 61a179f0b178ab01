"""A scripted provider, a clock that stands still, and a model at the provider."""

from collections.abc import AsyncIterator

import pytest

from nanobot.models.openai.chat import OpenAIChat
from tests.clock import PausedClock
from tests.unit.models.openai.asking import SHORT, model_at
from tests.upstream import Upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
def clock() -> PausedClock:
    return PausedClock()


@pytest.fixture
async def model(upstream: Upstream, clock: PausedClock) -> AsyncIterator[OpenAIChat]:
    model = model_at(upstream.url, clock)
    yield model
    await model.close()


@pytest.fixture
async def hasty(upstream: Upstream, clock: PausedClock) -> AsyncIterator[OpenAIChat]:
    """A model with the time-outs in `SHORT`."""
    model = model_at(upstream.url, clock, timeouts=SHORT)
    yield model
    await model.close()
