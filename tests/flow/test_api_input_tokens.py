"""Counting what a request for a response would cost to read, and compaction, which there is none of."""

import json
from typing import Any

import pytest

from nanobot.testing import ScriptedModel
from tests.asgi import Door, Exchange
from tests.harness import OpenHarness

WORDS = "word " * 400


async def count(door: Door, **fields: Any) -> Exchange:
    body = json.dumps({"model": "nanobot", "input": "hello", **fields}).encode()
    return await door.call("POST", "/v1/responses/input_tokens", body=body)


async def tokens(door: Door, **fields: Any) -> int:
    reply = await count(door, **fields)
    assert reply.status == 200, reply.text
    assert list(reply.json) == ["object", "input_tokens"]
    assert reply.json["object"] == "response.input_tokens"
    return int(reply.json["input_tokens"])


async def test_everything_that_the_model_reads_is_counted_and_nothing_is_asked(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel()
    door = (await open_harness(model)).door
    least = await tokens(door)
    tool = {"type": "function", "name": "f", "description": WORDS, "parameters": {"type": "object"}}
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    file = {"type": "input_file", "filename": "a.txt", "file_data": "d29yZCB3b3JkIA=="}
    asked = {"role": "user", "content": "hello"}
    for fields in (
        {"input": WORDS},
        {"instructions": WORDS},
        {"tools": [tool]},
        {"input": [asked, {"role": "assistant", "content": WORDS}, asked]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hello"}, image]}]},
    ):
        assert await tokens(door, **fields) >= least + 400
    assert await tokens(door, input=[{"role": "user", "content": [file]}]) > least
    assert model.requests == []
    assert (await door.get("/v1/sessions")).json["data"] == []


async def test_a_conversation_counts_up_to_where_the_request_follows_it(open_harness: OpenHarness) -> None:
    door = (await open_harness(ScriptedModel("ok", "ok"))).door
    ids = []
    for words in ("hi", WORDS):
        body = json.dumps({"model": "nanobot", "input": words, "conversation": "a"}).encode()
        ids.append((await door.call("POST", "/v1/responses", body=body)).json["id"])
    least = await tokens(door)
    short = await tokens(door, previous_response_id=ids[0])
    assert least < short < least + 50
    assert await tokens(door, previous_response_id=ids[1]) == await tokens(door, conversation="a")
    assert await tokens(door, conversation="a") > short + 400
    assert await tokens(door, conversation="new") == least


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"model": "other"}, 404),
        ({"input": 7}, 400),
        ({"previous_response_id": "resp_01m8j396mn6x93bm4j5bttf8z2"}, 404),
    ],
)
async def test_what_could_not_be_asked_is_not_counted(
    open_harness: OpenHarness, fields: dict[str, Any], status: int
) -> None:
    assert (await count((await open_harness()).door, **fields)).status == status
