"""Sessions over HTTP: listed, searched, read, renamed, forked, rewound, exported, imported, deleted; and what
is not the caller's does not exist.
"""

import asyncio
import base64
import json
from itertools import groupby
from typing import Any
from urllib.parse import quote

import pytest

from nanobot.access.caller import RIGHTS, Caller
from nanobot.core.model import Ability
from nanobot.stores.sql import tokens
from nanobot.stores.sql.ports import sessions as ports
from nanobot.testing import FakeClock, ScriptedModel, call
from tests import files
from tests.asgi import Exchange
from tests.flow.paused import PausedModel, transcript, until_asked
from tests.harness import Harness, OpenHarness


def at(key: str, rest: str = "") -> str:
    return f"/v1/sessions/{quote(key, safe='')}{rest}"


async def post(harness: Harness, path: str, body: object = None) -> Exchange:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return await harness.door.call("POST", path, body=raw)


async def ids(harness: Harness, path: str) -> list[str]:
    reply = await harness.door.get(path)
    assert reply.status == 200, reply.text
    return [each["id"] for each in reply.json["data"]]


async def walk(harness: Harness, path: str, limit: int) -> list[dict[str, Any]]:
    """Return all of a list, page by page."""
    found: list[dict[str, Any]] = []
    more = True
    while more:
        after = f"&after={quote(found[-1]['id'], safe='')}" if found else ""
        page = (await harness.door.get(f"{path}{'&' if '?' in path else '?'}limit={limit}{after}")).json
        assert page["object"] == "list"
        assert (page["first_id"], page["last_id"]) == (
            (page["data"][0]["id"], page["data"][-1]["id"]) if page["data"] else (None, None)
        )
        found += page["data"]
        more = page["has_more"]
        assert len(page["data"]) == limit or not more
    return found


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


# Export and import --------------------------------------------------------------------------------


async def test_what_is_exported_and_imported_again_is_the_same_conversation(
    open_harness: OpenHarness,
) -> None:
    clock = FakeClock()
    harness = await open_harness(
        ScriptedModel(call("calculate", '{"expression":"6*7"}'), "It is 42.", "You are welcome"), clock=clock
    )
    picture = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
    }
    await harness.door.chat(
        "a", [{"role": "user", "content": [{"type": "text", "text": "6*7? \u2028 🦜"}, picture]}]
    )
    await post(harness, at("a"), {"title": "Sums", "metadata": {"k": "v"}})
    exported = await harness.door.get(at("a", "/export"))
    assert exported.headers["content-type"] == "application/jsonl"
    assert json.loads(exported.raw.splitlines()[0]) == {
        "format": "nanobot.session",
        "version": 2,
        "key": "a",
        "title": "Sums",
        "metadata": {"k": "v"},
    }
    clock.advance(60)
    reply = await post(harness, at("b", "/import"), exported.raw)
    assert (reply.status, reply.json["title"], reply.json["messages"]) == (200, "Sums", 4)
    store = harness.app.store
    old, new = await store.messages("a", limit=9), await store.messages("b", limit=9)
    assert [(row.message, row.created_at) for row in old] == [(row.message, row.created_at) for row in new]
    again = await harness.door.get(at("b", "/export"))
    assert [{**json.loads(line), "key": 0, "turn_id": 0} for line in again.raw.splitlines()] == [
        {**json.loads(line), "key": 0, "turn_id": 0} for line in exported.raw.splitlines()
    ]
    assert (await harness.door.chat("b", "thanks")).said == "You are welcome"


async def test_a_long_export_comes_in_pages_to_its_end(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    history = [{"role": "user" if n % 2 == 0 else "assistant", "content": f"{n}"} for n in range(900)]
    await harness.door.chat("a", [*history, {"role": "user", "content": "last"}])
    lines = (await harness.door.get(at("a", "/export"))).raw.splitlines()
    assert [json.loads(line)["content"] for line in lines[1:]] == [
        *(f"{n}" for n in range(900)),
        "last",
        "ok",
    ]
    assert (await post(harness, at("b", "/import"), b"\n".join(lines))).json["messages"] == 902


HEAD = '{"format":"nanobot.session","version":1}\n'


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("", 1),
        ("hello", 1),
        ('{"role":"user","content":"x"}', 1),
        ('{"format":"other","version":1}', 1),
        ('{"format":"nanobot.session","version":3}', 1),
        (HEAD + '{"role":"user","content":"x"}\n{"role":', 3),
        (HEAD + '{"role":"user","content":"x"}\n\n{"role":"system","content":"x"}', 4),
        (HEAD + '{"role":"user","content":7}', 2),
        (
            HEAD
            + '{"role":"user","content":[{"type":"image_url","image_url":'
            + '{"url":"https://example.org/x.png"}}]}',
            2,
        ),
        (HEAD + '{"role":"user","content":[{"type":"video"}]}', 2),
        (HEAD + '{"role":"user","parts":[{"type":"tool_call","id":"c","name":"f","arguments":"{}"}]}', 2),
        (HEAD + '{"role":"tool","parts":[]}', 2),
        (HEAD + '{"role":"user","content":"x","created_at":1e300}', 2),
        (HEAD + "[" * 100_000, 2),
    ],
)
async def test_a_bad_line_is_named_and_nothing_is_kept(
    open_harness: OpenHarness, body: str, line: int
) -> None:
    harness = await open_harness()
    reply = await post(harness, at("a", "/import"), body.encode())
    assert reply.status == 400
    assert reply.error["message"].startswith(f"line {line}: ")
    assert (await harness.door.get(at("a"))).status == 404


async def test_messages_as_other_programs_have_them_can_be_imported(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    harness = await open_harness(clock=clock)
    body = (
        "\ufeff"
        + HEAD
        + '{"role":"user","content":"hello","name":"ann"}\r\n{"role":"assistant","content":"hi"}\r\n'
    )
    assert (await post(harness, at("a", "/import"), body.encode())).status == 200
    rows = await harness.app.store.messages("a", limit=9)
    assert [(row.message.role, row.message.text, row.created_at) for row in rows] == [
        ("user", "hello", clock.now()),
        ("assistant", "hi", clock.now()),
    ]


# Live events --------------------------------------------------------------------------------------


async def test_everything_that_happens_in_a_session_is_seen_live(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("ok", call("calculate", '{"expression":"6*7"}'), "It is 42."))
    await harness.door.chat("a", "hello")
    watching = [harness.door.start("GET", at("a", "/events")) for _ in range(3)]
    for exchange in watching:
        await exchange.begun()
    turn_id = (await harness.door.chat("a", "6*7?")).turn_id
    for exchange in watching:
        await exchange.until("event: turn_ended")
        names = [name for name, _ in groupby(event.name for event in exchange.events)]
        assert names == [
            "turn_admitted",
            "turn_started",
            "message_added",
            "tool_started",
            "tool_finished",
            "text_delta",
            "message_added",
            "turn_ended",
        ]
        contents = [json.loads(event.content) for event in exchange.events]
        assert {content["turn_id"] for content in contents} == {turn_id}
        assert contents[0]["input"] == [{"role": "user", "content": "6*7?"}]
        assert contents[4]["content"] == "42"
        assert contents[-1]["outcome"] == "done"
        assert all(str(event.id).startswith(f"{turn_id}:") for event in exchange.events)
    watching[0].disconnect()
    await watching[0].done()
    last = [event.id for event in watching[1].events if event.name == "text_delta"][-1]
    again = harness.door.start("GET", at("a", "/events"), headers={"last-event-id": str(last)})
    await again.until("event: turn_ended")
    assert [event.name for event in again.events] == ["message_added", "turn_ended"]
    await harness.close()
    for exchange in (*watching[1:], again):
        await exchange.done()
        assert exchange.is_complete


async def test_a_stream_has_no_head_of_its_own_to_ask_for(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    await harness.door.chat("a", "hello")
    reply = await harness.door.call("HEAD", at("a", "/events"))
    assert (reply.status, reply.headers["allow"]) == (405, "GET")


async def test_a_quiet_stream_says_that_it_lives(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"ping_s": 0.01})
    await harness.door.chat("a", "hello")
    exchange = harness.door.start("GET", at("a", "/events"))
    await exchange.until(": ping\n: ping\n: ping\n")
    exchange.disconnect()
    await exchange.done()


async def test_a_watcher_keeps_no_turn_alive(open_harness: OpenHarness) -> None:
    model = PausedModel()
    harness = await open_harness(model, api={"disconnect_grace_s": 0.0})
    exchange = harness.door.chatting("a", "hello", stream=True)
    await exchange.until("Hello")
    watcher = harness.door.start("GET", at("a", "/events"))
    await watcher.begun()
    exchange.disconnect()
    await watcher.until('"outcome":"cancelled"')


@pytest.mark.parametrize("after", ["x", "turn_x", "turn_x:", "turn_x:-1", ":1", "turn_x:1x"])
async def test_a_place_to_go_on_from_that_is_none_is_a_400(open_harness: OpenHarness, after: str) -> None:
    harness = await open_harness()
    await harness.door.chat("a", "hello")
    assert (await harness.door.get(at("a", f"/events?after={after}"))).status == 400


# What is not there, and what is not the caller's --------------------------------------------------

ROUTES: list[tuple[str, str, object]] = [
    ("GET", "", None),
    ("POST", "", {"title": "x"}),
    ("DELETE", "", None),
    ("GET", "/messages", None),
    ("GET", "/branches", None),
    ("POST", "/fork", {"key": "wx:dm:new"}),
    ("POST", "/rewind", {"message_id": "msg_1"}),
    ("GET", "/export", None),
    ("GET", "/events", None),
]


def become(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    """Let the door take every request for one of such a caller."""
    monkeypatch.setattr("nanobot.http.authentication.EVERYBODY", Caller(**fields))


@pytest.mark.parametrize(
    ("method", "rest", "body"), ROUTES, ids=[f"{method} {rest}" for method, rest, _ in ROUTES]
)
async def test_a_foreign_session_answers_exactly_as_one_that_is_not_there(
    open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch, method: str, rest: str, body: object
) -> None:
    harness = await open_harness()
    await harness.door.chat("tg:dm:CANARY", "CANARY")
    become(monkeypatch, patterns=("wx:*",))
    raw = json.dumps(body).encode() if body is not None else b""
    answers: list[tuple[int, str, list[str]]] = []
    for key in ("tg:dm:CANARY", "tg:dm:NOBODY", "wx:dm:NOBODY"):
        reply = await harness.door.call(method, at(key, rest), body=raw)
        answers.append(
            (
                reply.status,
                reply.text.replace(key, "KEY"),
                [name for name in reply.headers if name != "content-length"],
            )
        )
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == 404


async def test_lists_searches_and_new_keys_stay_within_the_patterns_of_the_caller(
    open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = await open_harness()
    for key in ("wx:dm:ann", "tg:dm:ann", "wx:dm:bob"):
        await harness.door.chat(key, f"CANARY {key}")
    export = (await harness.door.get(at("wx:dm:ann", "/export"))).raw
    become(monkeypatch, patterns=("wx:dm:ann", "wx:dm:ann:*"))
    for path in (
        "/v1/sessions",
        "/v1/sessions?q=canary",
        "/v1/sessions?prefix=wx",
        "/v1/sessions?q=canary&limit=1",
    ):
        reply = await harness.door.get(path)
        assert [each["key"] for each in reply.json["data"]] == ["wx:dm:ann"]
        assert reply.json["has_more"] is False
        assert "tg:dm" not in reply.text and "bob" not in reply.text
    for path in ("/v1/sessions?after=tg%3Adm%3Aann", "/v1/sessions?q=canary&after=tg%3Adm%3Aann"):
        foreign, absent = await harness.door.get(path), await harness.door.get(path.replace("ann", "eve"))
        assert (foreign.status, foreign.text.replace("ann", "eve")) == (404, absent.text)
    for key in ("tg:dm:ann", "tg:dm:new"):
        assert (await post(harness, at("wx:dm:ann", "/fork"), {"key": key})).status == 404
        assert (await post(harness, at(key, "/import"), export)).status == 404
    assert (await post(harness, at("wx:dm:ann", "/fork"), {})).json["key"].startswith("wx:dm:ann:fork_")
    become(monkeypatch, patterns=("wx:dm:ann",))
    reply = await post(harness, at("wx:dm:ann", "/fork"), {})
    assert (reply.status, reply.error["param"]) == (400, "key")
    become(monkeypatch)
    assert sorted(await ids(harness, "/v1/sessions"))[:2] == ["tg:dm:ann", "wx:dm:ann"]


@pytest.mark.parametrize(("method", "rest", "body"), [*ROUTES, ("POST", "/import", None)])
async def test_reading_and_changing_are_two_rights(
    open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch, method: str, rest: str, body: object
) -> None:
    harness = await open_harness()
    needed = "sessions:read" if method == "GET" else "sessions:write"
    become(monkeypatch, rights=frozenset(RIGHTS) - {needed})
    reply = await harness.door.call(method, at("a", rest), body=json.dumps(body).encode())
    assert (reply.status, reply.error["code"]) == (403, "missing_right")


async def test_forks_exports_searches_and_events_of_one_session_give_away_nothing_of_another(
    open_harness: OpenHarness,
) -> None:
    keys = [f"wx:dm:{number}" for number in range(8)]
    canaries = {key: f"CANARY{number:04d}" for number, key in enumerate(keys)}
    harness = await open_harness(ScriptedModel("ok"))
    for key in keys:
        await harness.door.chat(key, f"my secret is {canaries[key]}")
    watching = {key: harness.door.start("GET", at(key, "/events")) for key in keys}
    for exchange in watching.values():
        await exchange.begun()
    await asyncio.gather(*(harness.door.chat(key, f"again: {canaries[key]}") for key in keys))
    for key in keys:
        await post(harness, at(key, "/fork"), {"key": f"{key}:fork"})
        await watching[key].until("event: turn_ended")
        paths = (
            at(key, "/export"),
            at(key, "/messages"),
            at(f"{key}:fork", "/messages"),
            at(f"{key}:fork", "/export"),
        )
        seen = [watching[key].text, *[(await harness.door.get(path)).text for path in paths]]
        for text in seen:
            assert {canary for canary in canaries.values() if canary in text} == {canaries[key]}
        found = await ids(harness, f"/v1/sessions?q={canaries[key]}")
        assert set(found) == {key, f"{key}:fork"}


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
    async with asyncio.timeout(10):
        while len(left := await ids(harness, "/v1/sessions?limit=100")) > 3:
            clock.advance(600)
            await asyncio.sleep(0)
    assert sorted(left) == ["tg:ann", "wx:used", "wx:vip:ann"]
