"""The client's own tools: called by the model, run by the client, answered with its next request."""

import asyncio
import json
from typing import Any

import pytest

from nanobot.core.errors import ModelLacksAbility
from nanobot.core.message import Message, Part, Text, ToolCall, Usage
from nanobot.core.model import ModelRequest
from nanobot.testing import Say, ScriptedModel, call
from tests.asgi import Exchange
from tests.harness import Harness, OpenHarness

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
MAIL = {"type": "function", "function": {"name": "send_mail"}}
OWN = [
    *("current_time", "calculate", "read_file", "update_plan", "remember", "recall", "forget"),
    *("write_file", "edit_file", "apply_patch", "list_files", "find_files", "grep"),
    *("read_skill", "web_fetch", "find_tools"),
]
"""The server's own tools, as an able model is offered them."""
ASK = {"role": "user", "content": "How is the weather in Oslo?"}


def calls(*wanted: tuple[str, str, str], text: str = "") -> Say:
    """Return the scripted answer that makes the calls `(id, name, arguments)` in one step."""
    said: tuple[Part, ...] = (Text(text),) if text else ()
    return Say(
        (text,) if text else (),
        Message("assistant", (*said, *(ToolCall(*one) for one in wanted)), "tool_calls", Usage(10, 5)),
    )


def result(id_: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": content}


def message(reply: Exchange) -> dict[str, Any]:
    assert reply.status == 200, reply.text
    return dict(reply.json["choices"][0]["message"])


def shown(request: ModelRequest) -> list[tuple[str, str]]:
    """What the model was shown, a line a message."""
    return [
        (
            said.role,
            " ".join(
                [
                    said.text,
                    *(f"{one.name}({one.arguments})" for one in said.tool_calls),
                    *(found.content for found in said.tool_results),
                ]
            ).strip(),
        )
        for said in request.messages
    ]


ONE = calls(("call00001", "get_weather", '{"city":"Oslo"}'))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_a_limit_cut_off_says_so(open_harness: OpenHarness, *, stream: bool) -> None:
    """Its arguments break off: a client that runs it, or reads them, must know."""
    cut = Say(message=Message("assistant", (ToolCall("call00001", "get_weather", '{"city":"Os'),), "length"))
    harness = await open_harness(ScriptedModel(cut, cut))
    reply = await harness.door.chat("k", [ASK], tools=[WEATHER], stream=stream, max_tokens=5)
    choice = (reply.chunks[-1] if stream else reply.json)["choices"][0]
    assert choice["finish_reason"] == "length"
    function: dict[str, Any] = {"type": "function", "name": "get_weather"}
    asked = {"model": "nanobot", "input": "Rain?", "tools": [function], "max_output_tokens": 16}
    reply = await harness.door.call("POST", "/v1/responses", body=json.dumps(asked).encode())
    assert (reply.json["status"], reply.json["incomplete_details"]) == (
        "incomplete",
        {"reason": "max_output_tokens"},
    )


async def test_a_call_of_the_clients_tool_ends_the_answer_and_its_result_goes_on(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(ONE, "It rains in Oslo.")
    harness = await open_harness(model)
    reply = await harness.door.chat("k", [ASK], tools=[WEATHER])
    assert reply.json["choices"][0]["finish_reason"] == "tool_calls"
    assert message(reply) == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call00001",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'},
            }
        ],
        "refusal": None,
        "annotations": [],
    }
    assert [tool.name for tool in model.requests[0].tools] == [*OWN, "get_weather"]
    assert model.requests[0].tools[-1].schema == WEATHER["function"]["parameters"]  # type: ignore[index]
    after = await harness.door.chat("k", [result("call00001", "rain")], tools=[WEATHER])
    assert after.said == "It rains in Oslo."
    assert shown(model.requests[1]) == [
        ("user", ASK["content"]),
        ("assistant", 'get_weather({"city":"Oslo"})'),
        ("tool", "rain"),
    ]


async def test_a_client_that_sends_its_whole_history_goes_on_just_the_same(open_harness: OpenHarness) -> None:
    model = ScriptedModel(ONE, "It rains.", "You are welcome.")
    harness = await open_harness(model)
    history = [
        ASK,
        message(await harness.door.chat("k", [ASK], tools=[WEATHER])),
        result("call00001", "rain"),
    ]
    history.append(message(await harness.door.chat("k", history, tools=[WEATHER])))
    reply = await harness.door.chat("k", [*history, {"role": "user", "content": "Thanks"}], tools=[WEATHER])
    assert "x-history" not in reply.headers
    assert [role for role, _ in shown(model.requests[-1])] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]


async def test_several_calls_are_handed_over_together_and_a_missing_result_is_told_as_not_provided(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(
        calls(
            ("callOslo1", "get_weather", '{"city":"Oslo"}'), ("callRome1", "get_weather", '{"city":"Rome"}')
        ),
        "Rain in Oslo.",
    )
    harness = await open_harness(model)
    reply = await harness.door.chat("k", [ASK], tools=[WEATHER])
    assert [one["id"] for one in message(reply)["tool_calls"]] == ["callOslo1", "callRome1"]
    assert (await harness.door.chat("k", [result("callOslo1", "rain")])).said == "Rain in Oslo."
    assert shown(model.requests[1])[2:] == [
        ("tool", "rain"),
        ("tool", "No result was provided for this call."),
    ]


async def test_a_user_who_speaks_instead_of_the_tool_is_answered(open_harness: OpenHarness) -> None:
    model = ScriptedModel(ONE, "As you like.")
    harness = await open_harness(model)
    await harness.door.chat("k", [ASK], tools=[WEATHER])
    assert (await harness.door.chat("k", "Never mind")).said == "As you like."
    assert shown(model.requests[1])[-2:] == [
        ("tool", "No result was provided for this call."),
        ("user", "Never mind"),
    ]


async def test_results_and_a_users_message_may_come_together(open_harness: OpenHarness) -> None:
    model = ScriptedModel(ONE, "Done.")
    harness = await open_harness(model)
    await harness.door.chat("k", [ASK], tools=[WEATHER])
    await harness.door.chat("k", [result("call00001", "rain"), {"role": "user", "content": "And be brief"}])
    assert shown(model.requests[1])[-2:] == [("tool", "rain"), ("user", "And be brief")]


async def test_a_result_for_an_unknown_call_is_refused_and_the_session_lives_on(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(ONE, "It rains.")
    harness = await open_harness(model)
    reply = await harness.door.chat("k", [result("call_9", "x")])
    assert (reply.status, reply.error["code"], reply.error["param"]) == (
        400,
        "unknown_tool_call",
        "tool_call_id",
    )
    await harness.door.chat("k", [ASK], tools=[WEATHER])
    reply = await harness.door.chat("k", [result("call_9", "x")])
    assert (
        reply.status == 400 and "'call_9'" in reply.error["message"] and "call00001" in reply.error["message"]
    )
    assert (await harness.door.chat("k", [result("call00001", "rain")])).said == "It rains."
    assert (await harness.door.chat("k", [result("call00001", "rain")], temperature=1)).status == 400, (
        "it has its result already"
    )


@pytest.mark.parametrize("written", ["functions.{}:0", "default_api.{}", "{}<|channel|>commentary"])
async def test_a_call_with_something_around_the_name_is_one_of_that_tool(
    open_harness: OpenHarness, written: str
) -> None:
    """Whichever provider it comes from, and whoever runs it."""
    own = ("s", written.format("calculate"), '{"expression":"6*7"}')
    theirs = ("callOslo1", written.format("get_weather"), '{"city":"Oslo"}')
    model = ScriptedModel(calls(own, theirs), "Rain, 42.")
    harness = await open_harness(model)
    said = message(await harness.door.chat("k", [ASK], tools=[WEATHER]))
    assert [call["function"]["name"] for call in said["tool_calls"]] == ["get_weather"]
    reply = await harness.door.chat("k", [ASK, said, result("callOslo1", "rain")], tools=[WEATHER])
    assert reply.said == "Rain, 42."
    assert sorted(shown(model.requests[-1])[2:]) == [("tool", "42"), ("tool", "rain")]


async def test_calls_of_both_kinds_in_one_step_are_run_where_they_belong(open_harness: OpenHarness) -> None:
    model = ScriptedModel(
        calls(
            ("s", "calculate", '{"expression":"6*7"}'),
            ("callOslo1", "get_weather", '{"city":"Oslo"}'),
            text="Let me see.",
        ),
        "Rain, 42.",
    )
    harness = await open_harness(model)
    first = await harness.door.chat("k", [ASK], tools=[WEATHER])
    said = message(first)
    assert said["content"] == "Let me see." and [one["id"] for one in said["tool_calls"]] == ["callOslo1"], (
        "the server's own call is its own business"
    )
    reply = await harness.door.chat("k", [ASK, said, result("callOslo1", "rain")], tools=[WEATHER])
    assert reply.said == "Rain, 42." and "x-history" not in reply.headers
    assert shown(model.requests[1])[2:] == [("tool", "42"), ("tool", "rain")]


async def test_a_name_that_the_server_has_too_is_the_clients_in_that_turn_alone(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(
        calls(("callOslo1", "calculate", '{"x":1}')), "Fine.", call("calculate", '{"expression":"6*7"}'), "42"
    )
    harness = await open_harness(model)
    own = {"type": "function", "function": {"name": "calculate", "description": "The client's."}}
    reply = await harness.door.chat("k", [ASK], tools=[own])
    assert [one["function"]["arguments"] for one in message(reply)["tool_calls"]] == ['{"x":1}']
    assert [(tool.name, tool.description) for tool in model.requests[0].tools][-1] == (
        "calculate",
        "The client's.",
    )
    assert len(model.requests[0].tools) == len(OWN)
    await harness.door.chat("k", [result("callOslo1", "ok")])
    assert (await harness.door.chat("k", "6*7?")).said == "42"


async def test_a_streamed_call_comes_as_a_delta_and_the_last_chunk_says_why_it_ended(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(
        ScriptedModel(
            calls(
                ("callOslo1", "get_weather", '{"city":"Oslo"}'),
                ("callMail1", "send_mail", ""),
                text="One moment.",
            )
        )
    )
    reply = await harness.door.chat("k", [ASK], tools=[WEATHER, MAIL], stream=True)
    assert reply.said == "One moment."
    deltas = [chunk["choices"][0]["delta"] for chunk in reply.chunks]
    found = [delta["tool_calls"] for delta in deltas if "tool_calls" in delta]
    # One a chunk: some clients read only the first one of a chunk.
    assert all(len(calls) == 1 for calls in found)
    assert [call for (call,) in found] == [
        {
            "index": 0,
            "id": "callOslo1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'},
        },
        {
            "index": 1,
            "id": "callMail1",
            "type": "function",
            "function": {"name": "send_mail", "arguments": "{}"},
        },
    ]
    assert reply.chunks[-1]["choices"][0]["finish_reason"] == "tool_calls" and reply.text.endswith(
        "data: [DONE]\n\n"
    )
    again = await harness.door.get(f"/v1/turns/{reply.turn_id}/stream?after=0")
    resent = [chunk["choices"][0]["delta"].get("tool_calls") for chunk in again.chunks if chunk["choices"]]
    assert [resent.count(calls) for calls in found] == [1, 1]


async def test_whatever_event_a_client_has_seen_last_it_gets_all_calls_and_the_usage(
    open_harness: OpenHarness,
) -> None:
    two = calls(("callOslo1", "get_weather", '{"city":"Oslo"}'), ("callMail1", "send_mail", ""), text="Wait.")
    harness = await open_harness(ScriptedModel(two))
    whole = await harness.door.chat(
        "k", [ASK], tools=[WEATHER, MAIL], stream=True, stream_options={"include_usage": True}
    )
    path = f"/v1/turns/{whole.turn_id}/stream"
    *events, _ = whole.events
    assert len(events) == 6
    for count, last in enumerate(events, 1):
        assert last.id is not None
        rest = await harness.door.get(path, {"last-event-id": last.id})
        seen = [json.loads(event.content) for event in (*events[:count], *rest.events[:-1])]
        deltas = [chunk["choices"][0]["delta"] for chunk in seen if chunk["choices"]]
        told = {each["index"]: each["id"] for delta in deltas for each in delta.get("tool_calls", ())}
        assert told == {0: "callOslo1", 1: "callMail1"}
        assert "".join(delta.get("content", "") for delta in deltas) == "Wait."
        assert seen[-1]["usage"] and rest.events[-1].content == "[DONE]"


async def test_a_resent_request_gets_the_same_calls_and_asks_the_model_nothing(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(ONE, "never")
    harness = await open_harness(model)
    first = await harness.door.chat("k", [ASK], {"idempotency-key": "1"}, tools=[WEATHER])
    again = await harness.door.chat("k", [ASK], {"idempotency-key": "1"}, tools=[WEATHER])
    assert message(again) == message(first) and again.json["choices"][0]["finish_reason"] == "tool_calls"
    assert len(model.requests) == 1


async def test_what_the_client_insists_on_reaches_the_model(open_harness: OpenHarness) -> None:
    model = ScriptedModel(ONE, "Fine.")
    harness = await open_harness(model)
    named = {"type": "function", "function": {"name": "get_weather"}}
    await harness.door.chat("a", [ASK], tools=[WEATHER, MAIL], tool_choice=named, parallel_tool_calls=False)
    asked = model.requests[-1]
    assert (asked.tool_choice.mode, asked.tool_choice.name) == ("required", "get_weather")
    assert [tool.name for tool in asked.tools] == ["get_weather", "send_mail"], (
        "where a call is insisted on, nothing else is offered"
    )
    assert asked.sampling.parallel_tool_calls is False
    await harness.door.chat("b", [ASK], tools=[WEATHER], tool_choice="none")
    assert [tool.name for tool in model.requests[-1].tools] == OWN


async def test_where_one_call_at_a_time_is_asked_for_the_first_one_counts(open_harness: OpenHarness) -> None:
    harness = await open_harness(
        ScriptedModel(calls(("callOslo1", "get_weather", "{}"), ("callRome1", "get_weather", "{}")))
    )
    reply = await harness.door.chat("k", [ASK], tools=[WEATHER], parallel_tool_calls=False)
    assert [one["id"] for one in message(reply)["tool_calls"]] == ["callOslo1"]


async def test_a_model_that_talks_where_a_call_is_insisted_on_is_asked_once_more(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel("I could call it.", ONE)
    harness = await open_harness(model)
    reply = await harness.door.chat("k", [ASK], tools=[WEATHER], tool_choice="required", stream=True)
    assert reply.said == "" and reply.chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    stubborn = await open_harness(ScriptedModel("I could call it."))
    reply = await stubborn.door.chat("k", [ASK], tools=[WEATHER], tool_choice="required")
    assert (reply.status, reply.error["code"]) == (502, "model_bad_answer")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "custom"}]}, "tools[0].custom"),
        ({"tools": [{"type": "custom", "custom": {"name": "a b"}}]}, "tools[0].custom.name"),
        ({"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}}, "tool_choice.type"),
        ({"tools": [{"type": "web_search"}], "tool_choice": "required"}, "tool_choice"),
        (
            {
                "tools": [WEATHER],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"tools": [{"type": "function", "function": {"name": "y"}}]},
                },
            },
            "tool_choice.allowed_tools.tools",
        ),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [WEATHER, WEATHER]}, "tools[1].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "x", "parameters": []}}]},
            "tools[0].function.parameters",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "x", "parameters": "é" * 60}}]},
            "tools[0].function.parameters",
        ),
        ({"tools": [MAIL] * 129}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": "sometimes"}, "tool_choice"),
        (
            {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "y"}}},
            "tool_choice.function.name",
        ),
        (
            {"tools": [WEATHER], "tool_choice": {"type": "custom", "custom": {"name": "y"}}},
            "tool_choice.type",
        ),
        ({"functions": [{"name": "x"}]}, "functions"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"type": "objct"}},
                }
            },
            "response_format.schema",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "", "schema": {}}}},
            "response_format.name",
        ),
        ({"metadata": {"a": 1}}, "metadata[...]"),
        ({"metadata": {"a" * 65: "x"}}, "metadata"),
        ({"metadata": {str(number): "x" for number in range(17)}}, "metadata"),
        ({"verbosity": "loud"}, "verbosity"),
    ],
)
async def test_a_malformed_wish_is_refused_with_its_path(
    open_harness: OpenHarness, fields: dict[str, Any], param: str
) -> None:
    harness = await open_harness()
    reply = await harness.door.chat("k", "hello", **fields)
    assert (reply.status, reply.error["param"]) == (400, param), reply.text


async def test_a_turn_that_joins_by_steering_does_not_come_between_a_call_and_its_result(
    open_harness: OpenHarness,
) -> None:
    gate = asyncio.Event()
    first = Message("assistant", (ToolCall("callOslo1", "get_weather", "{}"),), "tool_calls", Usage(1, 1))
    model = ScriptedModel(Say(("Let me ",), first, before=gate), "To you, who steered.", "It rains.")
    harness = await open_harness(model)
    asking = harness.door.chatting("k", [ASK], tools=[WEATHER])
    await model.asked.wait()
    steering = harness.door.chatting("k", "Hurry", {"x-when-busy": "steer"})
    await harness.app.store.check()
    gate.set()
    assert [one["id"] for one in message(await asking.done())["tool_calls"]] == ["callOslo1"]
    assert (await steering.done()).said == "To you, who steered."


# The form of the answer ---------------------------------------------------------------------------

SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "city",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
            "additionalProperties": False,
        },
    },
}


async def test_a_model_that_can_be_held_to_a_schema_is(open_harness: OpenHarness) -> None:
    model = ScriptedModel('{"name":"Oslo"}')
    harness = await open_harness(model)
    assert (await harness.door.chat("k", "A city?", response_format=SCHEMA)).said == '{"name":"Oslo"}'
    wanted = model.requests[0].format
    assert wanted is not None and (wanted.kind, wanted.name, wanted.strict) == ("json_schema", "city", True)
    assert "JSON" not in model.requests[0].system


def plain_model(*script: str) -> ScriptedModel:
    return ScriptedModel(*script, abilities=frozenset())


@pytest.mark.parametrize("stream", [False, True])
async def test_another_is_told_in_words_and_mends_its_answer_once(
    open_harness: OpenHarness, stream: bool
) -> None:
    model = plain_model("Oslo, of course!", '```json\n{"name":"Oslo"}\n```')
    harness = await open_harness(model)
    reply = await harness.door.chat("k", "A city?", response_format=SCHEMA, stream=stream)
    assert reply.said == '{"name":"Oslo"}', "nothing of the first try, nothing of the fence"
    assert '"additionalProperties"' in model.requests[0].system
    assert [said.text for said in model.requests[1].messages][-2] == "Oslo, of course!"
    assert "it is not JSON" in model.requests[1].messages[-1].text
    await harness.door.chat("k", "And?")
    assert [text for _, text in shown(model.requests[2])] == ["A city?", '{"name":"Oslo"}', "And?"], (
        "the transcript keeps what was answered"
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"name":7}', "does not fit the schema"),
        ('{"name":"Oslo","x":1}', "does not fit"),
        ("no", "not JSON"),
    ],
)
async def test_an_answer_that_never_fits_is_an_error_that_says_why(
    open_harness: OpenHarness, answer: str, reason: str
) -> None:
    harness = await open_harness(plain_model(answer))
    reply = await harness.door.chat("k", "A city?", response_format=SCHEMA)
    assert (reply.status, reply.error["code"]) == (502, "model_bad_answer") and reason in reply.error[
        "message"
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_takes_the_form_in_no_way_is_an_error_not_an_endless_wait(
    open_harness: OpenHarness, stream: bool
) -> None:
    harness = await open_harness(ScriptedModel(ModelLacksAbility("no such form"), abilities=frozenset()))
    reply = await harness.door.chat("k", "A city?", response_format=SCHEMA, stream=stream)
    assert (reply.status, reply.error["code"]) == (400, "model_lacks_ability"), reply.text


async def test_a_json_object_is_any_object(open_harness: OpenHarness) -> None:
    model = plain_model("[1]", ' {"a": 1} ')
    harness = await open_harness(model)
    assert (await harness.door.chat("k", "x", response_format={"type": "json_object"})).said == '{"a": 1}'
    assert "not an object" in model.requests[1].messages[-1].text


async def test_an_answer_with_a_form_may_need_tools_first(open_harness: OpenHarness) -> None:
    model = ScriptedModel(call("calculate", '{"expression":"6*7"}'), '{"name":"42"}', abilities=frozenset())
    harness = await open_harness(model)
    assert (await harness.door.chat("k", "x", response_format=SCHEMA)).said == '{"name":"42"}'


async def test_labels_are_accepted_and_reach_the_model(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    harness: Harness = await open_harness(model)
    await harness.door.chat("k", "x", metadata={"a": "b"}, user="u1", safety_identifier="s1", verbosity="low")
    labels = model.requests[0].labels
    assert (labels.metadata, labels.user, labels.safety_identifier) == ({"a": "b"}, "u1", "s1")
    assert model.requests[0].sampling.verbosity == "low"
