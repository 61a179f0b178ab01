"""Sessions over HTTP: those of others are not there, and a key may do what it has the right to."""

import asyncio
import json
from typing import Any

import pytest

from nanobot.access.caller import RIGHTS, Caller
from nanobot.testing import ScriptedModel
from tests.flow.listed_sessions import at, ids, post
from tests.harness import OpenHarness

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
