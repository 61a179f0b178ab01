"""A scripted server that holds requests to the rules of the Responses API, and a model in front of it."""

from collections.abc import AsyncIterator

import pytest

from nanobot.models.openai_responses.responses import OpenAIResponses
from tests.clock import PausedClock
from tests.responses_api import answer
from tests.unit.models.openai_responses.talk import model_at
from tests.upstream import Upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream(answer) as server:
        yield server


@pytest.fixture
def clock() -> PausedClock:
    return PausedClock()


@pytest.fixture
async def model(upstream: Upstream, clock: PausedClock) -> AsyncIterator[OpenAIResponses]:
    model = model_at(upstream.url, clock)
    yield model
    await model.close()
