"""An answer that breaks off in the middle: who has received nothing of it gets another one."""

import random
from collections.abc import AsyncIterator

import pytest

from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.remote_settings import RemoteSettings
from tests.clock import PausedClock
from tests.harness import OpenHarness
from tests.upstream import CUT, Gate, Upstream, call, spoken, text


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def model(upstream: Upstream) -> AsyncIterator[OpenAIChat]:
    model = OpenAIChat(
        RemoteSettings(
            name="test:test-model",
            model="test-model",
            base_url=upstream.url,
            api_key=None,
            context_tokens=32_000,
        ),
        clock=PausedClock(),
        random=random.Random(1),
    )
    yield model
    await model.close()


async def test_a_client_that_waits_for_the_whole_answer_gets_one(
    upstream: Upstream, model: OpenAIChat, open_harness: OpenHarness
) -> None:
    upstream.then(spoken(text("Hel"), CUT), spoken(text("He"), call(0, "a", "calculate", "{"), CUT))
    harness = await open_harness(model)
    reply = await harness.door.chat("k", "hi")
    assert (reply.status, reply.said) == (200, "Hello there")
    assert len(upstream.requests) == 3
    stored = await harness.door.get("/v1/sessions/k/messages")
    assert [message["content"] for message in stored.json["data"]] == ["hi", "Hello there"]


async def test_a_client_that_was_shown_a_part_of_it_gets_an_error_and_no_second_answer(
    upstream: Upstream, model: OpenAIChat, open_harness: OpenHarness
) -> None:
    gate = Gate()
    upstream.then(spoken(text("Hel"), gate, CUT))
    harness = await open_harness(model)
    chatting = harness.door.chatting("k", "hi", stream=True)
    await chatting.until("Hel")
    gate.open()
    await chatting.done()
    assert len(upstream.requests) == 1
    assert '"error"' in chatting.text
    assert "[DONE]" not in chatting.text
