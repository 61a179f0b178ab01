"""A scripted server that holds requests to the rules of the Gemini API, and a model in front of it."""

from collections.abc import AsyncIterator

import pytest

from nanobot.models.gemini.generate import GeminiContent
from tests.clock import PausedClock
from tests.gemini_api import answer
from tests.unit.models.gemini.speech import model_at
from tests.upstream import Upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream(answer) as server:
        yield server


@pytest.fixture
def clock() -> PausedClock:
    return PausedClock()


@pytest.fixture
async def model(upstream: Upstream, clock: PausedClock) -> AsyncIterator[GeminiContent]:
    model = model_at(upstream, clock)
    yield model
    await model.close()
