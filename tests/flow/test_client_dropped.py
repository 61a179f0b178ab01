"""Nothing that a client sends is dropped in silence: names of participants, pictures and files in results."""

import json
from typing import Any

import pytest

from nanobot.context.history import CAME_WITH, SHOWN_BELOW
from nanobot.core.message import File, Image, Message, Part, Text, ToolCall, Usage
from nanobot.core.model import ModelRequest
from nanobot.models.anthropic.conversation import wire_messages
from nanobot.models.openai.canonical import canonical
from nanobot.testing import Say, ScriptedModel
from tests.asgi import Door, Exchange
from tests.harness import OpenHarness

PIXEL = "data:image/png;base64,iVBORw0KGgo="
VIEW = {"type": "function", "function": {"name": "view_image"}}
ASK = {"role": "user", "content": "What is in it?"}
GROUP: list[dict[str, Any]] = [
    {"role": "user", "name": "alice", "content": "I am 30"},
    {"role": "user", "name": "bob", "content": "I am 40"},
    {"role": "user", "content": "Who is 40?"},
]


def seen(request: ModelRequest) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in request.messages]


def viewing(*ids: str) -> Say:
    said: tuple[Part, ...] = tuple(ToolCall(id_, "view_image", f'{{"n":"{id_}"}}') for id_ in ids)
    return Say((), Message("assistant", said, "tool_calls", Usage(10, 5)))


async def respond(door: Door, items: list[dict[str, Any]], **fields: Any) -> Exchange:
    body = {"model": "nanobot", "conversation": "k", "input": items, **fields}
    return await door.call("POST", "/v1/responses", body=json.dumps(body).encode())


# Names --------------------------------------------------------------------------------------------


async def test_the_model_is_told_who_speaks(open_harness: OpenHarness) -> None:
    model = ScriptedModel("Bob.", "30.", "Alice.")
    door = (await open_harness(model)).door
    await door.chat("k", GROUP)
    assert seen(model.requests[0]) == [
        ("user", "alice: I am 30"),
        ("user", "bob: I am 40"),
        ("user", "Who is 40?"),
    ]
    said = {"role": "assistant", "content": "Bob."}
    reply = await door.chat("k", [*GROUP, said, {"role": "user", "name": "bob", "content": "And alice?"}])
    assert "x-history" not in reply.headers
    assert seen(model.requests[1])[3:] == [("assistant", "Bob."), ("user", "bob: And alice?")]
    listed = (await door.get("/v1/sessions/k/messages")).json["data"]
    assert [message.get("name") for message in listed][:3] == ["alice", "bob", None]
    assert listed[0]["content"] == "I am 30"


async def test_names_outlive_export_and_import(open_harness: OpenHarness) -> None:
    model = ScriptedModel()
    door = (await open_harness(model)).door
    await door.chat("k", GROUP)
    exported = (await door.get("/v1/sessions/k/export")).raw
    assert (await door.call("POST", "/v1/sessions/copy/import", body=exported)).status == 200
    await door.chat("copy", "Sure?")
    assert seen(model.requests[1])[0] == ("user", "alice: I am 30")


async def test_another_name_is_another_message(open_harness: OpenHarness) -> None:
    model = ScriptedModel("Hello.", "Hi.")
    door = (await open_harness(model)).door
    await door.chat("k", GROUP)
    said = {"role": "assistant", "content": "Hello."}
    changed = [{**GROUP[0], "name": "carol"}, *GROUP[1:], said, ASK]
    reply = await door.chat("k", changed)
    assert reply.headers["x-history"] == "replaced"
    assert seen(model.requests[1])[0] == ("user", "carol: I am 30")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ({"role": "user", "name": "alice", "content": "alice: here I am"}, "alice: here I am"),
        ({"role": "user", "name": "", "content": "here"}, "here"),
        ({"role": "user", "name": " al\nice ", "content": "here"}, "al ice: here"),
        ({"role": "user", "name": "小明", "content": [{"type": "text", "text": "here"}]}, "小明: here"),
        (
            {
                "role": "user",
                "name": "alice",
                "content": [{"type": "image_url", "image_url": {"url": PIXEL}}],
            },
            "alice:",
        ),
    ],
)
async def test_a_name_stands_once_before_what_is_said(
    open_harness: OpenHarness, message: dict[str, Any], shown: str
) -> None:
    model = ScriptedModel()
    door = (await open_harness(model)).door
    assert (await door.chat("k", [message])).status == 200
    assert seen(model.requests[0]) == [("user", shown)]


async def test_several_assistants_are_told_apart_and_a_single_one_is_not_named(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel()
    door = (await open_harness(model)).door
    one = [ASK, {"role": "assistant", "name": "writer", "content": "A draft."}, ASK]
    await door.chat("one", one)
    assert seen(model.requests[0])[1] == ("assistant", "A draft.")
    two = [*one[:2], {"role": "user", "content": "Check."}, {**one[1], "name": "critic"}, ASK]
    await door.chat("two", two)
    assert [text for role, text in seen(model.requests[1]) if role == "assistant"] == [
        "writer: A draft.",
        "critic: A draft.",
    ]
    await door.chat("three", [{"role": "system", "name": "example_user", "content": "Hi"}, ASK])
    assert "example_user: Hi" in model.requests[2].system


async def test_a_client_may_name_the_answers_that_it_got(open_harness: OpenHarness) -> None:
    door = (await open_harness(ScriptedModel("One."))).door
    await door.chat("k", [ASK])
    named = {"role": "assistant", "name": "assistant", "content": "One."}
    assert "x-history" not in (await door.chat("k", [ASK, named, ASK])).headers


async def test_a_name_without_end_is_refused(open_harness: OpenHarness) -> None:
    reply = await (await open_harness()).door.chat("k", [{**GROUP[0], "name": "a" * 257}])
    assert (reply.status, reply.error["param"]) == (400, "messages[0].name")


async def test_names_reach_a_provider_that_joins_neighbours(open_harness: OpenHarness) -> None:
    model = ScriptedModel()
    await (await open_harness(model)).door.chat("k", GROUP)
    (joined,) = canonical(model.requests[0].messages)
    assert joined.text == "alice: I am 30\n\nbob: I am 40\n\nWho is 40?"


# Pictures and files in results --------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a.png, 1x1", ""])
async def test_a_picture_in_a_result_follows_it(open_harness: OpenHarness, text: str) -> None:
    model = ScriptedModel(viewing("c1"), "A dot.", "Yes.")
    door = (await open_harness(model)).door
    reply = await door.chat("k", [ASK], tools=[VIEW])
    call = reply.json["choices"][0]["message"]
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    result = {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": parts}
    assert (await door.chat("k", [ASK, call, result], tools=[VIEW])).said == "A dot."
    *_, told, shown = model.requests[1].messages
    assert told.tool_results[0].content == (text or SHOWN_BELOW)
    assert shown == Message("user", (Text(CAME_WITH.format("view_image")), Image(PIXEL)))
    answer = {"role": "assistant", "content": "A dot."}
    again = await door.chat("k", [ASK, call, result, answer, ASK], tools=[VIEW])
    assert "x-history" not in again.headers
    assert model.requests[2].messages[3] == shown
    listed = (await door.get("/v1/sessions/k/messages")).json["data"]
    assert [part["type"] for part in listed[2]["content"]] == ["text", "image_url"]


async def test_pictures_of_parallel_calls_follow_all_the_results(open_harness: OpenHarness) -> None:
    model = ScriptedModel(viewing("c1", "c2"), "Two dots.")
    door = (await open_harness(model)).door
    items: list[dict[str, Any]] = [{"role": "user", "content": "Look."}]
    tools = [{"type": "function", "name": "view_image"}]
    made = (await respond(door, items, tools=tools)).json["output"]
    image = {"type": "input_image", "image_url": PIXEL}
    results = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": [image]} for call in made
    ]
    reply = await respond(door, [*items, *made, *results, {"role": "user", "content": "Now?"}], tools=tools)
    assert (reply.status, "x-history" in reply.headers) == (200, False)
    shown = model.requests[1].messages
    assert [message.role for message in shown] == ["user", "assistant", "tool", "tool", "user", "user"]
    assert [part for part in shown[4].parts if isinstance(part, Image)] == [Image(PIXEL), Image(PIXEL)]
    listed = (await door.get("/v1/conversations/k/items?order=asc")).json["data"]
    output = next(item["output"] for item in listed if item["type"] == "function_call_output")
    assert [part["type"] for part in output] == ["input_text", "input_image"]
    for wire in (wire_messages(shown), canonical(shown)):
        assert wire[-1].role == "user"
    exported = (await door.get("/v1/sessions/k/export")).raw
    assert (await door.call("POST", "/v1/sessions/copy/import", body=exported)).status == 200
    copied = (await door.get("/v1/sessions/copy/messages")).json["data"]
    kept = (await door.get("/v1/sessions/k/messages")).json["data"]
    assert [message["content"] for message in copied] == [message["content"] for message in kept]


async def test_a_file_in_a_result_is_read(open_harness: OpenHarness) -> None:
    model = ScriptedModel(viewing("c1"), "It says hi.")
    door = (await open_harness(model)).door
    (call,) = (await respond(door, [ASK], tools=[{"type": "function", "name": "view_image"}])).json["output"]
    file = {"type": "input_file", "filename": "a.txt", "file_data": "aGk="}
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": [file]}
    assert (await respond(door, [ASK, call, result])).status == 200
    assert model.requests[1].messages[-1].parts[1:] == (File("a.txt", "hi"),)
