"""The OpenAI-compatible provider against a real server on this machine: what it asks, and where."""

import asyncio
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from nanobot.core.errors import ModelLacksAbility, ModelRejectedRequest
from nanobot.core.message import user
from nanobot.core.model import Model, ModelRequest
from nanobot.core.turn import OutputFormat, Sampling
from nanobot.models.http import Timeouts
from nanobot.models.openai.chat import OpenAIChat
from tests.clock import PausedClock
from tests.unit.models.asking import failure, heard
from tests.unit.models.openai.asking import KEY, model_at
from tests.upstream import Gate, Reply, Upstream, refused, spoken, streamed, text

# What is asked ------------------------------------------------------------------------------------


async def test_the_request_goes_to_chat_completions_with_key_and_json(
    upstream: Upstream, model: OpenAIChat
) -> None:
    await heard(model)
    (asked,) = upstream.requests
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.body == (
        b'{"model":"test-model","stream":true,"stream_options":{"include_usage":true},'
        b'"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}]}'
    )


async def test_without_a_key_none_is_sent(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url + "/", clock, api_key=None)
    await heard(model)
    await model.close()
    assert "authorization" not in upstream.requests[0].headers
    assert upstream.requests[0].path == "/v1/chat/completions"


async def test_a_query_of_the_base_url_stays_behind_the_path(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url + "?api-version=1", clock)
    await heard(model)
    await model.close()
    assert upstream.requests[0].path == "/v1/chat/completions?api-version=1"


@pytest.mark.parametrize(
    "ending",
    [
        "/chat/completions",
        "/chat/completions/",
        "/chat/completions?a=1",
        "/Chat/Completions",
        "/completions",
        "/responses",
        "/embeddings",
    ],
)
async def test_a_base_url_with_the_path_of_an_operation_is_understood(
    upstream: Upstream, clock: PausedClock, ending: str
) -> None:
    model = model_at(upstream.url + ending, clock)
    await heard(model)
    await model.check()
    await model.close()
    assert [asked.path.partition("?")[0] for asked in upstream.requests] == [
        "/v1/chat/completions",
        "/v1/models",
    ]


@pytest.mark.parametrize("reply", [refused(404, "Not Found"), spoken(b"<html>welcome</html>")])
async def test_where_the_base_url_has_no_path_the_failure_says_which_one_is_usual(
    upstream: Upstream, clock: PausedClock, reply: Reply
) -> None:
    upstream.then(reply, reply)
    bare, whole = (model_at(url, clock) for url in (upstream.url.removesuffix("/v1"), upstream.url))
    assert "/v1" in (await failure(bare)).message
    assert "no path" not in (await failure(whole)).message
    await bare.close()
    await whole.close()


async def test_openai_alone_gets_its_own_fields(tmp_path: Path, clock: PausedClock) -> None:
    """`max_completion_tokens` and `prompt_cache_key` are OpenAI's; others get `max_tokens`."""
    request = ModelRequest("", (user("hi"),), sampling=Sampling(max_output_tokens=9), session_hint="hint")
    path = str(tmp_path / "s")
    async with Upstream(socket_path=path) as upstream:
        for url in ("http://api.openai.com/v1", "http://example.com/v1"):
            model = model_at(url, clock, socket_path=path)
            await heard(model, request)
            await model.close()
        openai, other = (asked.json for asked in upstream.requests)
    assert (openai["max_completion_tokens"], openai["prompt_cache_key"]) == (9, "hint")
    assert other["max_tokens"] == 9
    assert "max_tokens" not in openai
    assert not {"max_completion_tokens", "prompt_cache_key"} & set(other)


async def test_a_unix_socket_is_spoken_to_as_well(tmp_path: Path, clock: PausedClock) -> None:
    path = str(tmp_path / "s")
    async with Upstream(socket_path=path) as upstream:
        model = model_at("http://localhost/v1", clock, socket_path=path)
        assert (await heard(model))[1].text == "Hello there"
        await model.check()
        await model.close()
        assert [asked.path for asked in upstream.requests] == ["/v1/chat/completions", "/v1/models"]


async def test_extra_fields_are_sent_and_come_before_the_servers_own_settings(
    upstream: Upstream, clock: PausedClock
) -> None:
    model = model_at(upstream.url, clock, extra_body={"top_k": 3, "temperature": 0})
    await heard(model, ModelRequest("", (user("hi"),), sampling=Sampling(temperature=1.0)))
    await model.close()
    assert (upstream.requests[0].json["top_k"], upstream.requests[0].json["temperature"]) == (3, 0)


async def test_a_server_without_stream_options_is_asked_without_them_from_then_on(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock
) -> None:
    upstream.then(refused(400, "Unrecognized request argument supplied: stream_options"))
    assert (await heard(model))[1].text == "Hello there"
    await heard(model)
    assert ["stream_options" in asked.json for asked in upstream.requests] == [True, False, False]
    assert clock.pauses == []


async def test_a_server_that_still_complains_of_stream_options_is_told_once(
    upstream: Upstream, model: OpenAIChat
) -> None:
    upstream.then(refused(400, "bad stream_options"), refused(400, "bad stream_options"))
    assert isinstance(await failure(model), ModelRejectedRequest)
    assert len(upstream.requests) == 2


JSON = OutputFormat("json_schema", "x", msgspec.Raw(b'{"type":"object"}'))


async def test_a_server_without_response_format_says_so_and_does_not_claim_it_any_more(
    upstream: Upstream, model: OpenAIChat
) -> None:
    upstream.then(refused(400, "This response_format type is unavailable now"))
    assert "json_schema" in model.abilities
    assert isinstance(await failure(model, ModelRequest("", (user("hi"),), format=JSON)), ModelLacksAbility)
    assert "json_schema" in model.abilities, "until a request without it was answered"
    await heard(model, ModelRequest("", (user("hi"),), format=JSON, lacking=frozenset({"json_schema"})))
    assert "json_schema" not in model.abilities and "json_object" in model.abilities
    assert ["response_format" in asked.json for asked in upstream.requests] == [True, False]


async def test_a_server_that_does_not_like_the_schema_is_believed(
    upstream: Upstream, model: OpenAIChat
) -> None:
    upstream.then(refused(400, "Invalid schema for response_format 'x': additionalProperties is required"))
    assert isinstance(
        await failure(model, ModelRequest("", (user("hi"),), format=JSON)), ModelRejectedRequest
    )
    assert "json_schema" in model.abilities


async def test_a_body_of_megabytes_arrives_whole(upstream: Upstream, model: OpenAIChat) -> None:
    await heard(model, ModelRequest("", (user("x" * 3_000_000),)))
    assert len(upstream.requests[0].json["messages"][0]["content"]) == 3_000_000


async def test_one_connection_serves_one_call_after_another(upstream: Upstream, model: OpenAIChat) -> None:
    await model.warm()
    for _ in range(3):
        await heard(model)
    assert {asked.connection for asked in upstream.requests} == {1}


async def test_many_calls_run_side_by_side(upstream: Upstream, model: OpenAIChat) -> None:
    gates = [Gate() for _ in range(120)]
    upstream.then(*(streamed(gate, text("a")) for gate in gates))
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(heard(model)) for _ in gates]
        await asyncio.gather(*(gate.reached.wait() for gate in gates))
        for gate in gates:
            gate.open()
    assert {call.result()[1].text for call in calls} == {"a"}


async def test_cookies_are_not_kept(tmp_path: Path, clock: PausedClock) -> None:
    greeting = streamed(text("a"))
    async with Upstream(socket_path=str(tmp_path / "s")) as upstream:
        model = model_at("http://example.com/v1", clock, socket_path=str(tmp_path / "s"))
        upstream.then(Reply(greeting.steps, headers={**greeting.headers, "Set-Cookie": "a=b"}))
        await heard(model)
        await heard(model)
        await model.close()
        assert "cookie" not in upstream.requests[1].headers


# The value itself ---------------------------------------------------------------------------------


def test_it_is_a_model(clock: PausedClock) -> None:
    model: Model = model_at("http://h/v1", clock)
    assert (model.name, model.context_tokens) == ("test:test-model", 8192)


def test_aiohttp_is_not_loaded_before_it_is_needed() -> None:
    """It is the slowest import of all; `nanobot --help` and a local model do not pay for it."""
    code = "import sys, nanobot.models.openai.chat; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_timeouts_are_a_frozen_value() -> None:
    assert msgspec.structs.replace(Timeouts(), idle_s=1.0) == Timeouts(idle_s=1.0)
