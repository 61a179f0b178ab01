"""A chain of models behind the whole server: who answers, what is said of it, and what it costs."""

import asyncio
import base64
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import aiohttp
import msgspec
import pytest

from nanobot.core.errors import ModelOverloaded, ModelRateLimited
from nanobot.core.message import Message, Text, Usage
from nanobot.core.model import Ability, Model
from nanobot.models.breaker import Breaker
from nanobot.models.fallback import ChainLink, FallbackModel
from nanobot.models.http import Timeouts
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.remote_settings import RemoteSettings
from nanobot.testing import FakeClock, Say, ScriptedModel
from nanobot.testing import call as scripted_call
from tests import files
from tests.asgi import BOUND_S, Exchange
from tests.clock import PausedClock
from tests.harness import OpenHarness
from tests.upstream import CUT, Gate, Upstream, call, chunk, finish, refused, spoken, streamed, text

ALL: frozenset[Ability] = frozenset(get_args(Ability))
BUSY = refused(529, "overloaded")


@pytest.fixture
async def first() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def second() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


def model_at(upstream: Upstream, name: str, **options: Any) -> OpenAIChat:
    return OpenAIChat(
        RemoteSettings(
            name=name,
            model=name.partition(":")[2],
            base_url=upstream.url,
            api_key="sk-test-secret",
            context_tokens=100_000,
            max_retries=0,
            **options,
        ),
        clock=PausedClock(),
        random=random.Random(1),
    )


def chain(*models: Model) -> FallbackModel:
    clock = FakeClock()
    return FallbackModel([ChainLink(model, Breaker(clock)) for model in models], clock, budget_s=600)


@pytest.fixture
def model(first: Upstream, second: Upstream) -> FallbackModel:
    return chain(model_at(first, "gemini:a"), model_at(second, "deepseek:b"))


def chosen(reply: Exchange) -> list[dict[str, Any]]:
    return [json.loads(event.content) for event in reply.events if event.name == "model_chosen"]


def scripted(name: str, *script: Any, **options: Any) -> ScriptedModel:
    return ScriptedModel(*script, name=name, **options)


# What is said of it -------------------------------------------------------------------------------


async def test_the_answer_says_which_model_it_is_of_and_why_not_of_the_first(
    first: Upstream, second: Upstream, model: FallbackModel, open_harness: OpenHarness
) -> None:
    harness = await open_harness(model)
    reply = await harness.door.chat("k", "hi")
    assert (reply.said, reply.headers["x-model"]) == ("Hello there", "gemini:a")
    assert "x-model-passed-over" not in reply.headers
    first.then(BUSY)
    reply = await harness.door.chat("k", "hi")
    assert (reply.status, reply.said, reply.headers["x-model"]) == (200, "Hello there", "deepseek:b")
    assert reply.headers["x-model-passed-over"] == "gemini:a (model_overloaded)"
    assert (len(first.requests), len(second.requests)) == (2, 1)


async def test_a_stream_says_it_in_the_head_and_in_an_event_for_those_who_ask(
    first: Upstream, model: FallbackModel, open_harness: OpenHarness
) -> None:
    harness = await open_harness(model)
    first.then(BUSY, BUSY)
    stock = await harness.door.chat("k", "hi", stream=True)
    assert (stock.said, stock.headers["x-model"]) == ("Hello there", "deepseek:b")
    assert stock.headers["x-model-passed-over"] == "gemini:a (model_overloaded)"
    assert all(event.name is None for event in stock.events)
    reply = await harness.door.chat("k", "hi", {"x-events": "models"}, stream=True)
    passed = {
        "model": "gemini:a",
        "code": "model_overloaded",
        "reason": "gemini:a answered 529: overloaded",
        "was_asked": True,
    }
    assert chosen(reply) == [{"model": "deepseek:b", "passed_over": [passed]}]
    replayed = await harness.door.get(f"/v1/turns/{reply.turn_id}/stream?after=0", {"x-events": "models"})
    assert (replayed.said, chosen(replayed)) == (reply.said, chosen(reply))
    assert replayed.headers["x-model"] == "deepseek:b"
    ids = [[event.id for event in each.events if event.id] for each in (reply, replayed)]
    assert ids[0][-1] == ids[1][-1]


async def test_responses_say_it_too(first: Upstream, model: FallbackModel, open_harness: OpenHarness) -> None:
    harness = await open_harness(model)
    for stream in (False, True):
        first.then(BUSY)
        reply = await harness.door.call(
            "POST",
            "/v1/responses",
            body=msgspec.json.encode({"model": "nanobot", "input": "hi", "stream": stream}),
            headers={"x-session-key": "k"},
        )
        assert (reply.status, reply.headers["x-model"]) == (200, "deepseek:b")


async def test_those_who_watch_the_session_see_it(
    first: Upstream, model: FallbackModel, open_harness: OpenHarness
) -> None:
    harness = await open_harness(model)
    await harness.door.chat("k", "hi")
    watching = harness.door.start("GET", "/v1/sessions/k/events")
    await watching.begun()
    first.then(BUSY)
    await harness.door.chat("k", "hi")
    await watching.until("turn_ended")
    assert [choice["model"] for choice in chosen(watching)] == ["deepseek:b"]


async def test_without_a_chain_nothing_is_said(first: Upstream, open_harness: OpenHarness) -> None:
    harness = await open_harness(model_at(first, "gemini:a"))
    reply = await harness.door.chat("k", "hi", {"x-events": "models"}, stream=True)
    assert "x-model" not in reply.headers
    assert chosen(reply) == []


# Once something was said --------------------------------------------------------------------------


async def test_an_answer_that_nobody_received_is_another_models_after_it_broke_off(
    first: Upstream, second: Upstream, model: FallbackModel, open_harness: OpenHarness
) -> None:
    first.then(spoken(text("Hel"), CUT))
    harness = await open_harness(model)
    reply = await harness.door.chat("k", "hi")
    assert (reply.status, reply.said, reply.headers["x-model"]) == (200, "Hello there", "deepseek:b")
    assert reply.headers["x-model-passed-over"] == "gemini:a (model_bad_answer)"
    assert (len(first.requests), len(second.requests)) == (1, 1)


async def test_who_was_shown_a_part_of_it_gets_an_error_and_no_second_answer(
    first: Upstream, second: Upstream, model: FallbackModel, open_harness: OpenHarness
) -> None:
    gate = Gate()
    first.then(spoken(text("Hel"), gate, CUT))
    harness = await open_harness(model)
    chatting = harness.door.chatting("k", "hi", stream=True)
    await chatting.until("Hel")
    gate.open()
    await chatting.done()
    assert second.requests == []
    assert '"error"' in chatting.text and "[DONE]" not in chatting.text


async def test_a_turn_that_is_stopped_keeps_what_was_said_and_who_said_it(
    first: Upstream, second: Upstream, model: FallbackModel, open_harness: OpenHarness
) -> None:
    first.then(BUSY)
    second.then(streamed(text("Hel"), Gate(), text("lo")))
    harness = await open_harness(model)
    chatting = harness.door.chatting("k", "hi", {"x-events": "models"}, stream=True)
    await chatting.until("Hel")
    await harness.door.call("POST", f"/v1/turns/{chatting.turn_id}/cancel")
    await chatting.done()
    (kept,) = (await harness.app.store.turn(chatting.turn_id)).messages
    assert (kept.text, kept.stop_reason, kept.model) == ("Hel", "incomplete", "deepseek:b")
    assert kept.passed_over is not None
    assert chosen(chatting)[0]["passed_over"] == [msgspec.structs.asdict(each) for each in kept.passed_over]


# What it costs ------------------------------------------------------------------------------------


def costing(words: str, prompt: int, completion: int) -> Say:
    return Say((words,), message=Message("assistant", (Text(words),), "stop", Usage(prompt, completion)))


async def test_each_step_is_charged_to_the_model_that_answered_it(open_harness: OpenHarness) -> None:
    dear = scripted(
        "openai:dear", scripted_call("calculate", '{"expression": "6*7"}'), ModelRateLimited("slow down")
    )
    cheap = scripted("groq:cheap", costing("42", 100, 10))
    prices = {"openai:dear": {"input": 100, "output": 200}, "groq:cheap": {"input": 1, "output": 2}}
    harness = await open_harness(chain(dear, cheap), prices=prices)
    reply = await harness.door.chat("k", "6*7?")
    assert (reply.said, reply.headers["x-model"]) == ("42", "groq:cheap")
    assert reply.json["usage"]["total_tokens"] == 125
    usage = (await harness.door.get("/v1/usage?group=model")).json
    rows = {
        row["model"]: (row["totals"]["turns"], row["totals"]["total_tokens"], row["totals"]["cost_usd"])
        for row in usage["data"]
    }
    assert rows == {"openai:dear": (0, 15, 0.002), "groq:cheap": (1, 110, 0.00012)}
    assert (usage["totals"]["turns"], usage["totals"]["cost_usd"]) == (1, 0.00212)
    metrics = (await harness.door.get("/metrics")).text
    for sample in (
        'nanobot_cost_dollars_total{model="openai:dear"} 0.002',
        'nanobot_cost_dollars_total{model="groq:cheap"} 0.00012',
        'nanobot_steps_total{model="openai:dear"} 1',
        'nanobot_steps_total{model="groq:cheap"} 1',
        'nanobot_model_failures_total{model="openai:dear",code="model_rate_limited"} 1',
    ):
        assert f"\n{sample}\n" in metrics


async def test_a_turn_that_is_taken_up_again_is_charged_once(open_harness: OpenHarness) -> None:
    dear = scripted(
        "openai:dear", scripted_call("calculate", '{"expression": "6*7"}'), ModelOverloaded("busy")
    )
    cheap = scripted("groq:cheap", ModelOverloaded("busy"), costing("42", 100, 10))
    harness = await open_harness(chain(dear, cheap))
    body = {"x-session-key": "k", "idempotency-key": "one"}
    assert (await harness.door.chat("k", "6*7?", body)).status == 503
    reply = await harness.door.chat("k", "6*7?", body)
    assert (reply.said, reply.headers["x-model"]) == ("42", "groq:cheap")
    usage = (await harness.door.get("/v1/usage?group=model")).json["data"]
    rows = {row["model"]: (row["totals"]["turns"], row["totals"]["total_tokens"]) for row in usage}
    assert rows == {"openai:dear": (1, 15), "groq:cheap": (0, 110)}


# What stays with whom -----------------------------------------------------------------------------


async def test_what_a_provider_wants_back_is_never_sent_to_another_one(
    first: Upstream, second: Upstream, model: FallbackModel, open_harness: OpenHarness
) -> None:
    signed = {"extra_content": {"google": {"thought_signature": "CANARY"}}}
    function = {"name": "calculate", "arguments": '{"expression": "6*7"}'}
    made = {"id": "c1", "type": "function", "function": function, **signed}
    first.then(spoken(chunk({"tool_calls": [made]}), finish()), BUSY)
    reasoned = chunk({"reasoning_content": "SECRET"})
    second.then(spoken(reasoned, call(0, "c2", "calculate", '{"expression": "1+1"}'), finish("tool_calls")))
    harness = await open_harness(model)
    reply = await harness.door.chat("k", "6*7?")
    assert (reply.status, reply.headers["x-model"]) == (200, "gemini:a")
    assert b"CANARY" not in second.requests[0].body
    sent = first.requests[-1].json["messages"]
    assert b"CANARY" in first.requests[-1].body and b"SECRET" not in first.requests[-1].body
    assert [message["role"] for message in sent[1:6]] == ["user", "assistant", "tool", "assistant", "tool"]


# What a model lacks -------------------------------------------------------------------------------


async def test_a_recording_goes_to_the_model_that_listens(open_harness: OpenHarness) -> None:
    deaf, listening = (
        scripted("one:a", "words", abilities=ALL - {"audio"}),
        scripted("two:b", "I hear it"),
    )
    harness = await open_harness(chain(deaf, listening))
    recording = {
        "type": "input_audio",
        "input_audio": {"data": base64.b64encode(files.WAV).decode(), "format": "wav"},
    }
    reply = await harness.door.chat("k", [{"role": "user", "content": [recording]}])
    assert (reply.status, reply.said, deaf.requests) == (200, "I hear it", [])
    assert reply.headers["x-model-passed-over"] == "one:a (model_lacks_ability)"


async def test_a_model_without_tools_stands_in_without_the_servers_own(open_harness: OpenHarness) -> None:
    plain = scripted("two:b", "hello", abilities=ALL - {"tools"})
    harness = await open_harness(chain(scripted("one:a", ModelOverloaded("busy")), plain))
    reply = await harness.door.chat("k", "hi")
    assert (reply.said, reply.headers["x-model"]) == ("hello", "two:b")
    assert plain.requests[0].tools == ()


async def test_it_does_not_stand_in_where_the_client_has_tools_and_the_first_error_is_told(
    open_harness: OpenHarness,
) -> None:
    plain = scripted("two:b", "hello", abilities=ALL - {"tools"})
    harness = await open_harness(chain(scripted("one:a", ModelOverloaded("busy")), plain))
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    reply = await harness.door.chat("k", "hi", tools=[tool])
    assert (reply.status, reply.error["code"], plain.requests) == (503, "model_overloaded", [])


async def test_a_model_that_holds_to_no_format_stands_in_and_its_answer_is_checked(
    open_harness: OpenHarness,
) -> None:
    loose = scripted("two:b", "no JSON", '{"a": 1}', abilities=ALL - {"json_object"})
    harness = await open_harness(chain(scripted("one:a", ModelOverloaded("busy")), loose))
    reply = await harness.door.chat("k", "hi", response_format={"type": "json_object"}, stream=True)
    assert (json.loads(reply.said), reply.headers["x-model"]) == ({"a": 1}, "two:b")
    assert len(loose.requests) == 2


async def test_a_model_with_a_small_window_is_shown_less(open_harness: OpenHarness) -> None:
    large = scripted("one:a", "noted", "noted", ModelOverloaded("busy"))
    small = scripted("two:b", "hello", context_tokens=2_000)
    harness = await open_harness(chain(large, small))
    await harness.door.chat("k", "first " + "x" * 6_000)
    await harness.door.chat("k", "second " + "x" * 6_000)
    reply = await harness.door.chat("k", "third")
    assert (reply.status, reply.said, reply.headers["x-model"]) == (200, "hello", "two:b")
    shown = small.requests[0].messages
    assert shown[-1].text.startswith("third") and len(shown) < 5
    large.requests.clear()


async def test_an_answer_that_stays_empty_is_left_to_the_next_model(open_harness: OpenHarness) -> None:
    silent = scripted("one:a", Say(message=Message("assistant", (), "stop", Usage(1, 0))))
    harness = await open_harness(chain(silent, scripted("two:b", "hello")))
    reply = await harness.door.chat("k", "hi")
    assert (reply.said, reply.headers["x-model"], len(silent.requests)) == ("hello", "two:b", 2)


# Errors and restarts ------------------------------------------------------------------------------


async def test_where_none_answers_the_error_names_them_all(
    first: Upstream, second: Upstream, model: FallbackModel, open_harness: OpenHarness
) -> None:
    first.then(refused(401, "Incorrect API key provided"))
    second.then(refused(429, "slow down", headers={"Retry-After": "40"}))
    harness = await open_harness(model)
    reply = await harness.door.chat("k", "hi")
    assert (reply.status, reply.error["code"], reply.headers["retry-after"]) == (
        429,
        "model_rate_limited",
        "40",
    )
    assert "gemini:a: model_refused_key" in reply.error["message"]
    assert "x-model" not in reply.headers


async def test_a_request_that_is_wrong_is_not_sent_to_another_model(
    first: Upstream, second: Upstream, model: FallbackModel, open_harness: OpenHarness
) -> None:
    first.then(refused(400, "the content was flagged by the content filter"))
    harness = await open_harness(model)
    assert (await harness.door.chat("k", "hi")).status == 400
    assert second.requests == []


async def test_a_model_that_is_too_slow_gives_way(
    first: Upstream, second: Upstream, open_harness: OpenHarness
) -> None:
    first.then(spoken(Gate()))
    slow = model_at(first, "gemini:a", timeouts=Timeouts(first_chunk_s=0.05))
    harness = await open_harness(chain(slow, model_at(second, "deepseek:b")))
    reply = await harness.door.chat("k", "hi")
    assert reply.headers["x-model-passed-over"] == "gemini:a (model_timeout)"


SETTINGS = """
[server]
port = 0
data = "{data}"

[model]
name = "openai:a"
base_url = "{first}"
api_key = "sk-one"
max_retries = 0
fallback = ["second"]

[models.second]
name = "openai:b"
base_url = "{second}"
api_key = "sk-two"
"""


class Process:
    """`nanobot serve` with the settings above, in a process that can be killed."""

    def __init__(self, folder: Path, first: Upstream, second: Upstream) -> None:
        self._folder = folder
        (folder / "nanobot.toml").write_text(
            SETTINGS.format(data=folder / "data", first=first.url, second=second.url)
        )

    async def start(self) -> str:
        """Return the server's address once it listens."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "nanobot",
            "serve",
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self._folder), "PYTHONPATH": str(Path.cwd())},
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        while "http://" not in (line := (await self._process.stdout.readline()).decode()):
            assert line, "it did not start"
        return line.split()[-1]

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="dies by SIGKILL")
async def test_a_turn_that_is_killed_between_two_models_is_answered_once(
    first: Upstream, second: Upstream, tmp_path: Path
) -> None:
    server = Process(tmp_path, first, second)
    second.then(streamed(text("never"), Gate()))
    first.then(BUSY)
    headers = {"x-session-key": "k", "idempotency-key": "one"}
    body = {"model": "nanobot", "messages": [{"role": "user", "content": "hi"}]}
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(6 * BOUND_S):
            url = await server.start()
            asking = asyncio.ensure_future(
                http.post(f"{url}/v1/chat/completions", json=body, headers=headers)
            )
            await second.asked(1)
            await server.kill()
            await asyncio.gather(asking, return_exceptions=True)
            first.then(BUSY)
            url = await server.start()
            async with http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response:
                answered = await response.json()
            assert answered["choices"][0]["message"]["content"] == "Hello there"
            assert response.headers["x-model"] == "openai:b"
            async with http.get(f"{url}/v1/sessions/k/messages") as response:
                stored = await response.json()
    finally:
        await server.kill()
    assert [message["content"] for message in stored["data"]] == ["hi", "Hello there"]
