"""Responses: sent twice, left by their clients, failing, and without a trace."""

from pathlib import Path
from typing import Any

import pytest

from nanobot.core.errors import ModelOverloaded, ModelRateLimited
from nanobot.testing import FakeClock, Say, ScriptedModel
from tests.flow.paused import RETRY, PausedModel, settled, until_asked, until_status
from tests.flow.responding import respond, responding, spoken, told
from tests.harness import Harness, OpenHarness

# Sent twice ---------------------------------------------------------------------------------------


async def test_a_resend_that_names_no_conversation_joins_the_first_sending(open_harness: OpenHarness) -> None:
    model = PausedModel()
    harness = await open_harness(model)
    first = responding(harness)
    await until_asked(model)
    again = responding(harness, headers=RETRY)
    await settled(harness)
    model.gate.set()
    replies = [await first.done(), await again.done()]
    assert replies[0].json == replies[1].json
    assert len(model.requests) == 1
    # Both were answered whole: what is sent again now is another request, in a conversation of its own.
    late = await respond(harness, headers=RETRY)
    assert late.json["conversation"] != replies[0].json["conversation"]
    assert (await respond(harness)).json["conversation"] != late.json["conversation"]


async def test_an_idempotency_key_is_known_again_without_a_conversation(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("one", "two"))
    key = {"idempotency-key": "k1"}
    first, again = await respond(harness, headers=key), await respond(harness, headers=key)
    assert first.json == again.json
    other = await respond(harness, "something else", headers=key)
    assert (other.status, other.error["code"]) == (422, "idempotency_mismatch")
    assert spoken(await respond(harness, headers={"idempotency-key": "k2"})) == "two"


async def test_a_resent_stream_has_the_same_events(open_harness: OpenHarness) -> None:
    """However late: it tells when the response was completed, not when it was sent again."""
    clock = FakeClock()
    harness = await open_harness(ScriptedModel("Once upon a time"), clock=clock)
    key = {"idempotency-key": "k1"}
    first = await respond(harness, headers=key, stream=True)
    response = told(first)[-1]["response"]
    clock.advance(61)
    again = await respond(harness, headers=key, stream=True)
    shown = await harness.door.get(f"/v1/responses/{response['id']}?stream=true")
    assert first.raw == again.raw == shown.raw
    assert (response["created_at"], response["completed_at"]) == (1_800_000_000, 1_800_000_000)


async def test_a_response_that_takes_a_minute_is_completed_a_minute_after_its_creation(
    open_harness: OpenHarness,
) -> None:
    clock, model = FakeClock(), PausedModel("Once upon", " a time")
    harness = await open_harness(model, clock=clock)
    exchange = responding(harness, stream=True)
    await exchange.until("Once")
    clock.advance(61)
    model.gate.set()
    response = told(await exchange.done())[-1]["response"]
    assert (response["created_at"], response["completed_at"]) == (1_800_000_000, 1_800_000_061)
    kept = (await harness.door.get(f"/v1/responses/{response['id']}")).json
    assert (kept["created_at"], kept["completed_at"]) == (1_800_000_000, 1_800_000_061)


# Clients that go away -----------------------------------------------------------------------------


async def test_a_response_in_the_background_goes_on_though_nobody_follows_it(
    open_harness: OpenHarness,
) -> None:
    """Not even its own stream, which was followed for a while through either door."""
    clock, model = FakeClock(), PausedModel("Hello ", "there")
    harness = await open_harness(model, clock=clock, api={"disconnect_grace_s": 30.0})
    made = await respond(harness, background=True)
    assert made.json["status"] in ("queued", "in_progress")
    turn_id = made.turn_id
    for path in (f"/v1/responses/{made.json['id']}?stream=true", f"/v1/turns/{turn_id}/stream"):
        exchange = harness.door.start("GET", path)
        await exchange.until("Hello")
        exchange.disconnect()
        await exchange.done()
        await settled(harness)
        clock.advance(31)
        await settled(harness)
    model.gate.set()
    await until_status(harness, turn_id, "done")
    assert spoken(await harness.door.get(f"/v1/responses/{made.json['id']}")) == "Hello there"


async def test_one_in_the_foreground_is_cancelled_after_the_grace(open_harness: OpenHarness) -> None:
    model = PausedModel("Hello ", "there")
    harness = await open_harness(model, api={"disconnect_grace_s": 0.0})
    exchange = responding(harness, stream=True)
    await exchange.until("Hello")
    id_ = told(exchange)[0]["response"]["id"]
    exchange.disconnect()
    await exchange.done()
    await until_status(harness, exchange.turn_id, "cancelled")
    kept = (await harness.door.get(f"/v1/responses/{id_}")).json
    assert (kept["status"], kept["error"], kept["output"][0]["status"]) == ("cancelled", None, "incomplete")


async def test_a_response_is_cancelled_and_one_that_runs_is_deleted(open_harness: OpenHarness) -> None:
    harness = await open_harness(PausedModel("Hello ", "there"))
    stream = responding(harness, stream=True, background=True, conversation="a")
    await stream.until("response.in_progress")
    id_ = told(stream)[0]["response"]["id"]
    await stream.until("response.output_item.added")
    cancelled = await harness.door.call("POST", f"/v1/responses/{id_}/cancel")
    assert (cancelled.json["status"], cancelled.json["id"]) == ("cancelled", id_)
    await stream.done()
    assert told(stream)[-1]["type"] == "response.failed"
    assert told(stream)[-1]["response"]["status"] == "cancelled"
    assert (await harness.door.call("POST", f"/v1/responses/{id_}/cancel")).json == cancelled.json


async def test_deleting_a_response_that_runs_stops_it(open_harness: OpenHarness) -> None:
    model = PausedModel()
    harness = await open_harness(model)
    made = await respond(harness, background=True)
    await until_asked(model)
    deleted = await harness.door.call("DELETE", f"/v1/responses/{made.json['id']}")
    assert deleted.json == {"id": made.json["id"], "object": "response", "deleted": True}
    assert (await harness.door.get(f"/v1/turns/{made.turn_id}")).json["status"] == "cancelled"
    assert (await respond(harness, previous_response_id=made.json["id"])).status == 404


async def test_a_stream_in_the_background_is_taken_up_while_it_runs(open_harness: OpenHarness) -> None:
    model = PausedModel("One two three ", "four five")
    harness = await open_harness(model)
    live = responding(harness, stream=True, background=True)
    await live.until("three")
    heard = told(live)
    id_, number = heard[0]["response"]["id"], heard[-2]["sequence_number"]
    rest = harness.door.start("GET", f"/v1/responses/{id_}?stream=true&starting_after={number}")
    await rest.until("three")
    model.gate.set()
    await live.done()
    await rest.done()
    assert [event for event in told(live) if event["sequence_number"] > heard[-2]["sequence_number"]] == told(
        rest
    )
    assert live.text.endswith("data: [DONE]\n\n")


async def test_a_response_waits_in_the_queue_and_tells_what_it_was_given(open_harness: OpenHarness) -> None:
    model = PausedModel()
    harness = await open_harness(model)
    running = responding(harness, "first", conversation="a")
    await until_asked(model)
    waiting = await respond(harness, "second", conversation="a", background=True)
    assert waiting.json["status"] == "queued"
    items = (await harness.door.get(f"/v1/responses/{waiting.json['id']}/input_items")).json["data"]
    assert [item["content"][0]["text"] for item in items] == ["second"]
    model.gate.set()
    await running.done()
    await until_status(harness, waiting.turn_id, "done")
    assert (await harness.door.get(f"/v1/responses/{waiting.json['id']}/input_items")).json["data"] == items


async def test_a_response_outlives_a_restart(open_harness: OpenHarness, tmp_path: Path) -> None:
    harness = await open_harness(ScriptedModel("one"), data=tmp_path / "data")
    made = await respond(harness, stream=True, metadata={"a": "b"})
    id_ = told(made)[0]["response"]["id"]
    await harness.close()
    model = ScriptedModel("two")
    harness = await open_harness(model, data=tmp_path / "data")
    assert told(await harness.door.get(f"/v1/responses/{id_}?stream=true"))[:-1] == told(made)[:-1]
    assert spoken(await respond(harness, "B", previous_response_id=id_)) == "two"
    assert [message.text for message in model.requests[0].messages] == ["hello", "one", "B"]


# Failures -----------------------------------------------------------------------------------------


async def test_a_stored_response_shows_the_tools_and_the_schema_of_its_request(harness: Harness) -> None:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [
        {"type": "function", "name": "weather", "parameters": parameters},
        {"type": "function", "name": "stop"},
    ]
    form = {"type": "json_schema", "name": "a", "schema": {"type": ["string", "object"]}, "strict": False}
    for fields in ({"tools": tools}, {"text": {"format": form}}):
        answer = await respond(harness, **fields)
        stored = await harness.door.get(f"/v1/responses/{answer.json['id']}")
        assert stored.status == 200
        assert stored.json == answer.json
    assert answer.json["text"]["format"] == form


@pytest.mark.parametrize("stream", [False, True])
async def test_a_turn_that_fails_before_it_spoke_is_answered_with_its_status(
    open_harness: OpenHarness, stream: bool
) -> None:
    harness = await open_harness(ScriptedModel(ModelRateLimited("slow down", retry_after_s=7)))
    reply = await respond(harness, stream=stream, conversation="a")
    assert (reply.status, reply.error["code"], reply.headers["retry-after"]) == (
        429,
        "model_rate_limited",
        "7",
    )


async def test_a_failure_after_the_first_word_is_an_event_and_is_kept(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel(Say(("Once ", "upon"), error=ModelOverloaded("overloaded"))))
    reply = await respond(harness, stream=True)
    last = told(reply)[-1]
    assert (reply.status, last["type"], last["response"]["error"]) == (
        200,
        "response.failed",
        {"code": "server_error", "message": "overloaded"},
    )
    kept = await harness.door.get(f"/v1/responses/{last['response']['id']}")
    assert (kept.json["status"], kept.json["error"]["message"]) == ("failed", "overloaded")
    late = await harness.door.get(
        f"/v1/responses/{last['response']['id']}?stream=true&starting_after={last['sequence_number']}"
    )
    assert [event["type"] for event in told(late)] == ["response.failed"]


async def test_what_overflows_the_window_fails_where_nothing_may_be_left_out(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel("ok", context_tokens=2_000)
    harness = await open_harness(model, agent={"tools": []})
    for _ in range(4):
        assert (await respond(harness, "x" * 3_000, conversation="a")).status == 200
    refused = await respond(harness, "and?", conversation="a", truncation="disabled")
    assert (refused.status, refused.error["code"]) == (400, "context_length_exceeded")
    assert (await respond(harness, "and?", conversation="a", truncation="auto")).json["truncation"] == "auto"


async def test_streaming_that_is_off_is_refused(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"stream": False})
    made = await respond(harness)
    assert (await respond(harness, stream=True)).error["code"] == "streaming_off"
    assert (await harness.door.get(f"/v1/responses/{made.json['id']}?stream=true")).error[
        "code"
    ] == "streaming_off"


@pytest.mark.parametrize(
    ("headers", "fields", "status", "code"),
    [
        ({}, {"model": "gpt-9"}, 404, "model_not_found"),
        ({}, {"conversation": "nanobot:own"}, 400, "invalid_session_key"),
        ({}, {"conversation": " "}, 400, "invalid_session_key"),
        ({"x-session-key": "b"}, {"conversation": "a"}, 400, "invalid_request"),
        ({"x-when-busy": "sulk"}, {}, 400, "invalid_request"),
        ({}, {"previous_response_id": "resp_01m87hk3rez16m7sqd8a0jeeec"}, 404, "response_not_found"),
        ({}, {"previous_response_id": "../x"}, 404, "response_not_found"),
        (
            {},
            {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
            400,
            "unknown_tool_call",
        ),
    ],
)
async def test_what_does_not_fit_together_is_refused(
    harness: Harness, headers: dict[str, str], fields: dict[str, Any], status: int, code: str
) -> None:
    reply = await respond(harness, headers=headers, **fields)
    assert (reply.status, reply.error["code"]) == (status, code)


async def test_a_header_that_agrees_is_fine_and_one_that_does_not_is_told(harness: Harness) -> None:
    made = await respond(harness, headers={"x-session-key": "a"}, conversation={"id": "a"})
    assert made.json["conversation"] == {"id": "a"}
    other = await respond(harness, headers={"x-session-key": "b"}, previous_response_id=made.json["id"])
    assert (other.status, other.error["param"]) == (400, "x-session-key")


# No trace -----------------------------------------------------------------------------------------


async def test_what_is_not_stored_leaves_no_trace_in_a_conversation(open_harness: OpenHarness) -> None:
    model = ScriptedModel("one", "a title", "two")
    harness = await open_harness(model)
    await respond(harness, "A", conversation="a")
    titled = await respond(harness, "Give it a title", conversation="a", store=False)
    assert (spoken(titled), titled.json["store"]) == ("a title", False)
    assert [message.text for message in model.requests[1].messages] == ["A", "one", "Give it a title"]
    assert (await harness.door.get(f"/v1/responses/{titled.json['id']}")).status == 404
    items = (await harness.door.get("/v1/conversations/a/items?order=asc")).json["data"]
    assert [item["content"][0]["text"] for item in items] == ["A", "one"]
    await respond(harness, "B", conversation="a")
    assert [message.text for message in model.requests[2].messages] == ["A", "one", "B"]


async def test_while_it_runs_it_is_not_seen_either(open_harness: OpenHarness) -> None:
    model = PausedModel()
    harness = await open_harness(model)
    running = responding(harness, "SECRET", conversation="a", store=False)
    await until_asked(model)
    assert (await harness.door.get("/v1/conversations/a/items")).json["data"] == []
    model.gate.set()
    await running.done()
    assert (await harness.door.get("/v1/conversations/a/items")).json["data"] == []


# Turns that join another, and those that never began ----------------------------------------------


async def test_what_joins_a_running_turn_is_a_response_too(open_harness: OpenHarness) -> None:
    """An empty one: what was said is the answer of the turn that it joined."""
    model = PausedModel("Hello ", "there", "and you")
    harness = await open_harness(model)
    running = responding(harness, "first", conversation="a")
    await until_asked(model)
    joining = responding(harness, "second", {"x-when-busy": "steer"}, conversation="a")
    await settled(harness)
    model.gate.set()
    first, second = await running.done(), await joining.done()
    assert spoken(first) == "Hello thereand you"
    assert (second.status, second.json["status"], second.json["output"]) == (200, "completed", [])
    assert (second.json["usage"]["total_tokens"], second.json["error"]) == (0, None)
    assert second.headers["x-turn-joined"] == first.turn_id
    assert first.json["id"] != second.json["id"]
    kept = await harness.door.get(f"/v1/responses/{second.json['id']}")
    assert (kept.status, kept.json) == (200, second.json)


async def test_what_joins_a_running_turn_streams_a_whole_response_without_words(
    open_harness: OpenHarness,
) -> None:
    model = PausedModel("Hello ", "there", "and you")
    harness = await open_harness(model)
    running = responding(harness, "first", conversation="a")
    await until_asked(model)
    joining = responding(harness, "second", {"x-when-busy": "steer"}, conversation="a", stream=True)
    await settled(harness)
    model.gate.set()
    first, second = await running.done(), await joining.done()
    assert second.headers["x-turn-joined"] == first.turn_id
    assert [event["type"] for event in told(second)] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]
    assert told(second)[-1]["response"]["output"] == []


async def test_to_go_on_from_what_never_began_is_to_go_on_from_the_newest(open_harness: OpenHarness) -> None:
    model = PausedModel("one", "", "two")
    harness = await open_harness(model)
    running = responding(harness, "A", conversation="a")
    await until_asked(model)
    waiting = await respond(harness, "B", conversation="a", background=True)
    await harness.door.call("POST", f"/v1/responses/{waiting.json['id']}/cancel")
    model.gate.set()
    await running.done()
    assert (await respond(harness, "C", previous_response_id=waiting.json["id"])).status == 200
    assert [message.text for message in model.requests[-1].messages] == ["A", "one", "C"]
