"""One turn, exactly once, over HTTP: resent requests, busy sessions, looking and cancelling."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nanobot.core.errors import ModelOverloaded, ModelRefusedKey
from nanobot.core.message import Message, Text, Usage
from nanobot.testing import FakeClock, Say, ScriptedModel, call
from tests.asgi import Exchange
from tests.flow.paused import RETRY, PausedModel, settled, transcript, until_asked, until_status
from tests.harness import Harness, OpenHarness

# Sent again ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_a_retry_joins_the_running_turn(open_harness: OpenHarness, stream: bool) -> None:
    model = PausedModel()
    harness = await open_harness(model)
    first = harness.door.chatting("a", "hello", stream=stream)
    await until_asked(model)
    again = harness.door.chatting("a", "hello", RETRY, stream=stream)
    model.gate.set()
    one, other = await harness.door.each([first, again])
    assert one.said == other.said == "Hello there"
    assert one.turn_id == other.turn_id
    assert len(model.requests) == 1
    assert await transcript(harness, "a") == ["hello", "Hello there"]


async def unheard(harness: Harness, model: PausedModel, *, stream: bool = False, **fields: Any) -> Exchange:
    """Say hello and go away before the answer is whole, which is then stored; return the exchange."""
    exchange = harness.door.chatting("a", "hello", stream=stream, **fields)
    await until_asked(model)
    if stream:
        await exchange.until("Hello")
    await settled(harness)
    (row, *_) = await harness.app.store.messages("a", limit=1)
    exchange.disconnect()
    await exchange.done()
    model.gate.set()
    assert row.turn_id is not None
    await until_status(harness, row.turn_id, "done")
    return exchange


@pytest.mark.parametrize("stream", [False, True])
async def test_a_retry_replays_the_stored_answer_even_after_a_restart(
    open_harness: OpenHarness, tmp_path: Path, stream: bool
) -> None:
    model = PausedModel()
    harness = await open_harness(model, data=tmp_path / "data")
    options = {"include_usage": True}
    await unheard(harness, model, stream=stream, stream_options=options)
    (row, *_) = await harness.app.store.messages("a", limit=1)
    await harness.close()
    model = PausedModel("never said")
    harness = await open_harness(model, data=tmp_path / "data")
    again = await harness.door.chat("a", "hello", RETRY, stream=stream, stream_options=options)
    assert (again.status, again.said, again.turn_id) == (200, "Hello there", row.turn_id)
    assert model.requests == []
    usage = again.chunks[-1]["usage"] if stream else again.json["usage"]
    assert usage["prompt_tokens"] > 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_retry_of_what_was_answered_whole_is_another_message(
    open_harness: OpenHarness, tmp_path: Path, stream: bool, restarted: bool
) -> None:
    """People say the same thing twice, and the first try of the second may have been lost on its way."""
    harness = await open_harness(ScriptedModel("hello", "one", "two"), data=tmp_path / "data")
    await harness.door.chat("a", "hi")
    first = await harness.door.chat("a", "go", stream=stream)
    if restarted:
        await harness.close()
        harness = await open_harness(ScriptedModel("two"), data=tmp_path / "data")
    second = await harness.door.chat("a", "go", RETRY, stream=stream)
    assert (second.status, second.said) == (200, "two")
    assert second.turn_id != first.turn_id
    assert await transcript(harness, "a") == ["hi", "hello", "go", "one", "go", "two"]


@pytest.mark.parametrize("policy", ["reject", "queue"])
async def test_a_retry_of_what_was_refused_is_another_message(open_harness: OpenHarness, policy: str) -> None:
    """Though the same words are being answered, or were and nobody heard it."""
    model = PausedModel("Hello", " there", "and again", "and again")
    harness = await open_harness(model, api={"max_queue": 1})
    running = harness.door.chatting("a", "go")
    await until_asked(model)
    waiting = harness.door.chatting("a", "wait")
    await settled(harness)
    refused = await harness.door.chat("a", "go", {"x-when-busy": policy})
    assert refused.status == (409 if policy == "reject" else 429)
    again = await harness.door.chat("a", "go", {"x-when-busy": policy, **RETRY})
    assert again.status == refused.status
    model.gate.set()
    await harness.door.each([running, waiting])
    taken = await harness.door.chat("a", "go", {"x-when-busy": policy, "x-stainless-retry-count": "2"})
    assert (taken.status, taken.said) == (200, "and again")
    assert await transcript(harness, "a") == ["go", "Hello there", "wait", "and again", "go", "and again"]


async def test_a_retry_whose_turn_was_not_the_newest_is_another_message(open_harness: OpenHarness) -> None:
    model = PausedModel("Hello", " there", "yes", "hello again")
    harness = await open_harness(model)
    await unheard(harness, model)
    await harness.door.chat("a", "and you?")
    again = await harness.door.chat("a", "hello", RETRY)
    assert again.said == "hello again"


@pytest.mark.parametrize("count", ["0", "00", "", "x", "-1"])
async def test_a_first_try_is_a_turn_of_its_own(open_harness: OpenHarness, count: str) -> None:
    model = ScriptedModel()
    harness = await open_harness(model)
    await harness.door.chat("a", "hello")
    await harness.door.chat("a", "hello", {"x-stainless-retry-count": count})
    assert len(model.requests) == 2


async def test_a_try_may_be_counted_with_more_digits_than_python_reads(open_harness: OpenHarness) -> None:
    model = PausedModel()
    harness = await open_harness(model)
    await unheard(harness, model)
    again = await harness.door.chat("a", "hello", {"x-stainless-retry-count": "9" * 5_000})
    assert (again.status, again.said) == (200, "Hello there")
    assert len(model.requests) == 1


async def test_a_retry_with_another_body_is_a_turn_of_its_own(open_harness: OpenHarness) -> None:
    model = ScriptedModel()
    harness = await open_harness(model)
    await harness.door.chat("a", "hello")
    await harness.door.chat("a", "hello", RETRY, temperature=1)
    await harness.door.chat("b", "hello", RETRY)
    assert len(model.requests) == 3


@pytest.mark.parametrize(("seconds", "turns"), [(59, 1), (61, 2)])
async def test_a_retry_after_the_window_is_a_turn_of_its_own(
    open_harness: OpenHarness, seconds: float, turns: int
) -> None:
    clock, model = FakeClock(), PausedModel()
    harness = await open_harness(model, clock=clock, api={"retry_window_s": 60.0})
    await unheard(harness, model)
    clock.advance(seconds)
    await harness.door.chat("a", "hello", RETRY)
    assert len(model.requests) == turns


async def test_how_the_answer_is_sent_is_no_part_of_what_is_sent_again(open_harness: OpenHarness) -> None:
    model = ScriptedModel("one")
    harness = await open_harness(model)
    key = {"idempotency-key": "order-17"}
    usage = {"include_usage": True}
    answers = [
        await harness.door.chat("a", "hello", key),
        await harness.door.chat("a", "hello", key, stream=False),
        await harness.door.chat("a", "hello", key, stream=True),
        await harness.door.chat("a", "hello", key, stream=True, stream_options=usage),
        await harness.door.chat("a", "hello", key),
    ]
    assert {answer.said for answer in answers} == {"one"}
    assert len(model.requests) == 1
    assert (await harness.door.chat("a", "hello", key, stream=True, temperature=1)).status == 422


async def test_an_idempotency_key_joins_replays_and_refuses_another_body(open_harness: OpenHarness) -> None:
    model = ScriptedModel("one", "two")
    harness = await open_harness(model)
    key = {"idempotency-key": "order-17"}
    first = await harness.door.chat("a", "hello", key)
    again = await harness.door.chat("a", "hello", key)
    assert (again.said, again.turn_id) == ("one", first.turn_id)
    other = await harness.door.chat("a", "something else", key)
    assert other.status == 422
    assert other.error["code"] == "idempotency_mismatch"
    assert "order-17" in other.error["message"]
    assert (await harness.door.chat("b", "hello", key)).said == "two"
    assert len(model.requests) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_replay_later_on_tells_the_time_of_its_turn(open_harness: OpenHarness, stream: bool) -> None:
    clock = FakeClock()
    harness = await open_harness(ScriptedModel("one"), clock=clock)
    key = {"idempotency-key": "order-17"}
    first = await harness.door.chat("a", "hello", key, stream=stream)
    clock.advance(61)
    again = await harness.door.chat("a", "hello", key, stream=stream)
    created = [
        {chunk["created"] for chunk in (answer.chunks if stream else [answer.json])}
        for answer in (first, again)
    ]
    assert created[0] == created[1] and len(created[0]) == 1


async def test_a_retry_of_what_failed_in_passing_is_answered_under_the_old_id(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(ScriptedModel(ModelOverloaded("overloaded"), "here I am"))
    first = await harness.door.chat("a", "hello")
    assert (first.status, first.headers["x-should-retry"]) == (503, "true")
    assert await transcript(harness, "a") == []
    again = await harness.door.chat("a", "hello", RETRY)
    assert (again.status, again.said, again.turn_id) == (200, "here I am", first.turn_id)
    assert await transcript(harness, "a") == ["hello", "here I am"]


async def test_a_retry_of_what_failed_for_good_gets_the_same_failure(open_harness: OpenHarness) -> None:
    model = ScriptedModel(ModelRefusedKey("the provider refused the key"), "never said")
    harness = await open_harness(model)
    first = await harness.door.chat("a", "hello")
    again = await harness.door.chat("a", "hello", RETRY)
    assert (again.status, again.json, again.turn_id) == (502, first.json, first.turn_id)
    assert again.headers["x-should-retry"] == "false"
    assert len(model.requests) == 1


# Busy sessions ------------------------------------------------------------------------------------


async def test_requests_for_one_key_are_answered_in_order_of_arrival(open_harness: OpenHarness) -> None:
    model = ScriptedModel(lambda request: f"re {request.messages[-1].text}")
    harness = await open_harness(model)
    exchanges = []
    for number in range(10):
        exchanges.append(harness.door.chatting("a", f"{number}"))
        await asyncio.sleep(0)
    assert [reply.said for reply in await harness.door.each(exchanges)] == [
        f"re {number}" for number in range(10)
    ]
    assert await transcript(harness, "a") == [
        text for number in range(10) for text in (f"{number}", f"re {number}")
    ]


async def test_different_keys_do_not_wait_for_each_other(open_harness: OpenHarness) -> None:
    model = PausedModel("Hello", " there", "quick")
    harness = await open_harness(model)
    slow = harness.door.chatting("slow", "hello")
    await until_asked(model)
    assert (await harness.door.chat("fast", "hello")).said == "quick"
    model.gate.set()
    assert (await slow.done()).said == "Hello there"


async def test_no_more_turns_run_at_once_than_the_setting_says(open_harness: OpenHarness) -> None:
    gate = asyncio.Event()
    model = ScriptedModel(Say(("ok",), before=gate))
    harness = await open_harness(model, engine={"max_running_turns": 3})
    exchanges = [harness.door.chatting(f"key {number}", "hello") for number in range(8)]
    await until_asked(model, 3)
    await settled(harness)
    assert harness.app.engine.running == 3
    assert len(model.requests) == 3
    gate.set()
    assert [reply.said for reply in await harness.door.each(exchanges)] == ["ok"] * 8


async def test_a_full_queue_is_a_429_that_says_when_to_come_back(open_harness: OpenHarness) -> None:
    model = PausedModel("Hello", " there", "next")
    harness = await open_harness(model, api={"max_queue": 2})
    waiting = [harness.door.chatting("a", "0")]
    await until_asked(model)
    waiting.extend(harness.door.chatting("a", f"{number}") for number in (1, 2))
    await settled(harness)
    reply = await harness.door.chat("a", "3")
    assert reply.status == 429
    assert (reply.error["type"], reply.error["code"]) == ("rate_limit_error", "queue_full")
    assert int(reply.headers["retry-after"]) >= 1
    model.gate.set()
    assert [reply.status for reply in await harness.door.each(waiting)] == [200, 200, 200]
    assert await transcript(harness, "a") == ["0", "Hello there", "1", "next", "2", "next"]


async def test_who_would_not_wait_gets_a_409_that_sdks_do_not_retry(open_harness: OpenHarness) -> None:
    model = PausedModel("Hello", " there", "now")
    harness = await open_harness(model)
    first = harness.door.chatting("a", "hello")
    await until_asked(model)
    reply = await harness.door.chat("a", "x", {"x-when-busy": "reject"})
    assert reply.status == 409
    assert (reply.error["type"], reply.error["code"]) == ("conflict_error", "session_busy")
    assert reply.headers["x-should-retry"] == "false"
    model.gate.set()
    await first.done()
    assert (await harness.door.chat("a", "x", {"x-when-busy": "Reject "})).said == "now"
    assert await transcript(harness, "a") == ["hello", "Hello there", "x", "now"]


async def test_who_interrupts_is_answered_next_and_the_interrupted_one_is_told(
    open_harness: OpenHarness,
) -> None:
    model = PausedModel("Once upon", " a time", "42")
    harness = await open_harness(model)
    story = harness.door.chatting("a", "tell me a story", stream=True)
    await story.until("Once upon")
    reply = await harness.door.chat("a", "stop. 6*7?", {"x-when-busy": "interrupt"})
    assert reply.said == "42"
    await story.done()
    assert story.chunks[-1]["error"]["code"] == "turn_cancelled"
    assert "[DONE]" not in story.text
    assert await transcript(harness, "a") == ["tell me a story", "Once upon", "stop. 6*7?", "42"]
    assert model.closed_streams == 2


async def test_an_interrupted_request_without_a_stream_is_a_409_that_sdks_do_not_retry(
    open_harness: OpenHarness,
) -> None:
    model = PausedModel("Once upon", " a time", "42")
    harness = await open_harness(model)
    story = harness.door.chatting("a", "tell me a story")
    await until_asked(model)
    await harness.door.chat("a", "stop", {"x-when-busy": "interrupt"})
    reply = await story.done()
    assert (reply.status, reply.error["code"], reply.headers["x-should-retry"]) == (
        409,
        "turn_cancelled",
        "false",
    )


@pytest.mark.parametrize("stream", [False, True])
async def test_who_steers_joins_the_running_turn_whose_answer_goes_to_its_followers_alone(
    open_harness: OpenHarness, stream: bool
) -> None:
    """A bot that posts every answer posts each text once."""
    model = PausedModel("Let me", " see", "Bonjour")
    harness = await open_harness(model)
    first = harness.door.chatting("a", "say hello", stream=stream)
    await until_asked(model)
    headers = {"x-when-busy": "steer", "idempotency-key": "m2"}
    second = harness.door.chatting("a", "in French", headers, stream=stream)
    await settled(harness)
    model.gate.set()
    one, other = await harness.door.each([first, second])
    again = await harness.door.chat("a", "in French", headers, stream=stream)
    assert one.said == "Let me see\n\nBonjour"
    assert "x-turn-joined" not in one.headers
    for joined in (other, again):
        assert (joined.status, joined.said, joined.turn_id) == (200, "", other.turn_id)
        assert joined.headers["x-turn-joined"] == one.turn_id != joined.turn_id
    if stream:
        assert other.chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        assert other.chunks[-1]["choices"][0]["finish_reason"] == "stop"
    else:
        assert other.json["choices"][0]["finish_reason"] == "stop"
        assert other.json["usage"]["total_tokens"] == 0
    shown = (await harness.door.get(f"/v1/turns/{other.turn_id}")).json
    assert (shown["status"], shown["joins"], shown["answer"]) == ("done", one.turn_id, None)
    assert (await harness.door.get(f"/v1/turns/{one.turn_id}")).json["joins"] is None
    assert [message.text for message in model.requests[-1].messages] == [
        "say hello",
        "Let me see",
        "in French",
    ]
    assert await transcript(harness, "a") == ["say hello", "Let me see", "in French", "Bonjour"]


# Looking and cancelling ---------------------------------------------------------------------------


async def test_a_turn_shows_its_state_and_its_answer(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    last = Say(("half",), Message("assistant", (Text("half"),), "length", Usage(10, 5)))
    harness = await open_harness(ScriptedModel(last), clock=clock)
    reply = await harness.door.chat("用户", "hello", max_tokens=5)
    shown = await harness.door.get(f"/v1/turns/{reply.turn_id}")
    assert shown.status == 200
    now = clock.now()
    assert shown.json == {
        "id": reply.turn_id,
        "object": "turn",
        "session_key": "用户",
        "status": "done",
        "joins": None,
        "attempt": 1,
        "model": "nanobot",
        "created_at": now,
        "started_at": now,
        "ended_at": now,
        "answer": {"role": "assistant", "content": "half", "finish_reason": "length"},
        "usage": reply.json["usage"],
        "error": None,
    }


@pytest.mark.parametrize("how", ["failed", "cancelled"])
async def test_a_turn_that_did_not_end_well_shows_what_it_used(open_harness: OpenHarness, how: str) -> None:
    """Its tokens were spent all the same."""
    gate = asyncio.Event()
    rest = ModelRefusedKey("revoked") if how == "failed" else Say(("never",), before=gate)
    model = ScriptedModel(call("calculate", '{"expression": "6*7"}'), rest)
    harness = await open_harness(model)
    exchange = harness.door.chatting("a", "6*7?", stream=True)
    await until_asked(model, 2)
    await exchange.begun()
    if how == "cancelled":
        await harness.door.call("POST", f"/v1/turns/{exchange.turn_id}/cancel")
    await exchange.done()
    usage = (await harness.door.get(f"/v1/turns/{exchange.turn_id}")).json["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (10, 5)


async def test_a_running_turn_shows_no_answer_yet(open_harness: OpenHarness) -> None:
    model = PausedModel()
    harness = await open_harness(model)
    exchange = harness.door.chatting("a", "hello", stream=True)
    await exchange.until("Hello")
    shown = (await harness.door.get(f"/v1/turns/{exchange.turn_id}")).json
    assert (shown["status"], shown["answer"], shown["usage"], shown["error"], shown["ended_at"]) == (
        "running",
        None,
        None,
        None,
        None,
    )


async def test_cancelling_a_running_turn_answers_when_it_has_ended(open_harness: OpenHarness) -> None:
    model = PausedModel("Once upon", " a time", "yes")
    harness = await open_harness(model)
    exchange = harness.door.chatting("a", "hello", stream=True)
    await exchange.until("Once upon")
    reply = await harness.door.call("POST", f"/v1/turns/{exchange.turn_id}/cancel")
    assert (reply.status, reply.json["status"]) == (200, "cancelled")
    assert reply.json["answer"]["content"] == "Once upon"
    await exchange.done()
    assert exchange.chunks[-1]["error"]["code"] == "turn_cancelled"
    assert model.closed_streams == 1
    again = await harness.door.call("POST", f"/v1/turns/{exchange.turn_id}/cancel")
    assert {**again.json} == {**reply.json}
    assert (await harness.door.chat("a", "go on")).said == "yes"


async def test_cancelling_a_turn_that_waits_answers_at_once(open_harness: OpenHarness) -> None:
    model = PausedModel()
    harness = await open_harness(model, api={"ping_s": 0.01})
    first = harness.door.chatting("a", "first")
    await until_asked(model)
    second = harness.door.chatting("a", "second", stream=True)
    await second.begun()
    reply = await harness.door.call("POST", f"/v1/turns/{second.turn_id}/cancel")
    assert reply.json["status"] == "cancelled"
    await second.done()
    assert second.chunks[-1]["error"]["code"] == "turn_cancelled"
    model.gate.set()
    assert (await first.done()).said == "Hello there"
    assert await transcript(harness, "a") == ["first", "Hello there"]


async def test_cancelling_a_turn_that_has_ended_changes_nothing(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    reply = await harness.door.chat("a", "hello")
    shown = await harness.door.call("POST", f"/v1/turns/{reply.turn_id}/cancel")
    assert (shown.status, shown.json["status"], shown.json["answer"]["content"]) == (200, "done", "ok")


@pytest.mark.parametrize(
    "path", ["/v1/turns/turn_x", "/v1/turns/turn_x/stream", "/v1/turns/..%2f", "/v1/turns/用户"]
)
async def test_a_turn_that_nobody_knows_is_not_found(open_harness: OpenHarness, path: str) -> None:
    reply = await (await open_harness()).door.get(path)
    assert reply.status == 404
    assert reply.error["type"] == "invalid_request_error"


async def test_cancelling_a_turn_that_nobody_knows_is_not_found(open_harness: OpenHarness) -> None:
    reply = await (await open_harness()).door.call("POST", "/v1/turns/turn_x/cancel")
    assert (reply.status, reply.error["code"]) == (404, "turn_not_found")
