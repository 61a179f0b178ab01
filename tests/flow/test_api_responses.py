"""Responses and conversations beyond what SDKs show: resends, clients that go away, failures, which of two
names counts, and what is not yours.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nanobot.access.caller import Caller
from nanobot.access.keyring import KeyRing
from nanobot.core.errors import ModelOverloaded, ModelRateLimited
from nanobot.http.authentication import Authentication
from nanobot.http.guard import Guard
from nanobot.testing import FakeClock, Say, ScriptedModel
from tests.asgi import Exchange
from tests.flow.paused import RETRY, PausedModel, settled, until_asked, until_status
from tests.harness import Harness, OpenHarness


def responding(
    harness: Harness, said: object = "hello", headers: Mapping[str, str] | None = None, **fields: object
) -> Exchange:
    body = json.dumps({"model": "nanobot", "input": said, **fields}).encode()
    return harness.door.start("POST", "/v1/responses", body=body, headers=headers)


async def respond(
    harness: Harness, said: object = "hello", headers: Mapping[str, str] | None = None, **fields: object
) -> Exchange:
    return await responding(harness, said, headers, **fields).done()


def spoken(exchange: Exchange) -> str:
    return "".join(
        part["text"]
        for item in exchange.json["output"]
        if item["type"] == "message"
        for part in item["content"]
    )


def told(exchange: Exchange) -> list[dict[str, Any]]:
    return [json.loads(event.content) for event in exchange.events if event.content != "[DONE]"]


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


# Conversations ------------------------------------------------------------------------------------


async def test_a_conversation_is_begun_under_the_key_of_the_header_once(harness: Harness) -> None:
    headers = {"x-session-key": "wx:dm:a"}
    made = await harness.door.call(
        "POST", "/v1/conversations", body=b'{"metadata": {"a": "b"}}', headers=headers
    )
    assert made.json == {
        "id": "wx:dm:a",
        "object": "conversation",
        "created_at": made.json["created_at"],
        "metadata": {"a": "b"},
    }
    # Clients that always send the same key, as sessions of the agents SDK do, begin so at every start.
    for body in (b"", b"{}", b'{"items": []}'):
        again = await harness.door.call("POST", "/v1/conversations", body=body, headers=headers)
        assert (again.status, again.json) == (200, made.json)
    noted = await harness.door.call(
        "POST", "/v1/conversations", body=b'{"metadata": {"c": "d"}}', headers=headers
    )
    assert noted.json == {**made.json, "metadata": {"c": "d"}}
    with_items = b'{"items": [{"role": "user", "content": "hello"}]}'
    refused = await harness.door.call("POST", "/v1/conversations", body=with_items, headers=headers)
    assert (refused.status, refused.error["code"]) == (409, "conversation_exists")
    assert (await harness.door.get("/v1/conversations/wx:dm:a/items")).json["data"] == []


async def test_a_conversation_is_begun_under_a_key_that_another_api_began(harness: Harness) -> None:
    await harness.door.chat("wx:dm:a", "hello")
    made = await harness.door.call("POST", "/v1/conversations", headers={"x-session-key": "wx:dm:a"})
    assert (made.status, made.json["id"]) == (200, "wx:dm:a")
    assert len((await harness.door.get("/v1/conversations/wx:dm:a/items")).json["data"]) == 2


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/v1/conversations/none", b"", 404, "conversation_not_found"),
        ("DELETE", "/v1/conversations/none", b"", 404, "conversation_not_found"),
        ("POST", "/v1/conversations/none", b"{}", 404, "conversation_not_found"),
        ("GET", "/v1/conversations/none/items", b"", 404, "conversation_not_found"),
        ("GET", "/v1/conversations/nanobot%3Aown/items", b"", 404, "conversation_not_found"),
        ("GET", "/v1/conversations/none/items/msg_x", b"", 404, "conversation_not_found"),
        ("GET", "/v1/conversations/a/items/msg_x", b"", 404, "item_not_found"),
        ("GET", "/v1/conversations/a/items/msg_00000000000000000000000009000000", b"", 404, "item_not_found"),
        ("GET", "/v1/conversations/a/items?after=msg_x", b"", 404, "item_not_found"),
        ("GET", "/v1/conversations/a/items?limit=101", b"", 400, "invalid_request"),
        ("GET", "/v1/conversations/a/items?order=up", b"", 400, "invalid_request"),
        ("POST", "/v1/conversations/a/items", b'{"items": []}', 400, "invalid_request"),
        (
            "POST",
            "/v1/conversations/a/items",
            b'{"items": [{"role": "system", "content": "x"}]}',
            400,
            "invalid_request",
        ),
        ("POST", "/v1/conversations/a/items", b"[]", 400, "invalid_json"),
        ("POST", "/v1/conversations/a", b'{"metadata": {"a": 1}}', 400, "invalid_request"),
        ("DELETE", "/v1/conversations/a/items/msg_x", b"", 405, "method_not_allowed"),
    ],
)
async def test_what_conversations_refuse(
    harness: Harness, method: str, path: str, body: bytes, status: int, code: str
) -> None:
    await harness.door.chat("a", "hello")
    reply = await harness.door.call(method, path, body=body)
    assert (reply.status, reply.error["code"]) == (status, code)


async def test_nothing_is_added_to_a_conversation_while_a_turn_runs(open_harness: OpenHarness) -> None:
    model = PausedModel()
    harness = await open_harness(model)
    running = harness.door.chatting("a", "hello")
    await until_asked(model)
    body = b'{"items": [{"role": "user", "content": "x"}]}'
    refused = await harness.door.call("POST", "/v1/conversations/a/items", body=body)
    assert (refused.status, refused.error["code"]) == (409, "session_busy")
    model.gate.set()
    await running.done()
    added = await harness.door.call("POST", "/v1/conversations/a/items", body=body)
    assert [item["content"][0]["text"] for item in added.json["data"]] == ["x"]


async def test_items_of_a_branch_that_was_left_are_not_shown(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("one", "two", "three"))
    first = await respond(harness, "A", conversation="a")
    left = await respond(harness, "B", previous_response_id=first.json["id"])
    await respond(harness, "C", previous_response_id=first.json["id"])
    items = (await harness.door.get("/v1/conversations/a/items?order=asc")).json["data"]
    assert [item["content"][0]["text"] for item in items] == ["A", "one", "C", "three"]
    gone = left.json["output"][0]["id"]
    assert (await harness.door.get(f"/v1/conversations/a/items/{gone}")).status == 404


async def test_a_long_conversation_is_paged_from_either_end(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("ok"))
    made = await harness.door.call("POST", "/v1/conversations", body=b"{}", headers={"x-session-key": "a"})
    assert made.status == 200
    for batch in range(12):
        items = [{"role": "user", "content": f"{batch * 20 + number}"} for number in range(20)]
        await harness.door.call(
            "POST", "/v1/conversations/a/items", body=json.dumps({"items": items}).encode()
        )
    for order, expected in (("asc", list(range(240))), ("desc", list(range(239, -1, -1)))):
        seen: list[int] = []
        after = ""
        while True:
            page = (await harness.door.get(f"/v1/conversations/a/items?order={order}&limit=50{after}")).json
            seen += [int(item["content"][0]["text"]) for item in page["data"]]
            assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
            if not page["has_more"]:
                break
            after = f"&after={page['last_id']}"
        assert seen == expected


# What is not yours --------------------------------------------------------------------------------


class Named(Authentication):
    """Takes each caller for who it says it is, by its API key."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        super().__init__(KeyRing(), always_required=False, max_bad_keys=0)
        self._callers = callers

    def caller(self, authorization: bytes, address: str | None, now: float) -> Caller:
        return self._callers.get(authorization.decode().removeprefix("Bearer "), Caller())


def limited(harness: Harness, **callers: Caller) -> Harness:
    """Let the server take each caller for who it says it is, by its API key."""
    guard = harness.app.asgi
    assert isinstance(guard, Guard)
    guard.authentication = Named(callers)
    return harness


ALICE = {"authorization": "Bearer alice"}
BOB = {"authorization": "Bearer bob"}


async def test_what_is_anothers_does_not_exist(open_harness: OpenHarness) -> None:
    """Word for word, and whatever the route: only the name that was asked for differs."""
    model = ScriptedModel("CANARY-1")
    harness = limited(
        await open_harness(model),
        alice=Caller("alice", patterns=("alice:*", "conv_*")),
        bob=Caller("bob", patterns=("bob:*", "conv_b*")),
    )
    made = await respond(harness, "CANARY-0", ALICE, conversation="alice:1")
    item = made.json["output"][0]["id"]
    calls = [
        ("GET", "/v1/responses/{response}", b""),
        ("GET", "/v1/responses/{response}?stream=true", b""),
        ("DELETE", "/v1/responses/{response}", b""),
        ("POST", "/v1/responses/{response}/cancel", b""),
        ("GET", "/v1/responses/{response}/input_items", b""),
        (
            "POST",
            "/v1/responses",
            b'{"model": "nanobot", "input": "x", "previous_response_id": "{response}"}',
        ),
        ("POST", "/v1/responses", b'{"model": "nanobot", "input": "x", "conversation": "{conversation}"}'),
        (
            "POST",
            "/v1/responses",
            (
                b'{"model": "nanobot", "input": [{"type": "item_reference", "id": "{item}"}, {"role": "user",'
                b' "content": "x"}]}'
            ),
        ),
        ("GET", "/v1/conversations/{conversation}", b""),
        ("POST", "/v1/conversations/{conversation}", b"{}"),
        ("DELETE", "/v1/conversations/{conversation}", b""),
        ("GET", "/v1/conversations/{conversation}/items", b""),
        ("POST", "/v1/conversations/{conversation}/items", b'{"items": [{"role": "user", "content": "x"}]}'),
        ("GET", "/v1/conversations/{conversation}/items/{item}", b""),
    ]
    real = {"response": made.json["id"], "conversation": "alice:1", "item": item}
    unknown = {
        "response": "resp_" + "0" * 26,
        "conversation": "alice:2",
        "item": "msg_" + "01m87hk3rez16m7sqd8a0jeeec" + "000000",
    }
    for method, path, body in calls:
        answers = []
        for names in (real, unknown):
            filled_path, filled_body = path, body.decode()
            for name, value in names.items():
                filled_path, filled_body = (
                    filled_path.replace(f"{{{name}}}", value),
                    filled_body.replace(f"{{{name}}}", value),
                )
            reply = await harness.door.call(method, filled_path, body=filled_body.encode(), headers=BOB)
            text = reply.text
            for name, value in names.items():
                text = text.replace(value, name)
            answers.append((reply.status, text))
        assert answers[0] == answers[1], (method, path)
        assert answers[0][0] == 404, (method, path)
        assert "CANARY" not in answers[0][1]
    assert (await harness.door.get(f"/v1/responses/{made.json['id']}", ALICE)).status == 200
    assert len(model.requests) == 1


async def test_a_key_whose_patterns_no_new_conversation_fits_must_name_one(open_harness: OpenHarness) -> None:
    harness = limited(await open_harness(ScriptedModel("ok")), bob=Caller("bob", patterns=("bob:*",)))
    refused = await respond(harness, headers=BOB)
    assert (refused.status, refused.error["code"]) == (400, "missing_session_key")
    assert (await harness.door.call("POST", "/v1/conversations", headers=BOB)).error[
        "code"
    ] == "missing_session_key"
    assert (await respond(harness, headers={**BOB, "x-session-key": "bob:1"})).status == 200


async def test_a_key_with_a_conversation_of_its_own_uses_that(open_harness: OpenHarness) -> None:
    harness = limited(await open_harness(ScriptedModel("ok")), bob=Caller("bob", session_key="bob:1"))
    first = await respond(harness, headers=BOB)
    assert first.json["conversation"] == {"id": "bob:1"}
    assert (await respond(harness, headers=BOB, conversation="bob:2")).json["conversation"] == {"id": "bob:2"}


async def test_a_key_that_may_only_chat_has_all_of_responses_and_reads_no_transcript(
    open_harness: OpenHarness,
) -> None:
    harness = limited(await open_harness(ScriptedModel("ok")), bob=Caller("bob", rights=frozenset({"chat"})))
    made = await respond(harness, headers=BOB)
    id_, conversation = made.json["id"], made.json["conversation"]["id"]
    for method, path, status in (
        ("GET", f"/v1/responses/{id_}", 200),
        ("GET", f"/v1/responses/{id_}/input_items", 200),
        ("POST", f"/v1/responses/{id_}/cancel", 200),
        ("DELETE", f"/v1/responses/{id_}", 200),
        ("GET", f"/v1/conversations/{conversation}", 200),
        ("GET", f"/v1/conversations/{conversation}/items", 403),
        ("DELETE", f"/v1/conversations/{conversation}", 403),
    ):
        assert (await harness.door.call(method, path, headers=BOB)).status == status, path


async def test_the_same_words_of_two_keys_are_two_responses(open_harness: OpenHarness) -> None:
    """A resend is one's own only: another key that says the same joins nothing."""
    harness = limited(
        await open_harness(ScriptedModel("one", "two")), alice=Caller("alice"), bob=Caller("bob")
    )
    for again in (RETRY, {"idempotency-key": "k"}):
        replies = [await respond(harness, headers={**who, **again}) for who in (ALICE, BOB)]
        assert replies[0].json["conversation"] != replies[1].json["conversation"]


async def test_twenty_conversations_at_once_know_their_own_secret_only(open_harness: OpenHarness) -> None:
    model = ScriptedModel(
        lambda request: " ".join(message.text for message in request.messages if message.role == "user")
    )
    harness = await open_harness(model, engine={"max_running_turns": 7})
    firsts = await asyncio.gather(*(respond(harness, f"CANARY-{number:02d}") for number in range(20)))
    seconds = await asyncio.gather(
        *(
            respond(
                harness, "what is my secret?", previous_response_id=first.json["id"], stream=number % 2 == 0
            )
            for number, first in enumerate(firsts)
        )
    )
    for number, second in enumerate(seconds):
        found = {f"CANARY-{other:02d}" for other in range(20) if f"CANARY-{other:02d}" in second.text}
        assert found == {f"CANARY-{number:02d}"}
    assert len(model.requests) == 40


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
