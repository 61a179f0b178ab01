"""Whole turns on a scripted Messages API that holds every request to its rules."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nanobot.models.anthropic.messages import AnthropicMessages
from nanobot.models.remote_settings import RemoteSettings
from tests.anthropic_api import answer, answered, called, invalid, redacted, said, thought
from tests.clock import PausedClock
from tests.harness import OpenHarness
from tests.upstream import Upstream

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream(answer) as server:
        yield server


def model_at(upstream: Upstream) -> AnthropicMessages:
    return AnthropicMessages(
        RemoteSettings(
            name="anthropic:claude-haiku-5-5",
            model="claude-haiku-5-5",
            base_url=upstream.url,
            api_key="sk-test",
            context_tokens=200_000,
        ),
        clock=PausedClock(),
        random=random.Random(1),
    )


def content(upstream: Upstream, at: int) -> list[dict[str, Any]]:
    """Return the content of a message of the newest request, without marks for the cache."""
    blocks: list[dict[str, Any]] = upstream.requests[-1].json["messages"][at]["content"]
    return [{key: value for key, value in block.items() if key != "cache_control"} for block in blocks]


async def test_thinking_goes_back_unchanged_in_the_turn_and_in_the_next_one(
    upstream: Upstream, open_harness: OpenHarness
) -> None:
    upstream.then(
        answered(
            *thought("6", " times 7", signature="sig+/="),
            *redacted("c2VjcmV0", index=1),
            *said("I calculate.", index=2),
            *called("toolu_1", "calculate", '{"expression"', ': "6*7"}', index=3),
            reason="tool_use",
        ),
        answered(*thought(signature="sig2"), *said("42", index=1)),
    )
    harness = await open_harness(model_at(upstream))
    first = await harness.door.chat("k", "What is 6*7?", reasoning_effort="low")
    assert first.said == "I calculate.\n\n42"
    assert first.json["choices"][0]["message"]["reasoning_content"] == "6 times 7"
    step = [
        {"type": "thinking", "thinking": "6 times 7", "signature": "sig+/="},
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
        {"type": "text", "text": "I calculate."},
        {"type": "tool_use", "id": "toolu_1", "name": "calculate", "input": {"expression": "6*7"}},
    ]
    assert content(upstream, 1) == step
    assert content(upstream, 2) == [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"}]
    assert (await harness.door.chat("k", "Sure?")).said == "Hello there"
    assert content(upstream, 1) == step
    assert content(upstream, 3)[0] == {"type": "thinking", "thinking": "", "signature": "sig2"}


async def test_a_clients_call_is_answered_after_a_restart_with_its_thinking_in_place(
    upstream: Upstream, open_harness: OpenHarness, tmp_path: Path
) -> None:
    upstream.then(
        answered(*thought("hm", signature="s"), *called("toolu_1", "weather", index=1), reason="tool_use")
    )
    harness = await open_harness(model_at(upstream), data=tmp_path)
    reply = await harness.door.chat("k", "Rain?", tools=[WEATHER])
    assert reply.json["choices"][0]["finish_reason"] == "tool_calls"
    (call,) = reply.json["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "weather", "arguments": "{}"}
    await harness.close()

    harness = await open_harness(model_at(upstream), data=tmp_path)
    result = {"role": "tool", "tool_call_id": call["id"], "content": "It rains."}
    assert (await harness.door.chat("k", [result], tools=[WEATHER])).said == "Hello there"
    assert content(upstream, 1)[0] == {"type": "thinking", "thinking": "hm", "signature": "s"}
    assert content(upstream, 2)[0]["content"] == "It rains."


async def test_an_export_carries_the_signatures(upstream: Upstream, open_harness: OpenHarness) -> None:
    upstream.then(answered(*thought("hm", signature="s"), *said("so", index=1)))
    harness = await open_harness(model_at(upstream))
    await harness.door.chat("k", "hi")
    exported = await harness.door.get("/v1/sessions/k/export")
    copied = await harness.door.call("POST", "/v1/sessions/copy/import", body=exported.text.encode())
    assert copied.status in (200, 201), copied.text
    await harness.door.chat("copy", "and?")
    assert content(upstream, 1)[0] == {"type": "thinking", "thinking": "hm", "signature": "s"}


async def test_a_forced_call_that_the_model_does_not_take_is_asked_for_in_words(
    upstream: Upstream, open_harness: OpenHarness
) -> None:
    upstream.then(
        invalid('tool_choice: type "tool" and "any" are not supported for this model.'),
        answered(*said("It may rain.")),
        answered(*called("toolu_1", "weather"), reason="tool_use"),
    )
    harness = await open_harness(model_at(upstream))
    reply = await harness.door.chat("k", "Rain?", tools=[WEATHER], tool_choice="required")
    assert reply.json["choices"][0]["finish_reason"] == "tool_calls"
    assert len(upstream.requests) == 3


async def test_a_form_of_the_answer_is_asked_for_in_words_and_checked(
    upstream: Upstream, open_harness: OpenHarness
) -> None:
    upstream.then(answered(*said("Sure: {}")), answered(*said('{"a": 1}')))
    harness = await open_harness(model_at(upstream))
    reply = await harness.door.chat("k", "JSON?", response_format={"type": "json_object"})
    assert reply.said == '{"a": 1}'
    assert "JSON object" in upstream.requests[0].json["system"][0]["text"]
