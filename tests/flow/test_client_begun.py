"""A request that ends with the assistant's words: they are the beginning of the answer, which goes on."""

import json
from typing import Any

import pytest

from nanobot.core.message import Message, Text
from nanobot.models.openai.canonical import GO_ON, canonical
from nanobot.testing import ScriptedModel
from tests.asgi import Exchange
from tests.harness import Harness, OpenHarness

ROLES = {"U": "user", "A": "assistant", "S": "system"}


def said(lines: str) -> list[dict[str, Any]]:
    return [{"role": ROLES[line[0]], "content": line[2:]} for line in lines.split("|")]


def seen(model: ScriptedModel, index: int = -1) -> str:
    return "|".join(f"{each.role[0].upper()}:{each.text}" for each in model.requests[index].messages)


async def ask(harness: Harness, lines: str, **fields: Any) -> Exchange:
    return await harness.door.chat("k", said(lines), **fields)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_answer_is_what_follows_its_beginning(open_harness: OpenHarness, stream: bool) -> None:
    model = ScriptedModel(" upon a time.", "The end.")
    harness = await open_harness(model)
    reply = await ask(harness, "U:Tell me a story|A:Once", stream=stream)
    assert (reply.status, reply.said, "x-history" in reply.headers) == (200, " upon a time.", False)
    assert seen(model) == "U:Tell me a story|A:Once"
    reply = await ask(harness, "U:Tell me a story|A:Once upon a time.|U:And then?")
    assert "x-history" not in reply.headers
    assert seen(model) == "U:Tell me a story|A:Once upon a time.|U:And then?"


async def test_a_provider_is_asked_to_go_on_in_words(open_harness: OpenHarness) -> None:
    model = ScriptedModel()
    await ask(await open_harness(model), "U:Tell me a story|A:Once")
    *_, begun, last = canonical(model.requests[0].messages)
    assert (begun.text, last) == ("Once", Message("user", (Text(GO_ON),)))


@pytest.mark.parametrize(
    ("before", "lines", "shown", "history"),
    [
        (("U:q1",), "U:q1|A:a1", "U:q1|A:a1", None),
        (("U:q1",), "U:q1|A:a1 edited", "U:q1|A:a1 edited", "rewound"),
        (("U:q1", "U:q2"), "U:q1|A:a1|U:q2|A:a2", "U:q1|A:a1|U:q2|A:a2", None),
        (("U:q1", "U:q2"), "U:q2|A:a2", "U:q1|A:a1|U:q2|A:a2", None),
        (("U:q1", "U:q2"), "A:a1|U:q2|A:a2, cut", "U:q1|A:a1|U:q2|A:a2, cut", "rewound"),
        (("U:q1", "U:q2"), "U:q1|A:a1", "U:q1|A:a1", "rewound"),
        (("U:q1", "U:q2", "U:q3"), "U:q2|A:a2", "U:q1|A:a1|U:q2|A:a2", "rewound"),
        (("U:q1", "U:q1|A:a1|U:q2", "U:q1|A:a1|U:q3"), "U:q2|A:a2", "U:q1|A:a1|U:q2|A:a2", "rewound"),
        (("U:q1", "U:q2"), "U:q1|A:Well", "U:q1|A:a1|U:q2|A:a2|U:q1|A:Well", None),
        (("U:q1", "U:q2"), "A:a1", "U:q1|A:a1|U:q2|A:a2|A:a1", None),
        (("U:q1",), "U:q1|A:a1|U:q2|A:Well", "U:q1|A:a1|U:q2|A:Well", None),
        (("U:q1",), "U:q2|A:Well", "U:q1|A:a1|U:q2|A:Well", None),
        ((), "U:q0|A:a0|U:q1|A:Well", "U:q0|A:a0|U:q1|A:Well", "imported"),
        ((), "A:Well", "A:Well", None),
        ((), "U:q1|A:Well|A:", "U:q1|A:Well", None),
        ((), "U:q1|A:", "U:q1", None),
    ],
)
async def test_what_came_before_the_beginning_is_compared_as_ever(
    open_harness: OpenHarness, before: tuple[str, ...], lines: str, shown: str, history: str | None
) -> None:
    model = ScriptedModel("a1", "a2", "a3", "a4")
    harness = await open_harness(model)
    for line in before:
        await ask(harness, line)
    reply = await ask(harness, lines)
    assert (reply.status, reply.headers.get("x-history")) == (200, history)
    assert seen(model) == shown


async def test_an_answer_may_be_continued_again_and_again(open_harness: OpenHarness) -> None:
    model = ScriptedModel("a", "b", "c", "d")
    harness = await open_harness(model)
    assert (await ask(harness, "U:q1")).said == "a"
    assert (await ask(harness, "U:q1|A:a")).said == "b"
    assert (await ask(harness, "U:q1|A:ab")).said == "c"
    reply = await ask(harness, "U:q1|A:abc|U:q2")
    assert (reply.said, "x-history" in reply.headers) == ("d", False)
    assert seen(model) == "U:q1|A:abc|U:q2"


async def test_the_whole_conversation_is_continued_at_its_end_and_was_not_rewound(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel("a1", "a2", " more", " and more")
    harness = await open_harness(model)
    whole = {"x-history-mode": "whole"}
    for line in ("U:q1", "U:q1|A:a1|U:q2"):
        await harness.door.chat("k", said(line), whole)
    reply = await harness.door.chat("k", said("U:q1|A:a1|U:q2|A:a2"), whole)
    assert (reply.said, reply.headers.get("x-history")) == (" more", None)
    reply = await harness.door.chat("k", said("U:q2|A:a2 more"), whole)
    assert (reply.said, reply.headers.get("x-history")) == (" and more", "rewound")
    assert seen(model) == "U:q2|A:a2 more"


async def test_a_continued_answer_is_known_in_a_copy_of_its_session(open_harness: OpenHarness) -> None:
    model = ScriptedModel(" upon a time.", "The end.")
    harness = await open_harness(model)
    await ask(harness, "U:Tell me a story|A:Once")
    exported = (await harness.door.get("/v1/sessions/k/export")).raw
    await harness.door.call("POST", "/v1/sessions/k/fork", body=b'{"key":"fork"}')
    await harness.door.call("POST", "/v1/sessions/copy/import", body=exported)
    for key in ("fork", "copy"):
        reply = await harness.door.chat(key, said("U:Tell me a story|A:Once upon a time.|U:And then?"))
        assert (reply.status, reply.headers.get("x-history")) == (200, None)


async def test_a_request_without_anybody_who_speaks_is_refused(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    for lines in ("S:Be brief.", "S:Be brief.|A: "):
        reply = await ask(harness, lines)
        assert (reply.status, reply.error["message"]) == (
            400,
            "messages must contain at least one user message",
        )


async def test_a_response_is_continued_too(open_harness: OpenHarness) -> None:
    model = ScriptedModel(" upon a time.", "The end.")
    harness = await open_harness(model)
    items = said("U:Tell me a story|A:Once")
    body = {"model": "nanobot", "conversation": "k", "input": items}
    reply = await harness.door.call("POST", "/v1/responses", body=json.dumps(body).encode())
    assert reply.json["output"][0]["content"][0]["text"] == " upon a time."
    again = await ask(harness, "U:Tell me a story|A:Once upon a time.|U:And then?")
    assert "x-history" not in again.headers


async def test_calls_at_the_end_that_nobody_answered_are_shown_without_results(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel("Then not.")
    harness = await open_harness(model)
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    reply = await harness.door.chat("k", messages)
    assert (reply.status, reply.said) == (200, "Then not.")
    assert [each.role for each in model.requests[0].messages] == ["user", "assistant", "tool"]


async def test_an_answer_that_leaves_no_trace_is_continued(open_harness: OpenHarness) -> None:
    model = ScriptedModel("a1", " more", "a3")
    harness = await open_harness(model)
    await ask(harness, "U:q1")
    assert (await ask(harness, "U:q1|A:a1", store=False)).said == " more"
    assert seen(model) == "U:q1|A:a1"
    assert "x-history" not in (await ask(harness, "U:q1|A:a1|U:q2")).headers


async def test_an_earlier_answer_that_leaves_no_trace_is_continued_as_the_list_has_it(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel("a1", "a2", " more", "a3")
    harness = await open_harness(model)
    await ask(harness, "U:q1")
    await ask(harness, "U:q2")
    assert (await ask(harness, "U:q1|A:a1", store=False)).said == " more"
    assert seen(model) == "U:q1|A:a1"
    assert "x-history" not in (await ask(harness, "U:q1|A:a1|U:q2|A:a2|U:q3")).headers


async def test_what_left_no_trace_is_no_answer_that_a_list_leads_back_to(open_harness: OpenHarness) -> None:
    model = ScriptedModel("a1", "hidden", "more")
    harness = await open_harness(model)
    await ask(harness, "U:q1")
    await ask(harness, "U:q2", store=False)
    reply = await ask(harness, "U:q2|A:hidden")
    assert "x-history" not in reply.headers
    assert seen(model) == "U:q1|A:a1|U:q2|A:hidden"
