"""Whole turns on a scripted Responses API that holds every request to its rules."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.openai_responses.responses import OpenAIResponses
from nanobot.models.remote_settings import RemoteSettings
from nanobot.testing import ScriptedModel
from nanobot.testing import call as scripted_call
from tests import upstream as chat
from tests.clock import PausedClock
from tests.harness import Harness, OpenHarness
from tests.responses_api import answered, called, faults_of, invalid, said, thought
from tests.upstream import Asked, Reply, Upstream, json_reply, streamed

SUM = '{"expression":"6*7"}'
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def answer(asked: Asked) -> Reply:
    """Think, call the tool once a turn, then say the result; refuse what breaks the rules, or has lost the
    reasoning of a step.
    """
    if asked.method == "GET":
        return json_reply({"object": "list", "data": []})
    if asked.path.endswith("/chat/completions"):
        return streamed(chat.text("It is chat."))
    if faults := faults_of(asked):
        return invalid(faults[0])
    items = asked.json["input"]
    number = len(items)
    reasoning = thought("6 times 7", id_=f"rs_{number}", encrypted=f"gAAA{number}+/=")
    if items[-1]["type"] == "function_call_output":
        return answered(reasoning, said(f"It is {items[-1]['output']}.", phase="final_answer"))
    return answered(reasoning, said("I calculate."), called(f"call_{number}", "calculate", SUM))


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream(answer) as server:
        yield server


def model_at(
    upstream: Upstream, kind: type[OpenAIResponses] | type[OpenAIChat] = OpenAIResponses
) -> OpenAIResponses | OpenAIChat:
    return kind(
        RemoteSettings(
            name="openai:gpt-5",
            model="gpt-5",
            base_url=upstream.url,
            api_key="sk-test-secret",
            context_tokens=100_000,
        ),
        clock=PausedClock(),
        random=random.Random(1),
    )


async def asks(harness: Harness, key: str, question: str = "What is 6*7?", **fields: Any) -> str:
    return (await harness.door.chat(key, question, **fields)).said


def kinds(upstream: Upstream) -> list[str]:
    """Return what the newest request sends, reasoning by its id."""
    items = upstream.requests[-1].json["input"]
    return [item["id"] if item["type"] == "reasoning" else item.get("role", item["type"]) for item in items]


STEP = ["assistant", "function_call", "function_call_output"]


async def test_reasoning_goes_back_at_its_place_in_the_turn_and_after_a_restart(
    upstream: Upstream, open_harness: OpenHarness, tmp_path: Path
) -> None:
    harness = await open_harness(model_at(upstream), data=tmp_path)
    reply = await harness.door.chat("k", "What is 6*7?", reasoning_effort="low")
    assert reply.said == "I calculate.\n\nIt is 42."
    assert reply.json["choices"][0]["message"]["reasoning_content"].startswith("6 times 7")
    assert kinds(upstream) == ["user", "rs_1", *STEP]
    await harness.close()

    harness = await open_harness(model_at(upstream), data=tmp_path)
    assert (await asks(harness, "k", "Sure?")).endswith("It is 42.")
    assert (await asks(harness, "k", "Really?")).endswith("It is 42.")
    assert kinds(upstream)[:8] == ["user", "rs_1", *STEP, "rs_5", "assistant", "user"]
    reasoning = upstream.requests[-1].json["input"][1]
    assert reasoning["encrypted_content"] == "gAAA1+/="
    assert upstream.requests[-1].json["input"][6]["phase"] == "final_answer"
    assert len(upstream.requests) == 6, "nothing was refused"


async def test_a_clients_call_is_answered_after_a_restart(
    upstream: Upstream, open_harness: OpenHarness, tmp_path: Path
) -> None:
    upstream.then(answered(thought("hm"), called("call_1", "weather", "{}")))
    harness = await open_harness(model_at(upstream), data=tmp_path)
    reply = await harness.door.chat("k", "Rain?", tools=[WEATHER])
    assert reply.json["choices"][0]["finish_reason"] == "tool_calls"
    (call,) = reply.json["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "weather", "arguments": "{}"}
    await harness.close()

    harness = await open_harness(model_at(upstream), data=tmp_path)
    result = {"role": "tool", "tool_call_id": call["id"], "content": "It rains."}
    assert (await harness.door.chat("k", [result], tools=[WEATHER])).said == "It is It rains.."
    assert kinds(upstream) == ["user", "rs_1", "function_call", "function_call_output"]


async def test_a_conversation_that_another_model_began_goes_on(
    upstream: Upstream, open_harness: OpenHarness
) -> None:
    harness = await open_harness(
        model_at(upstream),
        presets={"other": ScriptedModel(scripted_call("calculate", SUM, id="toolu_01A.2"), "42, I say.")},
    )
    assert (await asks(harness, "k", model="other")).endswith("42, I say.")
    assert (await asks(harness, "k", "Sure?")).endswith("It is 42.")
    assert (await asks(harness, "k", "And you?", model="other")).endswith("42, I say.")
    assert (await asks(harness, "k", "Really?")).endswith("It is 42.")
    assert len(upstream.requests) == 4, "nothing was refused"


async def test_an_export_and_a_fork_bring_the_reasoning_along(
    upstream: Upstream, open_harness: OpenHarness
) -> None:
    harness = await open_harness(model_at(upstream))
    await asks(harness, "k")
    exported = await harness.door.get("/v1/sessions/k/export")
    imported = await harness.door.call("POST", "/v1/sessions/copy/import", body=exported.raw)
    forked = await harness.door.call("POST", "/v1/sessions/k/fork", body=b'{"key":"fork"}')
    assert (imported.status, forked.status) == (200, 200)
    sent = []
    for key in ("copy", "fork"):
        upstream.requests.clear()
        assert (await asks(harness, key, "Sure?")).endswith("It is 42.")
        assert kinds(upstream)[:7] == ["user", "rs_1", *STEP, "rs_5", "assistant"]
        sent.append(upstream.requests[0].json["input"][1:7])
        assert len(upstream.requests) == 2, "nothing was refused"
    assert sent[0] == sent[1]


async def test_reasoning_of_a_key_that_is_gone_does_not_end_the_conversation(
    upstream: Upstream, open_harness: OpenHarness
) -> None:
    harness = await open_harness(model_at(upstream))
    await asks(harness, "k")
    upstream.requests.clear()
    upstream.then(
        invalid("The encrypted content gAAA could not be verified.", None, "invalid_encrypted_content")
    )
    assert (await asks(harness, "k", "Sure?")).endswith("It is 42.")
    assert [item for item in kinds(upstream) if item.startswith("rs_")] == ["rs_6"]
    assert len(upstream.requests) == 3


async def test_chat_completions_of_the_same_provider_do_not_get_the_reasoning(
    upstream: Upstream, open_harness: OpenHarness
) -> None:
    harness = await open_harness(model_at(upstream), presets={"chat": model_at(upstream, OpenAIChat)})
    await asks(harness, "k")
    assert await asks(harness, "k", "Sure?", model="chat") == "It is chat."
    for message in upstream.requests[-1].json["messages"]:
        assert message.keys() <= {"role", "content", "tool_calls", "tool_call_id"}


async def test_a_form_of_the_answer_that_the_model_does_not_take_is_asked_for_in_words(
    upstream: Upstream, open_harness: OpenHarness
) -> None:
    words = "Invalid parameter: 'text.format' of type 'json_object' is not supported with this model."
    upstream.then(invalid(words, "text.format"), answered(said('{"a": 1}')))
    harness = await open_harness(model_at(upstream))
    reply = await harness.door.chat("k", "JSON?", response_format={"type": "json_object"})
    assert reply.said == '{"a": 1}'
    assert "JSON object" in upstream.requests[1].json["instructions"]
