"""Asking a server for its window never fails a model: not each one is Ollama's."""

import random
from collections.abc import AsyncIterator

import pytest

from nanobot.models.http import ProviderConnection, Timeouts
from nanobot.models.ollama import OllamaModel
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.refusals import ErrorSource
from nanobot.models.remote_settings import RemoteSettings
from tests.clock import PausedClock
from tests.upstream import Asked, Reply, Upstream, greet, json_reply


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def model(upstream: Upstream) -> AsyncIterator[OllamaModel]:
    clock = PausedClock()
    inner = OpenAIChat(
        RemoteSettings(
            name="ollama:m",
            model="m",
            base_url=upstream.url,
            api_key=None,
            context_tokens=32_000,
        ),
        clock=clock,
        random=random.Random(1),
    )
    source = ErrorSource("ollama:m", "m", upstream.url)
    opened = OllamaModel(
        inner,
        ProviderConnection(source, timeouts=Timeouts()),
        model="m",
        base_url=upstream.url,
        most_tokens=None,
        clock=clock,
    )
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    "running",
    [
        {"object": "list", "data": []},
        {"models": None},
        {"models": ["m"]},
        {"models": [{"name": "m", "context_length": "8192"}]},
        [],
        "ok",
        7,
        None,
    ],
)
async def test_what_is_no_list_of_running_models_tells_no_window(
    upstream: Upstream, model: OllamaModel, running: object
) -> None:
    def answer(asked: Asked) -> Reply:
        return json_reply(running) if "/api/" in asked.path else greet(asked)

    upstream.answer = answer
    await model.warm()
    await model.check()
    assert model.context_tokens in (4_096, 32_000)


async def test_the_window_of_the_running_model_is_the_models(upstream: Upstream, model: OllamaModel) -> None:
    def answer(asked: Asked) -> Reply:
        running = {"models": [{"name": "x"}, {"model": "m:latest", "context_length": 8_192}]}
        return json_reply(running) if asked.path == "/api/ps" else greet(asked)

    upstream.answer = answer
    await model.warm()
    assert model.context_tokens == 8_192
