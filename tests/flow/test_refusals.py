"""Whole turns at a provider that refuses a part of the request: the user gets an answer."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.remote_settings import RemoteSettings
from tests.clock import PausedClock
from tests.harness import Harness, OpenHarness
from tests.upstream import Asked, Reply, Upstream, greet, refused, streamed, text

LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
NO_TOOLS = "registry.ollama.ai/library/gemma3:4b does not support tools"


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def harness(upstream: Upstream, open_harness: OpenHarness) -> AsyncIterator[Harness]:
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
    yield await open_harness(model)
    await model.close()


async def test_a_server_without_tools_answers_and_is_not_asked_again_with_them(
    upstream: Upstream, harness: Harness
) -> None:
    upstream.answer = lambda asked: refused(400, NO_TOOLS) if "tools" in asked.json else greet(asked)
    for _ in range(2):
        assert (await harness.door.chat("k", "hi")).said == "Hello there"
    assert ["tools" in asked.json for asked in upstream.requests] == [True, False, False]


async def test_a_server_that_lacks_an_ability_may_say_so_with_a_status_of_its_own_fault(
    upstream: Upstream, harness: Harness
) -> None:
    """llama.cpp does, and Ollama; what merely fails is tried again as it is, and teaches nothing."""
    upstream.then(refused(500, "internal error in the tools queue"))
    assert (await harness.door.chat("k", "hi")).said == "Hello there"
    upstream.answer = lambda asked: (
        refused(500, "tools param requires --jinja flag") if "tools" in asked.json else greet(asked)
    )
    for _ in range(2):
        assert (await harness.door.chat("k", "hi")).said == "Hello there"
    assert ["tools" in asked.json for asked in upstream.requests] == [True, True, True, False, False]


async def test_a_clients_tools_at_a_server_without_are_a_clear_error(
    upstream: Upstream, harness: Harness
) -> None:
    upstream.answer = lambda asked: refused(400, NO_TOOLS) if "tools" in asked.json else greet(asked)
    reply = await harness.door.chat("k", "hi", tools=[LOOK])
    assert reply.status == 400
    assert "does not take tools" in reply.error["message"]


async def test_a_form_that_is_refused_beside_the_servers_tools_is_kept_to_all_the_same(
    upstream: Upstream, harness: Harness
) -> None:
    def answer(asked: Asked) -> Reply:
        if {"tools", "response_format"} <= set(asked.json):
            return refused(400, "json mode cannot be combined with tool/function calling")
        return streamed(text('{"at": "shelf"}'))

    upstream.answer = answer
    for _ in range(2):
        reply = await harness.door.chat("k", "where?", response_format={"type": "json_object"})
        assert reply.said == '{"at": "shelf"}'
    assert len(upstream.requests) == 3


async def test_one_refusal_that_quotes_a_request_leaves_the_count_of_tokens_on(
    upstream: Upstream, harness: Harness
) -> None:
    def quote(asked: Asked) -> Reply:
        return (
            refused(422, f"unprocessable: {asked.body.decode()}")
            if len(upstream.requests) == 1
            else greet(asked)
        )

    upstream.answer = quote
    assert (await harness.door.chat("a", "hi")).status == 400
    reply = await harness.door.chat("b", "hi")
    assert reply.json["usage"]["prompt_tokens"] == 10


@pytest.mark.parametrize(
    "words", ["API key not valid. Why?", "insufficient balance?", "rate limit reached", "tool_use_failed"]
)
async def test_a_refusal_that_quotes_a_short_message_is_not_taken_for_what_the_message_says(
    upstream: Upstream, harness: Harness, words: str
) -> None:
    """The server's key would count as refused, or the asker be told of limits."""
    upstream.answer = lambda asked: refused(400, f"Invalid request: content filter hit on '{words}'")
    reply = await harness.door.chat("k", words)
    assert (reply.status, reply.error["code"]) == (400, "model_rejected_request")
    reply = await harness.door.chat("two", [{"role": "user", "content": text} for text in ("Hello", words)])
    assert (reply.status, reply.error["code"]) == (400, "model_rejected_request")


async def test_a_conversation_over_the_real_window_is_shortened_and_goes_on(
    upstream: Upstream, harness: Harness
) -> None:
    def answer(asked: Asked) -> Reply:
        if len(asked.body) > 8_000:
            return refused(400, "This model's maximum context length is 4096 tokens.")
        return greet(asked)

    upstream.answer = answer
    replies: list[Any] = [await harness.door.chat("k", f"{turn} " + "x" * 1_400) for turn in range(9)]
    assert [reply.status for reply in replies] == [200] * 9
    sizes = [len(asked.body) for asked in upstream.requests]
    assert sum(size > 8_000 for size in sizes) == 1, "what was refused once is not sent again"


async def test_where_even_the_newest_message_does_not_fit_the_turn_says_so(
    upstream: Upstream, harness: Harness
) -> None:
    await harness.door.chat("k", "hi")
    upstream.answer = lambda asked: refused(400, "This model's maximum context length is 4096 tokens.")
    reply = await harness.door.chat("k", "x" * 1_400)
    assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")
    sizes = [len(asked.body) for asked in upstream.requests[1:]]
    assert sizes == sorted(set(sizes), reverse=True), "each try is smaller"
    upstream.answer = greet
    assert (await harness.door.chat("k", "hi")).status == 200
