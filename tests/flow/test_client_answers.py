"""What clients send back as the assistant's: pictures, files, refusals, calls of the time before tools."""

import json
from typing import Any

import pytest

from nanobot.context.history import CAME_WITH_ANSWER
from nanobot.core.message import File, Image
from nanobot.testing import ScriptedModel
from tests.flow.test_api_tools import message, shown
from tests.flow.test_client_history import says
from tests.harness import OpenHarness

PICTURE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WITH_PICTURE: dict[str, Any] = {"type": "image_url", "image_url": {"url": PICTURE}}
WITH_FILE: dict[str, Any] = {
    "type": "file",
    "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,aGVsbG8="},
}


def answer(*content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content) or None, **fields}


def body(items: list[dict[str, Any]]) -> bytes:
    return json.dumps({"model": "nanobot", "input": items}).encode()


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


@pytest.mark.parametrize("said", ["here", ""])
@pytest.mark.parametrize("part", [WITH_PICTURE, WITH_FILE], ids=["picture", "file"])
async def test_what_came_with_an_answer_is_seen_behind_it(
    open_harness: OpenHarness, part: dict[str, Any], said: str
) -> None:
    model = ScriptedModel("a1", "a2")
    harness = await open_harness(model)
    sent = [says("draw"), answer(*([words(said)] if said else []), part), says("nice")]
    reply = await harness.door.chat("k", sent)
    spoken = [("assistant", "here")] if said else []
    assert shown(model.requests[-1]) == [
        *(("user", "draw"), *spoken),
        *(("user", CAME_WITH_ANSWER), ("user", "nice")),
    ]
    (seen,) = (
        part
        for said_ in model.requests[-1].messages
        for part in said_.parts
        if isinstance(part, Image | File)
    )
    assert seen.url == PICTURE if isinstance(seen, Image) else (seen.name, seen.text) == ("a.txt", "hello")
    reply = await harness.door.chat("k", [*sent, message(reply), says("more")])
    assert "x-history" not in reply.headers


@pytest.mark.parametrize("content", [None, "", "No."])
async def test_a_refusal_is_what_the_assistant_said(open_harness: OpenHarness, content: str | None) -> None:
    model = ScriptedModel("a1")
    harness = await open_harness(model)
    refused = {"role": "assistant", "content": content, "refusal": "I will not."}
    await harness.door.chat("k", [says("q"), refused, says("why?")])
    assert shown(model.requests[-1])[1] == ("assistant", f"{content or ''}I will not.")


async def test_functions_of_the_time_before_tools_are_seen_as_calls(open_harness: OpenHarness) -> None:
    model = ScriptedModel("a1", "a2")
    harness = await open_harness(model)
    sent = [says("Oslo? Rome?")]
    for city, weather in (("Oslo", "rain"), ("Rome", "sun")):
        call = {"name": "get_weather", "arguments": f'{{"city":"{city}"}}'}
        sent += [
            {"role": "assistant", "content": None, "function_call": call},
            {"role": "function", "name": "get_weather", "content": weather},
        ]
    reply = await harness.door.chat("k", [*sent, answer(words("done")), says("next")])
    assert shown(model.requests[-1])[1:-2] == [
        ("assistant", 'get_weather({"city":"Oslo"})'),
        ("tool", "rain"),
        ("assistant", 'get_weather({"city":"Rome"})'),
        ("tool", "sun"),
    ]
    again = [*sent, answer(words("done")), says("next"), message(reply), says("more")]
    assert "x-history" not in (await harness.door.chat("k", again)).headers


async def test_the_result_of_a_function_names_it(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    reply = await harness.door.chat("k", [says("q"), {"role": "function", "content": "rain"}])
    assert (reply.status, reply.error["param"]) == (400, "messages[1].name")


@pytest.mark.parametrize("role", ["system", "developer"])
@pytest.mark.parametrize("part", [WITH_PICTURE, WITH_FILE], ids=["picture", "file"])
async def test_instructions_are_text(open_harness: OpenHarness, role: str, part: dict[str, Any]) -> None:
    """Nothing else of them would reach the model."""
    harness = await open_harness()
    reply = await harness.door.chat("k", [{"role": role, "content": [words("look"), part]}, says("q")])
    assert (reply.status, reply.error["param"]) == (400, "messages[0].content[1]")
    assert role in reply.error["message"]


async def test_instructions_of_a_response_are_text(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    picture = {"type": "input_image", "image_url": PICTURE}
    items: list[dict[str, Any]] = [
        {"role": "developer", "content": [picture]},
        {"role": "user", "content": "q"},
    ]
    reply = await harness.door.call("POST", "/v1/responses", body=body(items), headers={"x-session-key": "k"})
    assert (reply.status, reply.error["param"]) == (400, "input[0].content[0]")


@pytest.mark.parametrize("detail", ["auto", "low", "high", "original"])
async def test_a_picture_may_be_looked_at_as_closely_as_openai_has_words_for(
    open_harness: OpenHarness, detail: str
) -> None:
    model = ScriptedModel("a1")
    harness = await open_harness(model)
    part = {"type": "image_url", "image_url": {"url": PICTURE, "detail": detail}}
    reply = await harness.door.chat("k", [{"role": "user", "content": [part]}])
    assert reply.status == 200, reply.text
    assert model.requests[-1].messages[-1].parts == (Image(PICTURE, detail),)  # type: ignore[arg-type]
    items = [{"role": "user", "content": [{"type": "input_image", "image_url": PICTURE, "detail": detail}]}]
    reply = await harness.door.call("POST", "/v1/responses", body=body(items), headers={"x-session-key": "r"})
    assert reply.status == 200, reply.text
