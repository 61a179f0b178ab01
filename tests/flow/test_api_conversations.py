"""Conversations of OpenAI's API: begun, refused, added to and paged."""

import json

import pytest

from nanobot.testing import ScriptedModel
from tests.flow.paused import PausedModel, until_asked
from tests.flow.responding import respond
from tests.harness import Harness, OpenHarness


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
