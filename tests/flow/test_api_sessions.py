"""Sessions over HTTP: listed, searched, read, changed, and deleted once nobody uses them."""

import asyncio
import base64

import pytest

from nanobot.core.model import Ability
from nanobot.stores.sql import tokens
from nanobot.stores.sql.ports import sessions as ports
from nanobot.testing import FakeClock, ScriptedModel, call
from tests import files
from tests.asgi import BOUND_S
from tests.flow.listed_sessions import at, ids, post, walk
from tests.flow.paused import PausedModel, transcript, until_asked
from tests.harness import OpenHarness

# Lists --------------------------------------------------------------------------------------------


async def test_sessions_are_listed_page_by_page_by_prefix_and_in_both_orders(
    open_harness: OpenHarness,
) -> None:
    clock = FakeClock()
    harness = await open_harness(clock=clock)
    for key in ("wx:dm:a", "wx:dm:b/c", "tg:x", "Zoë ü"):
        await harness.door.chat(key, "hello")
        clock.advance(1)
    for limit in (1, 2, 3, 4, 5):
        assert [each["key"] for each in await walk(harness, "/v1/sessions", limit)] == [
            "Zoë ü",
            "tg:x",
            "wx:dm:b/c",
            "wx:dm:a",
        ]
    assert await ids(harness, "/v1/sessions?order=asc&limit=2") == ["wx:dm:a", "wx:dm:b/c"]
    assert await ids(harness, "/v1/sessions?prefix=wx%3Adm%3A") == ["wx:dm:b/c", "wx:dm:a"]
    one = (await harness.door.get(at("wx:dm:b/c"))).json
    assert one == {
        "id": "wx:dm:b/c",
        "object": "session",
        "key": "wx:dm:b/c",
        "title": None,
        "metadata": {},
        "messages": 2,
        "created_at": clock.now() - 3,
        "updated_at": clock.now() - 3,
    }


async def test_a_page_after_a_message_that_the_session_has_not_is_a_404(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    await harness.door.chat("a", "hello")
    for asked in ("msg_3", "msg_999", "x"):
        for order in ("asc", "desc"):
            reply = await harness.door.get(at("a", f"/messages?after={asked}&order={order}"))
            assert (reply.status, reply.error["code"]) == (404, "message_not_found")
    assert (await harness.door.get(at("a", "/messages?after=msg_2"))).json["data"] == []


async def test_a_page_after_a_message_that_was_left_goes_on_behind_it(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    for text in ("hello", "and?"):
        await harness.door.chat("a", text)
    await harness.door.call("POST", at("a", "/rewind"), body=b'{"message_id":"msg_2"}')
    await harness.door.chat("a", "or?")
    rows = (await harness.door.get(at("a", "/messages?after=msg_4"))).json["data"]
    assert [each["id"] for each in rows] == ["msg_5", "msg_6"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "order=up", "q=" + "x" * 257, "%ff=%ff"]
)
async def test_a_list_that_cannot_be_asked_for_is_a_400(open_harness: OpenHarness, query: str) -> None:
    harness = await open_harness()
    reply = await harness.door.get(f"/v1/sessions?{query}")
    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")


async def test_a_search_shows_where_the_words_stand(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("So long, and thanks for all the fish", "ok"))
    await harness.door.chat("a", "hello")
    await harness.door.chat("b", "hello")
    (found,) = (await harness.door.get("/v1/sessions?q=thanks+fish")).json["data"]
    assert found["key"] == "a"
    assert found["match"]["message_id"] == "msg_2"
    assert found["match"]["role"] == "assistant"
    assert found["match"]["snippet"] == "So long, and thanks for all the fish"
    assert [each["key"] for each in await walk(harness, "/v1/sessions?q=hel", 1)] == ["b", "a"]


async def test_a_search_says_where_its_index_is_being_built_anew(
    open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = await open_harness()
    await harness.door.chat("a", "where is the parrot?")
    assert "x-search" not in (await harness.door.get("/v1/sessions?q=parrot")).headers
    await harness.close()
    monkeypatch.setattr(tokens, "VERSION", "another")
    monkeypatch.setattr(ports, "_MOST_REBUILT_A_SEARCH", 0)
    again = await open_harness(data=harness.data)
    reply = await again.door.get("/v1/sessions?q=parrot")
    assert (reply.json["data"], reply.headers["x-search"]) == ([], "incomplete")
    assert "x-search" not in (await again.door.get("/v1/sessions")).headers
    monkeypatch.setattr(ports, "_MOST_REBUILT_A_SEARCH", 8)
    reply = await again.door.get("/v1/sessions?q=parrot")
    assert [each["id"] for each in reply.json["data"]] == ["a"]
    assert "x-search" not in reply.headers


async def test_messages_are_shown_as_chat_completions_have_them(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    harness = await open_harness(
        ScriptedModel(call("calculate", '{"expression":"6*7"}'), "It is 42."), clock=clock
    )
    picture = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
    }
    turn_id = (
        await harness.door.chat(
            "a", [{"role": "user", "content": [{"type": "text", "text": "6*7?"}, picture]}]
        )
    ).turn_id
    asked, called, gave, answered = await walk(harness, at("a", "/messages"), 3)
    assert asked["content"] == [{"type": "text", "text": "6*7?"}, picture]
    (made,) = called["tool_calls"]
    assert (called["content"], made["type"], made["function"]["name"]) == (None, "function", "calculate")
    assert (gave["role"], gave["tool_call_id"], gave["content"]) == ("tool", made["id"], "42")
    assert (answered["role"], answered["content"], answered["id"]) == ("assistant", "It is 42.", "msg_4")
    assert {each["turn_id"] for each in (asked, called, gave, answered)} == {turn_id}
    assert {each["created_at"] for each in (asked, called, gave, answered)} == {clock.now()}
    assert [each["id"] for each in await walk(harness, at("a", "/messages?order=desc"), 3)] == [
        "msg_4",
        "msg_3",
        "msg_2",
        "msg_1",
    ]


# Changing -----------------------------------------------------------------------------------------


async def test_a_session_is_renamed_and_what_is_not_named_stays(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    await harness.door.chat("a", "hello")
    reply = await post(harness, at("a"), {"title": "Greetings", "metadata": {"topic": "manners"}})
    assert (reply.json["title"], reply.json["metadata"]) == ("Greetings", {"topic": "manners"})
    assert (await post(harness, at("a"), {"metadata": {}})).json["title"] == "Greetings"
    assert (await post(harness, at("a"), {"title": None})).json["title"] is None


async def test_a_session_has_a_model_of_its_own(open_harness: OpenHarness) -> None:
    presets = {"fast": ScriptedModel("quick"), "slow": ScriptedModel("thorough")}
    harness = await open_harness(ScriptedModel("default"), presets=presets)
    await harness.door.chat("a", "hello")
    assert "model" not in (await harness.door.get(at("a"))).json
    reply = await post(harness, at("a"), {"model": "nanobot:fast", "title": "Quick"})
    assert (reply.json["model"], reply.json["title"]) == ("nanobot:fast", "Quick")
    assert (await harness.door.chat("a", "hello")).said == "quick"
    assert (await harness.door.chat("a", "hello", model="nanobot:slow")).said == "thorough"
    assert (await harness.door.chat("b", "hello")).said == "default"
    assert (await post(harness, at("a", "/fork"), {"key": "c"})).json["model"] == "nanobot:fast"
    for none in (None, "nanobot"):
        assert (await post(harness, at("a"), {"model": "fast"})).json["model"] == "nanobot:fast"
        assert (await post(harness, at("a"), {"metadata": {}})).json["model"] == "nanobot:fast"
        assert "model" not in (await post(harness, at("a"), {"model": none})).json
        assert (await harness.door.chat("a", "hello")).said == "default"
    reply = await post(harness, at("a"), {"model": "nanobot:gone"})
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")


async def test_what_a_session_takes_is_what_its_own_model_takes(open_harness: OpenHarness) -> None:
    deaf: frozenset[Ability] = frozenset({"images"})
    harness = await open_harness(ScriptedModel(abilities=deaf), presets={"listener": ScriptedModel("heard")})
    recording = {
        "type": "input_audio",
        "input_audio": {"data": base64.b64encode(files.WAV).decode(), "format": "wav"},
    }
    said = [{"role": "user", "content": [recording]}]
    assert (await harness.door.chat("a", said)).status == 400
    await harness.door.chat("a", "hello")
    await post(harness, at("a"), {"model": "listener"})
    assert (await harness.door.chat("a", said)).said == "heard"


@pytest.mark.parametrize(
    "body",
    [
        {"title": 7},
        {"title": "x" * 257},
        {"metadata": {"k": 7}},
        {"metadata": {str(n): "" for n in range(17)}},
    ],
)
async def test_a_title_or_metadata_that_cannot_be_is_a_400(open_harness: OpenHarness, body: object) -> None:
    harness = await open_harness()
    await harness.door.chat("a", "hello")
    reply = await post(harness, at("a"), body)
    assert reply.status == 400
    assert reply.error["param"].startswith(("title", "metadata"))


async def test_rewinding_forking_and_branches_over_http(open_harness: OpenHarness) -> None:
    model = ScriptedModel("one", "two", "two again", "in the fork")
    harness = await open_harness(model)
    await harness.door.chat("a", "1")
    await harness.door.chat("a", "2")
    reply = await post(harness, at("a", "/rewind"), {"message_id": "msg_2"})
    assert (reply.status, reply.json["messages"]) == (200, 2)
    await harness.door.chat("a", "2")
    assert await transcript(harness, "a") == ["1", "one", "2", "two again"]
    live, old = (await harness.door.get(at("a", "/branches"))).json["data"]
    assert (live["id"], live["current"], live["messages"]) == ("msg_6", True, 4)
    assert (old["id"], old["current"], old["parted_at"]) == ("msg_4", False, "msg_2")
    rows = (await harness.door.get(at("a", "/messages?branch=msg_4"))).json["data"]
    assert [row["content"] for row in rows] == ["1", "one", "2", "two"]
    forked = await post(harness, at("a", "/fork"), {"message_id": "msg_4", "key": "b"})
    assert (forked.json["key"], forked.json["messages"]) == ("b", 4)
    await harness.door.chat("b", "3")
    assert [message.text for message in model.requests[-1].messages] == ["1", "one", "2", "two", "3"]
    assert (await post(harness, at("a", "/fork"), {"key": "b"})).error["code"] == "session_exists"
    made = await post(harness, at("a", "/fork"), {})
    assert made.json["key"].startswith("a:fork_") and made.json["messages"] == 4


async def test_while_a_turn_runs_rewinding_is_refused_and_deleting_cancels_it(
    open_harness: OpenHarness,
) -> None:
    model = PausedModel()
    harness = await open_harness(model)
    exchange = harness.door.chatting("a", "hello", stream=True)
    await until_asked(model)
    busy = await post(harness, at("a", "/rewind"), {"message_id": "msg_1"})
    assert (busy.status, busy.error["code"]) == (409, "session_busy")
    assert (await post(harness, at("a", "/import"), b'{"format":"nanobot.session","version":1}')).error[
        "code"
    ] == "session_exists"
    receipt = (await harness.door.call("DELETE", at("a"))).json
    assert receipt["object"] == "session.deleted" and receipt["deleted"] is True and receipt["key"] == "a"
    assert (receipt["removed"]["messages"], receipt["removed"]["turns"]) == (1, 1)
    assert receipt["removed"]["bytes"] > 0
    await exchange.done()
    assert "session_not_found" in exchange.text
    assert (await harness.door.get(at("a"))).status == 404
    assert (await harness.door.call("DELETE", at("a"))).status == 404
    assert await ids(harness, "/v1/sessions") == []


# Retention ----------------------------------------------------------------------------------------


async def test_sessions_that_nobody_uses_go_after_their_time(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    ttl = [{"pattern": "wx:vip:*", "days": 0}, {"pattern": "wx:*", "days": 30}]
    harness = await open_harness(clock=clock, sessions={"ttl": ttl})
    for key in ("wx:vip:ann", "tg:ann", *(f"wx:{number}" for number in range(20)), "wx:used"):
        await harness.door.chat(key, "hello")
    clock.advance(20 * 86_400)
    await harness.door.chat("wx:used", "hello")
    clock.advance(9 * 86_400)
    await harness.app.store.check()
    assert len(await ids(harness, "/v1/sessions?limit=100")) == 23
    clock.advance(2 * 86_400)
    async with asyncio.timeout(BOUND_S):
        while len(left := await ids(harness, "/v1/sessions?limit=100")) > 3:
            clock.advance(600)
            await asyncio.sleep(0)
    assert sorted(left) == ["tg:ann", "wx:used", "wx:vip:ann"]
