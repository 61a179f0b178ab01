"""Quotas by key and by session pattern, what clients are told of them, and what usage shows of it all."""

import asyncio
from pathlib import Path

from nanobot.core.errors import ModelOverloaded
from nanobot.core.message import Message, Text, ToolCall, Usage
from nanobot.testing import FakeClock, Say, ScriptedModel
from tests.access import OWNER, bearer, give_key
from tests.asgi import Exchange
from tests.flow.paused import RETRY, PausedModel, settled, until_asked, until_status
from tests.harness import Harness, OpenHarness

# of FakeClock
DAY = "2027-01-15"


def costing(prompt: int, completion: int, cached: int = 0) -> ScriptedModel:
    message = Message("assistant", (Text("ok"),), "stop", Usage(prompt, completion, cached), "m")
    return ScriptedModel(Say(("ok",), message), name="openai:m")


def refused(reply: Exchange) -> str:
    assert (reply.status, reply.error["param"]) == (429, None)
    assert int(reply.headers["retry-after"]) >= 1
    return str(reply.error["code"])


async def test_requests_a_minute_are_counted_down_in_openais_headers_and_come_back(
    open_harness: OpenHarness,
) -> None:
    clock = FakeClock()
    harness = await open_harness(clock=clock)
    ann, bob = await give_key(harness, "ann", requests_per_minute=2), await give_key(harness, "bob")
    for remaining, reset in (("1", "30s"), ("0", "1m0s")):
        reply = await harness.door.chat("a", "hello", ann)
        assert reply.status == 200
        assert reply.headers["x-ratelimit-limit-requests"] == "2"
        assert reply.headers["x-ratelimit-remaining-requests"] == remaining
        assert reply.headers["x-ratelimit-reset-requests"] == reset
    reply = await harness.door.chat("a", "hello", ann)
    assert refused(reply) == "rate_limit_exceeded"
    assert (reply.headers["retry-after"], reply.headers["x-ratelimit-remaining-requests"]) == ("30", "0")
    free = await harness.door.chat("a", "hello", bob)
    assert free.status == 200
    assert not any(name.startswith("x-ratelimit") for name in free.headers)
    clock.advance(30)
    assert (await harness.door.chat("a", "hello", ann)).status == 200


async def test_the_turn_that_a_request_was_given_is_told_again_whatever_the_quotas_say(
    open_harness: OpenHarness,
) -> None:
    """Else a client whose connection broke could never learn what it was answered."""
    harness = await open_harness(clock=FakeClock())
    ann = await give_key(harness, "ann", requests_per_minute=1)
    first = await harness.door.chat("a", "hello", ann | {"idempotency-key": "k"})
    for _ in range(2):
        again = await harness.door.chat("a", "hello", ann | {"idempotency-key": "k"})
        assert (again.status, again.turn_id) == (200, first.turn_id)
    for headers in ({"idempotency-key": "new"}, {}):
        assert refused(await harness.door.chat("a", "hello", ann | headers)) == "rate_limit_exceeded"
    assert refused(await harness.door.chat("a", "never sent", ann | RETRY)) == "rate_limit_exceeded"
    assert len(await harness.app.store.messages("a", limit=9)) == 2


async def test_a_request_that_joined_its_turn_or_was_refused_by_admission_costs_nothing(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(clock=FakeClock())
    ann = await give_key(harness, "ann", requests_per_minute=3)
    await harness.door.chat("a", "hello", ann | {"idempotency-key": "k"})
    assert (await harness.door.chat("a", "other", ann | {"idempotency-key": "k"})).status == 422
    again = await harness.door.chat("a", "hello", ann | {"idempotency-key": "k"})
    assert again.headers["x-ratelimit-remaining-requests"] == "2"


async def test_running_turns_are_counted_until_they_end_also_when_nobody_listens(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    model = PausedModel()
    harness = await open_harness(model, data=tmp_path / "data", api={"disconnect_grace_s": -1.0})
    ann = await give_key(harness, "ann", running_turns=1)
    running = harness.door.chatting("a", "hello", ann, stream=True)
    await running.until("Hello")
    assert refused(await harness.door.chat("b", "hello", ann)) == "rate_limit_exceeded"
    running.disconnect()
    await running.done()
    assert refused(await harness.door.chat("b", "hello", ann)) == "rate_limit_exceeded"
    await harness.close()
    again = PausedModel()
    harness = await open_harness(again, data=tmp_path / "data")
    await until_asked(again)
    assert refused(await harness.door.chat("b", "hello", ann)) == "rate_limit_exceeded", (
        "a turn that a restart took up counts as well"
    )
    again.gate.set()
    await until_done(harness, running.turn_id, ann)
    assert (await harness.door.chat("b", "hello", ann)).status == 200


async def until_done(harness: Harness, turn_id: str, key: dict[str, str]) -> None:
    while (await harness.door.get(f"/v1/turns/{turn_id}", key)).json["status"] != "done":
        await asyncio.sleep(0)


async def test_tokens_a_day_end_at_midnight_and_outlive_a_restart(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    clock = FakeClock()
    harness = await open_harness(costing(60, 40), clock=clock, data=tmp_path / "data")
    ann = await give_key(harness, "ann", tokens_per_day=150)
    assert (await harness.door.chat("a", "1", ann)).headers["x-ratelimit-remaining-tokens"] == "150"
    assert (await harness.door.chat("a", "2", ann)).headers["x-ratelimit-remaining-tokens"] == "50"
    reply = await harness.door.chat("a", "3", ann)
    assert refused(reply) == "insufficient_quota"
    assert reply.error["type"] == "insufficient_quota"
    assert reply.headers["x-should-retry"] == "false"
    assert "200" in reply.error["message"] and "150" in reply.error["message"]
    await harness.close()
    harness = await open_harness(costing(60, 40), clock=clock, data=tmp_path / "data")
    assert refused(await harness.door.chat("a", "3", ann)) == "insufficient_quota"
    clock.advance(float(reply.headers["retry-after"]))
    assert (await harness.door.chat("a", "3", ann)).status == 200


async def test_money_a_day_is_counted_by_the_price_of_the_model(open_harness: OpenHarness) -> None:
    prices = {"openai:m": {"input": 10, "output": 20, "cached_input": 1}}
    harness = await open_harness(costing(60_000, 20_000, cached=10_000), clock=FakeClock(), prices=prices)
    ann = await give_key(harness, "ann", money_per_day=0.9)
    # 0.5 + 0.01 + 0.4 $
    assert (await harness.door.chat("a", "1", ann)).status == 200
    assert refused(await harness.door.chat("a", "2", ann)) == "insufficient_quota"


async def test_a_quota_on_a_pattern_counts_its_sessions_together_or_each(open_harness: OpenHarness) -> None:
    for per, others in (("pattern", 429), ("session", 200)):
        rule = {"pattern": "wx:*", "requests_per_minute": 1, "per": per}
        harness = await open_harness(clock=FakeClock(), quotas=[rule])
        assert (await harness.door.chat("wx:ann", "hello")).status == 200
        assert (await harness.door.chat("wx:ann", "hello")).status == 429
        assert (await harness.door.chat("wx:bob", "hello")).status == others
        assert (await harness.door.chat("tg:bob", "hello")).status == 200


# Usage --------------------------------------------------------------------------------------------


async def test_usage_is_shown_by_day_key_and_model_and_a_key_sees_its_own(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    prices = {"openai:m": {"input": 1, "output": 2}}
    harness = await open_harness(
        costing(100, 10, 40),
        clock=clock,
        prices=prices,
        api={"key": OWNER},
        presets={"other": ScriptedModel()},
    )
    ann, bob = await give_key(harness, "ann", rights=("chat",)), await give_key(harness, "bob")
    await harness.door.chat("a", "1", ann)
    await harness.door.chat("a", "2", ann)
    await harness.door.chat("b", "3", bob)
    clock.advance(86_400)
    await harness.door.chat("b", "4", bob, model="other")
    own = (await harness.door.get("/v1/usage", ann)).json
    assert (own["object"], own["end"], own["has_more"]) == ("list", "2027-01-16", False)
    assert own["data"] == [
        {
            "object": "usage",
            "day": DAY,
            "key_id": None,
            "model": None,
            "totals": {
                "turns": 2,
                "steps": 2,
                "prompt_tokens": 200,
                "completion_tokens": 20,
                "total_tokens": 220,
                "cached_tokens": 80,
                "cached_share": 0.4,
                "reasoning_tokens": 0,
                "cost_usd": 0.00024,
                "unpriced_turns": 0,
            },
        }
    ]
    everything = (await harness.door.get("/v1/usage?group=key,model,day", bearer(OWNER))).json
    assert [
        (row["day"], row["key_id"], row["model"], row["totals"]["turns"]) for row in everything["data"]
    ] == [
        (DAY, "key_ann", "openai:m", 2),
        (DAY, "key_bob", "openai:m", 1),
        ("2027-01-16", "key_bob", "scripted", 1),
    ]
    assert everything["data"][2]["totals"]["cost_usd"] is None, "no price is not a price of nothing"
    assert everything["totals"]["turns"] == 4 and everything["totals"]["unpriced_turns"] == 1
    bounded = (await harness.door.get(f"/v1/usage?start={DAY}&end={DAY}&group=", bearer(OWNER))).json
    assert [row["totals"]["turns"] for row in bounded["data"]] == [3]


async def test_usage_of_a_session_goes_with_it_and_totals_stay(open_harness: OpenHarness) -> None:
    harness = await open_harness(costing(100, 10), clock=FakeClock())
    await harness.door.chat("wx:a/b", "1")
    path = "/v1/sessions/wx%3Aa%2Fb/usage"
    assert (await harness.door.get(path)).json["totals"]["total_tokens"] == 110
    await harness.app.store.delete_session("wx:a/b")
    assert ((await harness.door.get(path)).status, (await harness.door.get(path)).error["code"]) == (
        404,
        "session_not_found",
    )
    await harness.door.chat("wx:a/b", "1")
    assert (await harness.door.get(path)).json["totals"]["total_tokens"] == 110
    assert (await harness.door.get("/v1/usage")).json["totals"]["total_tokens"] == 220


async def test_a_turn_that_fails_and_is_taken_up_again_is_counted_once(open_harness: OpenHarness) -> None:
    called = Message("assistant", (Text("wait"), *calls()), "tool_calls", Usage(10, 5))
    ended = Message("assistant", (Text("done"),), "stop", Usage(20, 7))
    model = ScriptedModel(Say(("wait",), called), ModelOverloaded("busy"), Say(("done",), ended))
    harness = await open_harness(model, clock=FakeClock())
    assert (await harness.door.chat("a", "hello")).status == 503
    first = (await harness.door.get("/v1/usage")).json["totals"]
    assert (first["turns"], first["steps"], first["total_tokens"]) == (1, 1, 15)
    assert (await harness.door.chat("a", "hello", RETRY)).status == 200
    totals = (await harness.door.get("/v1/usage")).json["totals"]
    assert (totals["turns"], totals["steps"], totals["total_tokens"]) == (1, 2, 42)
    assert (await harness.door.get("/v1/sessions/a/usage")).json["totals"] == totals


async def test_a_turn_that_is_cancelled_costs_what_it_used(open_harness: OpenHarness) -> None:
    called = Message("assistant", calls(), "tool_calls", Usage(10, 5))
    model = PausedModel("Hello", " there", before=(Say((), called),))
    harness = await open_harness(model, clock=FakeClock())
    exchange = harness.door.chatting("a", "hello", stream=True)
    await exchange.until("Hello")
    await harness.door.call("POST", f"/v1/turns/{exchange.turn_id}/cancel")
    await exchange.done()
    await settled(harness)
    await until_status(harness, exchange.turn_id, "cancelled")
    assert (await harness.door.get("/v1/usage")).json["totals"]["total_tokens"] == 15


async def test_a_session_that_is_deleted_under_its_running_turn_takes_no_cost_with_it(
    open_harness: OpenHarness,
) -> None:
    """Else deleting would be a way around a quota."""
    called = Message("assistant", calls(), "tool_calls", Usage(10, 5))
    model = PausedModel("Hello", " there", before=(Say((), called),))
    harness = await open_harness(model, clock=FakeClock())
    ann = await give_key(harness, "ann", tokens_per_day=15)
    exchange = harness.door.chatting("a", "hello", ann, stream=True)
    await exchange.until("Hello")
    await harness.app.store.delete_session("a")
    await exchange.done()
    await settled(harness)
    assert (await harness.door.get("/v1/usage", ann)).json["totals"]["total_tokens"] == 15
    assert refused(await harness.door.chat("b", "hello", ann)) == "insufficient_quota"


def calls() -> tuple[ToolCall, ...]:
    return (ToolCall("c", "calculate", '{"expression": "1+1"}'),)


async def test_what_is_asked_of_usage_wrongly_is_told(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    for query, param in (
        ("start=yesterday", "start"),
        ("end=2026-13-01", "end"),
        ("start=2026-02-01&end=2026-01-01", "start"),
        ("start=1900-01-01", "start"),
        ("group=hour", "group"),
        ("end=20260101", "end"),
    ):
        reply = await harness.door.get(f"/v1/usage?{query}")
        assert (reply.status, reply.error["param"]) == (400, param), query
