"""A scripted server that holds requests to the rules of the Messages API, and a model in front of it."""

from collections.abc import AsyncIterator

import pytest

from nanobot.models.anthropic.messages import AnthropicMessages
from tests.anthropic_api import answer
from tests.clock import PausedClock
from tests.unit.models.anthropic.talk import model_at
from tests.upstream import Upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream(answer) as server:
        yield server


@pytest.fixture
def clock() -> PausedClock:
    return PausedClock()


@pytest.fixture
async def model(upstream: Upstream, clock: PausedClock) -> AsyncIterator[AnthropicMessages]:
    model = model_at(upstream.url, clock)
    yield model
    await model.close()
