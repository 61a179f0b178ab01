"""Bodies as clients really write them: read for what they mean."""

import json
from typing import Any

import pytest

from nanobot.core.message import Image
from nanobot.testing import ScriptedModel
from tests.asgi import CHAT, Door
from tests.flow.paused import RETRY, PausedModel, until_asked
from tests.harness import OpenHarness

HELLO = {"model": "nanobot", "messages": [{"role": "user", "content": "hello"}]}
KEY = {"idempotency-key": "k1"}
USAGE = {"include_usage": True}


def written(text: str) -> bytes:
    """Return a body with `text` between the quotation marks of its message, as it is."""
    return b'{"model":"nanobot","messages":[{"role":"user","content":"%b"}]}' % text.encode()


# Streaming is no part of what is asked ------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ({}, {"stream": True}),
        ({"stream": True, "stream_options": USAGE}, {}),
        ({"stream": False}, {"stream": True, "stream_options": USAGE}),
        ({"stream": True, "stream_options": USAGE}, {"stream": True}),
    ],
)
async def test_a_request_is_known_again_when_only_its_streaming_differs(
    open_harness: OpenHarness, first: dict[str, Any], again: dict[str, Any]
) -> None:
    model = ScriptedModel("Hello there")
    door = (await open_harness(model)).door
    one = await door.chat("a", "stream", headers=KEY, **first)
    other = await door.chat("a", "stream", headers=KEY, **again)
    assert (other.status, other.said) == (200, one.said)
    assert other.turn_id == one.turn_id
    assert len(model.requests) == 1


@pytest.mark.parametrize("indent", [None, 2])
async def test_streaming_does_not_count_wherever_the_field_stands(
    open_harness: OpenHarness, indent: int | None
) -> None:
    model = ScriptedModel("Hello there")
    door = (await open_harness(model)).door
    bodies: tuple[dict[str, Any], ...] = (
        HELLO,
        {"stream": True, **HELLO},
        {"model": "nanobot", "stream": False, "messages": HELLO["messages"]},
        {"model": "nanobot", "stream": True, "messages": HELLO["messages"], "stream_options": USAGE},
    )
    turns = [
        (await door.post(json.dumps(body, indent=indent).encode(), headers=KEY)).turn_id for body in bodies
    ]
    assert len(set(turns)) == 1
    assert len(model.requests) == 1


async def test_words_about_streaming_in_a_message_count(open_harness: OpenHarness) -> None:
    model = ScriptedModel()
    door = (await open_harness(model)).door
    for text in ('"stream": true,', '"stream": false,', "stream", "streaming"):
        reply = await door.chat("a", text, headers=RETRY, stream=True)
        assert reply.status == 200
    assert len(model.requests) == 4
    assert (await door.chat("a", "stream on", headers=KEY, stream=True)).status == 200
    assert (await door.chat("a", "stream off", headers=KEY, stream=False)).status == 422


async def test_a_retry_is_known_again_when_only_its_streaming_differs(open_harness: OpenHarness) -> None:
    model = PausedModel()
    door = (await open_harness(model)).door
    first = door.chatting("a", "hello", stream=True)
    await until_asked(model)
    again = door.chatting("a", "hello", RETRY)
    model.gate.set()
    one, other = await door.each([first, again])
    assert one.said == other.said == "Hello there"
    assert len(model.requests) == 1


async def test_a_response_is_known_again_when_only_its_streaming_differs(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel("Hello there")
    door = (await open_harness(model)).door
    body = {"model": "nanobot", "input": "hello", "conversation": "a"}
    one = await responded(door, body, KEY)
    options = {"stream": True, "stream_options": {"include_obfuscation": False}}
    again = await responded(door, {**body, **options}, KEY)
    assert (one.status, again.status) == (200, 200)
    assert again.turn_id == one.turn_id
    assert len(model.requests) == 1


async def responded(door: Door, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    return await door.call("POST", "/v1/responses", body=json.dumps(body).encode(), headers=headers or {})


# Text that was cut, numbers with a point ----------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (r"cut \ud83d", "cut \ufffd"),
        (r"\udc00 cut", "\ufffd cut"),
        (r"\uD83D\uD83D\uDE00", "\ufffd\U0001f600"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
        (r"\ud83dx\ude00 \u00e9", "\ufffdx\ufffd \u00e9"),
        (r"\\ud83d \\\ud83d", "\\ud83d \\\ufffd"),
        (r"\\ud83d\ude00", "\\ud83d\ufffd"),
        (r"\\\\ud83d \ud83d\ude00 \ud83d\n", "\\\\ud83d \U0001f600 \ufffd\n"),
    ],
)
async def test_half_of_a_surrogate_pair_is_read_as_the_replacement_character(
    open_harness: OpenHarness, sent: str, read: str
) -> None:
    model = ScriptedModel()
    reply = await (await open_harness(model)).door.post(written(sent))
    assert reply.status == 200
    assert [message.text for message in model.requests[0].messages] == [read]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/responses", rb'{"model":"nanobot","input":"cut \ud83d"}'),
        ("POST", "/v1/conversations", rb'{"metadata":{"title":"cut \ud83d"}}'),
        ("POST", "/v1/sessions/a", rb'{"title":"cut \ud83d"}'),
        (
            "POST",
            "/v1/sessions/b/import",
            b'{"format":"nanobot.session","version":2}\n' + rb'{"role":"user","content":"cut \ud83d"}',
        ),
    ],
)
async def test_half_of_a_surrogate_pair_in_a_text_is_read_on_every_route(
    open_harness: OpenHarness, method: str, path: str, body: bytes
) -> None:
    door = (await open_harness()).door
    await door.chat("a", "hello")
    assert (await door.call(method, path, body=body)).status in (200, 201)


@pytest.mark.parametrize(
    "body", [written("x").replace(b"x", b"\xed\xa0\xbd"), written("x\\ud83"), b"\\ud83d"]
)
async def test_what_is_no_text_at_all_is_refused(open_harness: OpenHarness, body: bytes) -> None:
    reply = await (await open_harness()).door.post(body)
    assert (reply.status, reply.error["message"]) == (400, "Invalid JSON body")


async def test_a_whole_number_may_be_written_with_a_point(open_harness: OpenHarness) -> None:
    model = ScriptedModel()
    door = (await open_harness(model)).door
    fields = {"max_tokens": 100.0, "seed": 7.0, "n": 1.0, "top_logprobs": 0.0}
    assert (await door.post({**HELLO, **fields})).status == 200
    sampling = model.requests[0].sampling
    assert (sampling.max_output_tokens, sampling.seed) == (100, 7)
    assert (await responded(door, {"model": "nanobot", "input": "x", "max_output_tokens": 9.0})).status == 200
    reply = await door.post({**HELLO, "max_tokens": 100.5})
    assert (reply.status, reply.error["param"]) == (400, "max_tokens")
    reply = await door.post({**HELLO, "max_tokens": 0.0})
    assert (reply.status, reply.error["param"]) == (400, "max_tokens")


@pytest.mark.parametrize("effort", ["max", "xhigh", "ultra"])
async def test_an_effort_is_the_providers_affair(open_harness: OpenHarness, effort: str) -> None:
    model = ScriptedModel()
    door = (await open_harness(model)).door
    assert (await door.post({**HELLO, "reasoning_effort": effort})).status == 200
    reply = await responded(door, {"model": "nanobot", "input": "x", "reasoning": {"effort": effort}})
    assert reply.json["reasoning"]["effort"] == effort
    assert [request.sampling.reasoning_effort for request in model.requests] == [effort, effort]


@pytest.mark.parametrize(
    "head", ["data:image/jpeg;charset=utf-8;base64,", "data:image/jpeg;name=a.jpg;base64,"]
)
async def test_an_image_may_come_with_parameters_that_no_provider_takes(
    open_harness: OpenHarness, head: str
) -> None:
    model = ScriptedModel()
    door = (await open_harness(model)).door
    content = [{"type": "image_url", "image_url": {"url": head + "/9j/4AAQ"}}]
    assert (await door.chat("a", [{"role": "user", "content": content}])).status == 200
    image = {"type": "input_image", "image_url": head + "/9j/4AAQ"}
    said = [{"role": "user", "content": [image]}]
    assert (await responded(door, {"model": "nanobot", "input": said, "conversation": "b"})).status == 200
    for request in model.requests:
        assert request.messages[-1].parts == (Image("data:image/jpeg;base64,/9j/4AAQ"),)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/models", "/v1/models"),
        ("/models/nanobot", "/v1/models/nanobot"),
        ("/chat/completions", CHAT),
        ("/responses", "/v1/responses"),
        ("/v1/v1/chat/completions", CHAT),
        ("/v1//chat/completions", CHAT),
        ("//v1/chat/completions", CHAT),
        ("/v1/chat/completions/", CHAT),
        ("/v1/chat/completions%20", CHAT),
        ("/v1/chat/completions%0A", CHAT),
        ("/V1/chat/completions", CHAT),
        ("/api/v1/chat/completions", CHAT),
        ("/openai/v1/models/nanobot", "/v1/models/nanobot"),
        ("/v1/chat/completions/chat/completions", CHAT),
        ("/v1/chat/completions/v1/chat/completions", CHAT),
        ("/openai/deployments/nanobot/chat/completions", CHAT),
    ],
)
async def test_a_base_url_that_is_not_the_right_one_is_answered_with_a_hint(
    open_harness: OpenHarness, path: str, meant: str
) -> None:
    door = (await open_harness()).door
    reply = await door.call("POST", path, body=b"{}")
    assert (reply.status, reply.error["code"]) == (404, "not_found")
    assert f"did you mean {meant}?" in reply.error["message"]
    for other in ("/v2/models", "/v1/embeddings", "/v1/completions", "/v1", "/", "/chat"):
        assert "did you mean" not in (await door.get(other)).error["message"], other


async def test_a_fingerprint_that_there_is_none_of_is_left_out(open_harness: OpenHarness) -> None:
    door = (await open_harness()).door
    assert "system_fingerprint" not in (await door.post(HELLO)).text
    assert "system_fingerprint" not in (await door.post({**HELLO, "stream": True})).text
