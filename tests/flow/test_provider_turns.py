"""Turns with tools, and a restart in between, at providers that hold requests to their rules."""

import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nanobot.models.openai.chat import OpenAIChat
from nanobot.testing import ScriptedModel
from nanobot.testing import call as scripted_call
from tests.clock import PausedClock
from tests.harness import Harness, OpenHarness
from tests.unit.models.openai.strict import check
from tests.upstream import Asked, Reply, Upstream, call, chunk, finish, json_reply, refused, spoken, text

SUM = '{"expression":"6*7"}'


class Provider(msgspec.Struct, frozen=True):
    """`name` of a model there; `attaches` is the delta that comes with each call; `objects` returns why it
    refuses the messages of the assistant.
    """

    name: str
    attaches: dict[str, Any]
    objects: Callable[[int, dict[str, Any]], str | None]


def gemini(index: int, message: dict[str, Any]) -> str | None:
    for made in message.get("tool_calls", []):
        if not made.get("extra_content", {}).get("google", {}).get("thought_signature"):
            return "Function call is missing a thought_signature in functionCall parts."
    return None


def deepseek(index: int, message: dict[str, Any]) -> str | None:
    if "reasoning_content" not in message:
        return f"Missing `reasoning_content` field in the assistant message at message index {index}"
    return None


def kimi(index: int, message: dict[str, Any]) -> str | None:
    if "tool_calls" in message and "reasoning_content" not in message:
        return f"reasoning_content is missing in assistant tool call message at index {index}"
    return None


def minimax(index: int, message: dict[str, Any]) -> str | None:
    return None


def mistral(index: int, message: dict[str, Any]) -> str | None:
    unknown = message.keys() - {"role", "content", "tool_calls"}
    return f"Extra inputs are not permitted: {', '.join(sorted(unknown))}" if unknown else None


DETAILS = {"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "six times seven"}]}
PROVIDERS = (
    Provider("gemini:gemini-3-pro", {"extra_content": {"google": {"thought_signature": "S+/="}}}, gemini),
    Provider("deepseek:deepseek-v4", {"reasoning_content": "six times seven"}, deepseek),
    Provider("moonshot:kimi-k2-thinking", {"reasoning_content": "six times seven"}, kimi),
    Provider("minimax:MiniMax-M2", DETAILS, minimax),
    Provider("mistral:mistral-large", {}, mistral),
)


def answering(provider: Provider) -> Callable[[Asked], Reply]:
    """Call the tool once a turn, then say the result; refuse what the provider would."""

    def answer(asked: Asked) -> Reply:
        if asked.method == "GET":
            return json_reply({"object": "list", "data": []})
        messages = asked.json["messages"]
        try:
            check(messages)
        except AssertionError as error:
            return refused(400, f"invalid conversation: {error}")
        for index, message in enumerate(messages):
            if message["role"] == "assistant" and (why := provider.objects(index, message)):
                return refused(400, why, "invalid_argument")
        if messages[-1]["role"] == "tool":
            return spoken(chunk(own(provider)), text(f"It is {messages[-1]['content']}."), finish())
        if "extra_content" in provider.attaches:
            function = {"name": "calculate", "arguments": SUM}
            made = {"id": "c1", "type": "function", "function": function, **provider.attaches}
            return spoken(chunk({"tool_calls": [made]}), finish())
        return spoken(chunk(own(provider)), call(0, "call_1-2", "calculate", SUM), finish("tool_calls"))

    return answer


def own(provider: Provider) -> dict[str, Any]:
    """Return what comes with an answer that is no call."""
    return {field: value for field, value in provider.attaches.items() if field != "extra_content"}


@pytest.fixture(params=PROVIDERS, ids=[provider.name for provider in PROVIDERS])
def provider(request: pytest.FixtureRequest) -> Provider:
    chosen: Provider = request.param
    return chosen


@pytest.fixture
async def upstream(provider: Provider) -> AsyncIterator[Upstream]:
    async with Upstream(answering(provider)) as server:
        yield server


def model_at(upstream: Upstream, provider: Provider) -> OpenAIChat:
    return OpenAIChat(
        name=provider.name,
        model=provider.name.partition(":")[2],
        base_url=upstream.url,
        api_key="sk-test-secret",
        context_tokens=100_000,
        clock=PausedClock(),
        random=random.Random(1),
    )


async def asks(harness: Harness, key: str, **fields: Any) -> str:
    return (await harness.door.chat(key, "What is 6*7?", **fields)).said


async def test_turns_with_tools_are_answered_before_and_after_a_restart(
    provider: Provider, upstream: Upstream, open_harness: OpenHarness, tmp_path: Path
) -> None:
    harness = await open_harness(model_at(upstream, provider), data=tmp_path)
    assert (await asks(harness, "k")).endswith("It is 42.")
    await harness.close()
    harness = await open_harness(model_at(upstream, provider), data=tmp_path)
    assert (await asks(harness, "k")).endswith("It is 42.")
    assert (await asks(harness, "k")).endswith("It is 42.")
    assert len(upstream.requests) == 6, "nothing was refused"
    first = upstream.requests[-1].json["messages"][2]
    for field, value in provider.attaches.items():
        assert (first["tool_calls"][0] if field == "extra_content" else first)[field] == value


async def test_a_conversation_that_another_model_began_goes_on(
    provider: Provider, upstream: Upstream, open_harness: OpenHarness
) -> None:
    harness = await open_harness(
        model_at(upstream, provider),
        presets={"other": ScriptedModel(scripted_call("calculate", SUM, id="toolu_01A-2"), "42, I say.")},
    )
    assert (await asks(harness, "k", model="other")).endswith("42, I say.")
    assert (await asks(harness, "k")).endswith("It is 42.")
    assert (await asks(harness, "k", model="other")).endswith("42, I say.")
    assert (await asks(harness, "k")).endswith("It is 42.")


async def test_an_export_brings_along_what_the_provider_wants_back(
    provider: Provider, upstream: Upstream, open_harness: OpenHarness
) -> None:
    harness = await open_harness(model_at(upstream, provider))
    await asks(harness, "k")
    exported = await harness.door.get("/v1/sessions/k/export")
    assert exported.raw.startswith(b'{"format":"nanobot.session","version":2')
    imported = await harness.door.call("POST", "/v1/sessions/copy/import", body=exported.raw)
    forked = await harness.door.call("POST", "/v1/sessions/k/fork", body=b'{"key":"fork"}')
    assert (imported.status, forked.status) == (200, 200)
    sent = []
    for key in ("copy", "fork"):
        upstream.requests.clear()
        assert (await asks(harness, key)).endswith("It is 42.")
        sent.append(upstream.requests[0].json["messages"][1:4])
        assert len(upstream.requests) == 2, "nothing was refused"
    assert sent[0] == sent[1]
