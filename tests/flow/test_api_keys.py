"""API keys: what each may do and see, when it ends, what becomes of wrong ones, and that a running server
hears of changes.
"""

import asyncio
import datetime
from typing import Any

import pytest

from nanobot.access.keyring import REFRESH_S
from nanobot.core.accounts import digest_of
from nanobot.stores.sqlite.offline import SqliteOffline
from nanobot.testing import FakeClock
from tests.access import OWNER, bearer, give_key
from tests.asgi import ABSENT, BOUND_S, Exchange
from tests.flow.paused import settled
from tests.harness import Harness, OpenHarness


async def denied(reply: Exchange) -> bool:
    return (reply.status, reply.error["code"]) == (401, "invalid_api_key")


async def test_as_soon_as_there_is_a_key_the_door_asks_for_one(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    assert (await harness.door.get("/v1/models")).status == 200
    ann = await give_key(harness, "ann")
    assert (await harness.door.get("/v1/models")).status == 401
    assert (await harness.door.get("/v1/models", ann)).status == 200
    assert (await harness.door.get("/health")).status == 200


async def test_a_running_server_hears_of_a_new_and_of_a_revoked_key_within_a_second(
    open_harness: OpenHarness,
) -> None:
    """No request looks into the database for it."""
    clock = FakeClock()
    harness = await open_harness(clock=clock)
    ann = await give_key(harness, "ann")
    await settled(harness)
    with SqliteOffline(harness.data).write_api_keys() as keys:
        keys.revoke("ann", clock.now())
    assert (await harness.door.get("/v1/models", ann)).status == 200
    async with asyncio.timeout(BOUND_S):
        while (await harness.door.get("/v1/models", ann)).status == 200:
            clock.advance(REFRESH_S)
            await settled(harness)
    assert await denied(await harness.door.get("/v1/models", ann))
    assert await denied(await harness.door.get("/v1/models")), (
        "the door that asked for keys does not open when the last one is revoked"
    )


async def test_a_key_that_was_forgotten_leaves_the_door_as_it_was_before_there_were_any(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness()
    await give_key(harness, "ann")
    with SqliteOffline(harness.data).write_api_keys() as keys:
        keys.forget("ann", 1.0)
    await harness.app.accounts.keys.refresh(harness.app.store)
    assert (await harness.door.get("/v1/models")).status == 200
    public = await open_harness(server={"host": "0.0.0.0"}, api={"key": OWNER})
    assert (await public.door.get("/v1/models")).status == 401


async def test_a_key_expires(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    harness = await open_harness(clock=clock)
    ann = await give_key(harness, "ann", expires_at=clock.now() + 60)
    assert (await harness.door.get("/v1/models", ann)).status == 200
    clock.advance(60)
    assert await denied(await harness.door.get("/v1/models", ann))


async def test_keys_of_the_settings_are_given_by_their_hash(open_harness: OpenHarness) -> None:
    until = datetime.datetime(2027, 1, 16)
    table = {
        "name": "ci",
        "hash": f"sha256:{digest_of(b'nb-ci').hex()}",
        "sessions": ["ci:*"],
        "scopes": ["chat"],
        "expires": until,
    }
    clock = FakeClock()
    harness = await open_harness(clock=clock, keys=[table])
    assert (await harness.door.chat("ci:1", "hello", bearer("nb-ci"))).said == "ok"
    assert (await harness.door.chat("wx:1", "hello", bearer("nb-ci"))).status == 404
    assert (await harness.door.get("/v1/sessions/ci%3A1/usage", bearer("nb-ci"))).status == 403
    clock.advance(until.replace(tzinfo=datetime.UTC).timestamp() - clock.now())
    assert await denied(await harness.door.chat("ci:1", "hello", bearer("nb-ci")))


@pytest.mark.parametrize(
    ("fields", "needle"),
    [
        ({"session_key": "b:1"}, "matches none"),
        ({"sessions": ("",)}, "pattern"),
        ({"name": ""}, "name"),
        ({"session_key": "nanobot:x", "sessions": ()}, "nanobot:"),
    ],
)
async def test_a_key_of_the_settings_that_makes_no_sense_is_told(
    open_harness: OpenHarness, fields: dict[str, Any], needle: str
) -> None:
    from nanobot.core.errors import ConfigError

    table = {"name": "ci", "hash": "sha256:" + "0" * 64, "sessions": ("a:*",)} | fields
    with pytest.raises(ConfigError, match=needle) as told:
        await open_harness(keys=[table])
    assert "keys[0]" in str(told.value)


async def test_a_right_that_a_key_lacks_is_a_403_and_admin_includes_the_others(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness()
    reader = await give_key(harness, "reader", rights=("sessions:read",))
    admin = await give_key(harness, "admin", rights=("admin",))
    reply = await harness.door.chat("a", "hello", reader)
    assert (reply.status, reply.error["code"]) == (403, "missing_right")
    assert "'chat'" in reply.error["message"]
    assert (await harness.door.chat("a", "hello", admin)).said == "ok"
    assert (await harness.door.get("/v1/sessions/a/usage", reader)).status == 200


async def test_a_key_says_whether_its_requests_are_the_whole_conversation(open_harness: OpenHarness) -> None:
    table = {"name": "ci", "hash": f"sha256:{digest_of(b'nb-ci').hex()}", "history": "whole"}
    rules = {"history": [{"pattern": "part:*", "mode": "auto"}]}
    harness = await open_harness(keys=[table], sessions=rules)
    stored = await give_key(harness, "ann", history="whole")
    for who in (bearer("nb-ci"), stored):
        for key, headers, kept in (
            ("a", {}, 2),
            ("b", {"x-history-mode": "auto"}, 4),
            ("part:1", {}, 4),
        ):
            name = f"{key} of {len(who['authorization'])}"
            await harness.door.chat(name, "Zed", who)
            await harness.door.chat(name, "Yan", who | headers)
            assert len(await harness.app.store.messages(name, limit=10)) == kept


async def test_a_key_may_bring_the_conversation_of_those_who_name_none(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    ann = await give_key(harness, "ann", "wx:dm:ann*", session_key="wx:dm:ann")
    body = {"model": "nanobot", "messages": [{"role": "user", "content": "hello"}]}
    reply = await harness.door.post(body, ann | {"x-session-key": ABSENT})
    assert reply.status == 200
    assert (await harness.door.get(f"/v1/turns/{reply.turn_id}", ann)).json["session_key"] == "wx:dm:ann"


@pytest.mark.parametrize("key", ["wx:dm:bob", "wx:dm:", "WX:dm:ann", "x-wx:dm:ann", "*"])
async def test_a_pattern_matches_verbatim_but_for_its_star(open_harness: OpenHarness, key: str) -> None:
    harness = await open_harness()
    ann = await give_key(harness, "ann", "wx:dm:ann*", "[ab]?")
    for seen in ("wx:dm:ann", "wx:dm:ann:and:more", "[ab]?"):
        assert (await harness.door.chat(seen, "hello", ann)).status == 200
    for unseen in (key, "ax", "a"):
        reply = await harness.door.chat(unseen, "hello", ann)
        assert (reply.status, reply.error["code"]) == (404, "session_not_found")


# Wrong keys ---------------------------------------------------------------------------------------


async def wrong(harness: Harness, number: int, **headers: str) -> Exchange:
    return await harness.door.get("/v1/models", bearer(f"sk-{number}") | headers)


async def test_after_ten_wrong_keys_in_a_minute_an_address_has_to_wait(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    harness = await open_harness(clock=clock, api={"key": "short"})
    strong = await give_key(harness, "ann")
    for number in range(10):
        assert (await wrong(harness, number)).status == 401
    reply = await wrong(harness, 10)
    assert (reply.status, reply.error["code"], reply.headers["retry-after"]) == (
        429,
        "too_many_bad_keys",
        "6",
    )
    assert (await harness.door.get("/v1/models", strong)).status == 200, (
        "who has a key is not kept out by what a neighbour sends"
    )
    assert (await harness.door.get("/v1/models", bearer("short"))).status == 429, (
        "one that could be guessed is not even looked at"
    )
    clock.advance(6)
    assert (await harness.door.get("/v1/models", bearer("short"))).status == 200
    assert [(await wrong(harness, number)).status for number in range(2)] == [401, 429]


async def test_right_keys_are_not_counted(open_harness: OpenHarness) -> None:
    harness = await open_harness(clock=FakeClock(), api={"key": "short"})
    for _ in range(20):
        assert (await harness.door.get("/v1/models", bearer("short"))).status == 200
    assert (await wrong(harness, 1)).status == 401


# Pages of other sites -----------------------------------------------------------------------------


ORIGIN = "https://chat.example"
PREFLIGHT = {
    "origin": ORIGIN,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization, x-session-key",
}


async def test_a_page_whose_origin_is_listed_may_ask_before_it_sends_a_key(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"key": OWNER, "cors_origins": [ORIGIN]})
    asked = await harness.door.call("OPTIONS", "/v1/chat/completions", headers=PREFLIGHT)
    assert (asked.status, asked.raw) == (204, b"")
    assert asked.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert asked.headers["access-control-allow-headers"] == "authorization, x-session-key"
    said = await harness.door.chat("a", "hello", bearer(OWNER) | {"origin": ORIGIN})
    assert said.said == "ok"
    assert said.headers["access-control-allow-origin"] == ORIGIN
    assert {"x-turn-id", "x-request-id", "x-history"} <= set(
        said.headers["access-control-expose-headers"].split(", ")
    )
    refused = await harness.door.chat("a", "hello", {"origin": ORIGIN})
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)


async def test_a_page_of_any_other_origin_is_refused_and_is_told_nothing(open_harness: OpenHarness) -> None:
    for listed in ([], [ORIGIN]):
        harness = await open_harness(api={"key": OWNER, "cors_origins": listed})
        for headers in (
            PREFLIGHT | {"origin": "https://evil.example"},
            {"origin": "https://evil.example"} | bearer(OWNER),
        ):
            reply = await harness.door.call(
                "OPTIONS" if len(headers) > 2 else "GET", "/v1/models", headers=headers
            )
            assert reply.status == 403
            assert not any(name.startswith("access-control") for name in reply.headers)


async def test_any_origin_is_never_enough_where_no_key_is_asked_for(open_harness: OpenHarness) -> None:
    open_to_all = await open_harness(api={"cors_origins": ["*"]})
    assert (await open_to_all.door.chat("a", "hello", {"origin": "https://evil.example"})).status == 403
    guarded = await open_harness(api={"cors_origins": ["*"], "key": OWNER})
    assert (
        await guarded.door.chat("a", "hello", {"origin": "https://any.example"} | bearer(OWNER))
    ).status == 200
