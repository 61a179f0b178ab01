"""Turns with tools, and a restart in between, at providers that hold requests to their rules."""

import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nanobot.core.model import Model
from nanobot.models.anthropic.messages import AnthropicMessages
from nanobot.models.gemini.generate import GeminiContent
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.remote_settings import RemoteSettings
from nanobot.testing import ScriptedModel
from nanobot.testing import call as scripted_call
from tests import anthropic_api, gemini_api
from tests.clock import PausedClock
from tests.harness import Harness, OpenHarness
from tests.unit.models.openai.strict import check
from tests.upstream import Asked, Reply, Upstream, call, chunk, finish, json_reply, refused, spoken, text

SUM = '{"expression":"6*7"}'
THOUGHT = "six times seven"


class Provider(msgspec.Struct, frozen=True):
    """A provider and its model.

    `name`: of the model there; `kind`: its class; `answer`: calls the tool once a turn, then says the result,
    and refuses what the provider would. `talk` returns the conversation in a request, without the system
    prompt. `attached` is what comes with each call, `returned` what of it a step of the conversation has.
    """

    name: str
    kind: type[OpenAIChat] | type[AnthropicMessages] | type[GeminiContent]
    answer: Callable[[Asked], Reply]
    talk: Callable[[dict[str, Any]], list[dict[str, Any]]]
    attached: object
    returned: Callable[[dict[str, Any]], object]

    def model_at(self, upstream: Upstream) -> Model:
        return self.kind(
            RemoteSettings(
                name=self.name,
                model=self.name.partition(":")[2],
                base_url=upstream.url if self.kind is OpenAIChat else upstream.url.removesuffix("/v1"),
                api_key="sk-test-secret",
                context_tokens=100_000,
            ),
            clock=PausedClock(),
            random=random.Random(1),
        )


# Chat completions ---------------------------------------------------------------------------------


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
    if "tool_calls" in message and not message.get("reasoning_content"):
        return f"reasoning_content is missing in assistant tool call message at index {index}"
    return None


def minimax(index: int, message: dict[str, Any]) -> str | None:
    return None


def mistral(index: int, message: dict[str, Any]) -> str | None:
    unknown = message.keys() - {"role", "content", "tool_calls"}
    return f"Extra inputs are not permitted: {', '.join(sorted(unknown))}" if unknown else None


Objects = Callable[[int, dict[str, Any]], str | None]
"""Returns why a provider refuses a message of the assistant."""


def completions(name: str, attaches: dict[str, Any], objects: Objects) -> Provider:
    """Return a provider of chat completions; `attaches` is the delta that comes with each call."""

    def answer(asked: Asked) -> Reply:
        if asked.method == "GET":
            return json_reply({"object": "list", "data": []})
        messages = asked.json["messages"]
        try:
            check(messages)
        except AssertionError as error:
            return refused(400, f"invalid conversation: {error}")
        for index, message in enumerate(messages):
            if message["role"] == "assistant" and (why := objects(index, message)):
                return refused(400, why, "invalid_argument")
        if messages[-1]["role"] == "tool":
            return spoken(chunk(own), text(f"It is {messages[-1]['content']}."), finish())
        if "extra_content" in attaches:
            function = {"name": "calculate", "arguments": SUM}
            made = {"id": "c1", "type": "function", "function": function, **attaches}
            return spoken(chunk({"tool_calls": [made]}), finish())
        return spoken(chunk(own), call(0, "call_1-2", "calculate", SUM), finish("tool_calls"))

    def returned(message: dict[str, Any]) -> dict[str, Any]:
        holder = message["tool_calls"][0] if "extra_content" in attaches else message
        return {field: holder.get(field) for field in attaches}

    own = {field: value for field, value in attaches.items() if field != "extra_content"}
    return Provider(name, OpenAIChat, answer, lambda body: body["messages"][1:], attaches, returned)


# Formats of their own -----------------------------------------------------------------------------


def anthropic(asked: Asked) -> Reply:
    if asked.method == "GET":
        return anthropic_api.answer(asked)
    if faults := anthropic_api.faults_of(asked):
        return anthropic_api.invalid(faults[0])
    thought = anthropic_api.thought(THOUGHT, signature="sig+/=")
    last = asked.json["messages"][-1]["content"][0]
    if last["type"] == "tool_result":
        said = anthropic_api.said(f"It is {last['content']}.", index=1)
        return anthropic_api.answered(*thought, *said)
    made = anthropic_api.called("toolu_1", "calculate", SUM, index=1)
    return anthropic_api.answered(*thought, *made, reason="tool_use")


def gemini_native(asked: Asked) -> Reply:
    if asked.method == "GET":
        return gemini_api.answer(asked)
    if faults := gemini_api.faults_of(asked):
        return gemini_api.invalid(faults[0])
    last = asked.json["contents"][-1]["parts"][0]
    if "functionResponse" in last:
        result = last["functionResponse"]["response"]["output"]
        signed = gemini_api.chunk(gemini_api.text_part("", "dGV4dA=="))
        return gemini_api.answered(*gemini_api.said(f"It is {result}."), signed)
    thought = gemini_api.chunk(gemini_api.thought_part(THOUGHT))
    return gemini_api.answered(thought, gemini_api.chunk(GEMINI_CALL))


def without_ids(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return calls without their ids: those that a client is given are of the server's making, and an id of
    an earlier turn is not sent again.
    """
    calls = [{**part["functionCall"]} for part in parts]
    for call_ in calls:
        call_.pop("id", None)
    return [{**part, "functionCall": call_} for part, call_ in zip(parts, calls, strict=True)]


GEMINI_CALL = gemini_api.call_part("calculate", {"expression": "6*7"}, id_="f1", signature="Y2FsbA==")
ANTHROPIC_THOUGHT = {"type": "thinking", "thinking": THOUGHT, "signature": "sig+/="}
DETAILS = {"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": THOUGHT}]}
PROVIDERS = (
    completions("gemini:gemini-3-pro", {"extra_content": {"google": {"thought_signature": "S+/="}}}, gemini),
    completions("deepseek:deepseek-v4", {"reasoning_content": THOUGHT}, deepseek),
    completions("moonshot:kimi-k2-thinking", {"reasoning_content": THOUGHT}, kimi),
    completions("minimax:MiniMax-M2", DETAILS, minimax),
    completions("mistral:mistral-large", {}, mistral),
    Provider(
        "anthropic:claude-haiku-5-5",
        AnthropicMessages,
        anthropic,
        lambda body: body["messages"],
        ANTHROPIC_THOUGHT,
        lambda message: message["content"][0],
    ),
    Provider(
        "gemini:gemini-3-flash",
        GeminiContent,
        gemini_native,
        lambda body: body["contents"],
        without_ids([GEMINI_CALL]),
        lambda content: without_ids(content["parts"]),
    ),
)


@pytest.fixture(params=PROVIDERS, ids=[provider.name for provider in PROVIDERS])
def provider(request: pytest.FixtureRequest) -> Provider:
    chosen: Provider = request.param
    return chosen


@pytest.fixture
async def upstream(provider: Provider) -> AsyncIterator[Upstream]:
    async with Upstream(provider.answer) as server:
        yield server


async def asks(harness: Harness, key: str, question: str = "What is 6*7?", **fields: Any) -> str:
    return (await harness.door.chat(key, question, **fields)).said


async def test_turns_with_tools_are_answered_before_and_after_a_restart(
    provider: Provider, upstream: Upstream, open_harness: OpenHarness, tmp_path: Path
) -> None:
    harness = await open_harness(provider.model_at(upstream), data=tmp_path)
    assert (await asks(harness, "k")).endswith("It is 42.")
    await harness.close()
    harness = await open_harness(provider.model_at(upstream), data=tmp_path)
    assert (await asks(harness, "k", "And once more?")).endswith("It is 42.")
    assert (await asks(harness, "k", "Are you sure?")).endswith("It is 42.")
    assert len(upstream.requests) == 6, "nothing was refused"
    talk = provider.talk(upstream.requests[-1].json)
    steps = [message for message in talk if message["role"] in ("assistant", "model")]
    assert len(steps) == 5, "two of each turn, and one of the last"
    assert [provider.returned(step) for step in steps[::2]] == [provider.attached] * 3


async def test_a_conversation_that_another_model_began_goes_on(
    provider: Provider, upstream: Upstream, open_harness: OpenHarness
) -> None:
    harness = await open_harness(
        provider.model_at(upstream),
        presets={"other": ScriptedModel(scripted_call("calculate", SUM, id="toolu_01A-2"), "42, I say.")},
    )
    assert (await asks(harness, "k", model="other")).endswith("42, I say.")
    assert (await asks(harness, "k", "What do you say?")).endswith("It is 42.")
    assert (await asks(harness, "k", "And you?", model="other")).endswith("42, I say.")
    assert (await asks(harness, "k", "Are you sure?")).endswith("It is 42.")


async def test_an_export_brings_along_what_the_provider_wants_back(
    provider: Provider, upstream: Upstream, open_harness: OpenHarness
) -> None:
    harness = await open_harness(provider.model_at(upstream))
    await asks(harness, "k")
    exported = await harness.door.get("/v1/sessions/k/export")
    assert exported.raw.startswith(b'{"format":"nanobot.session","version":2')
    imported = await harness.door.call("POST", "/v1/sessions/copy/import", body=exported.raw)
    forked = await harness.door.call("POST", "/v1/sessions/k/fork", body=b'{"key":"fork"}')
    assert (imported.status, forked.status) == (200, 200)
    sent = []
    for key in ("copy", "fork"):
        upstream.requests.clear()
        assert (await harness.door.chat(key, "Once more?")).said.endswith("It is 42.")
        talk = provider.talk(upstream.requests[0].json)
        assert provider.returned(talk[1]) == provider.attached
        sent.append(talk[:3])
        assert len(upstream.requests) == 2, "nothing was refused"
    assert sent[0] == sent[1]


async def test_signatures_of_one_api_of_google_go_back_in_the_other(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    """A server whose address is changed goes on with the sessions that it has."""
    compatible, *_, native = PROVIDERS
    for first, second in ((compatible, native), (native, compatible)):
        data = tmp_path / first.name
        data.mkdir()
        async with Upstream(first.answer) as one, Upstream(second.answer) as other:
            harness = await open_harness(first.model_at(one), data=data)
            assert (await asks(harness, "k")).endswith("It is 42.")
            await harness.close()
            harness = await open_harness(second.model_at(other), data=data)
            assert (await asks(harness, "k", "And once more?")).endswith("It is 42.")
            assert len(other.requests) == 2, "nothing was refused"
            await harness.close()


async def test_a_kill_between_call_and_result_leaves_the_signature_in_place(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    """The turn of a client's call ends there; the next one brings the result."""
    native = PROVIDERS[-1]
    weather = {"type": "function", "function": {"name": "calculate", "parameters": {"type": "object"}}}
    async with Upstream(native.answer) as upstream:
        harness = await open_harness(native.model_at(upstream), data=tmp_path)
        reply = await harness.door.chat("k", "What is 6*7?", tools=[weather])
        (made,) = reply.json["choices"][0]["message"]["tool_calls"]
        await harness.close()
        harness = await open_harness(native.model_at(upstream), data=tmp_path)
        result = {"role": "tool", "tool_call_id": made["id"], "content": "42"}
        assert (await harness.door.chat("k", [result], tools=[weather])).said == "It is 42."
        assert native.returned(native.talk(upstream.requests[-1].json)[1]) == native.attached
