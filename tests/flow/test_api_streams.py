"""Clients that go away, and those that come back: the grace, streams taken up again, restarts."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from nanobot.access.keyring import REFRESH_S
from nanobot.app.jobs import ERASURES_EVERY_S
from nanobot.app.periodic import CLEANUP_EVERY_S
from nanobot.app.skills import REFRESH_S as SKILLS_REFRESH_S
from nanobot.core.errors import ModelRefusedKey
from nanobot.testing import FakeClock, Say, ScriptedModel, call
from tests.asgi import BOUND_S, Exchange
from tests.flow.paused import (
    RETRY,
    PausedModel,
    settled,
    transcript,
    until_asked,
    until_sleeping,
    until_status,
)
from tests.harness import OpenHarness
from tests.wire.sse import joined_text

PERIODIC_S = {CLEANUP_EVERY_S, ERASURES_EVERY_S, REFRESH_S, SKILLS_REFRESH_S}
"""How long the server's periodic jobs sleep."""

# Clients that go away -----------------------------------------------------------------------------


async def test_a_turn_that_nobody_follows_for_the_grace_is_cancelled_and_what_was_said_stays(
    open_harness: OpenHarness,
) -> None:
    clock, model = FakeClock(), PausedModel("Once upon", " a time", "yes")
    harness = await open_harness(model, clock=clock, api={"disconnect_grace_s": 30.0})
    exchange = harness.door.chatting("a", "tell me a story", stream=True)
    await exchange.until("Once upon")
    turn_id = exchange.turn_id
    exchange.disconnect()
    await exchange.done()
    await until_sleeping(clock, 30)
    clock.advance(29)
    await settled(harness)
    assert (await harness.door.get(f"/v1/turns/{turn_id}")).json["status"] == "running"
    clock.advance(1)
    state = await until_status(harness, turn_id, "cancelled")
    assert state["answer"] == {"role": "assistant", "content": "Once upon", "finish_reason": "incomplete"}
    assert "30 s" in state["error"]["message"]
    assert await transcript(harness, "a") == ["tell me a story", "Once upon"]
    assert model.closed_streams == 1
    assert (await harness.door.chat("a", "go on")).said == "yes"


async def test_with_a_grace_of_0_the_turn_is_cancelled_at_once(open_harness: OpenHarness) -> None:
    model = PausedModel()
    harness = await open_harness(model, api={"disconnect_grace_s": 0.0})
    exchange = harness.door.chatting("a", "hello", stream=True)
    await exchange.until("Hello")
    exchange.disconnect()
    await exchange.done()
    await until_status(harness, exchange.turn_id, "cancelled")


async def test_with_a_grace_of_minus_1_the_turn_goes_on_for_ever(open_harness: OpenHarness) -> None:
    clock, model = FakeClock(), PausedModel()
    harness = await open_harness(model, clock=clock, api={"disconnect_grace_s": -1.0})
    exchange = harness.door.chatting("a", "hello", stream=True)
    await exchange.until("Hello")
    exchange.disconnect()
    await exchange.done()
    await settled(harness)
    # only the server's periodic jobs sleep, no grace does
    assert set(clock.slept) <= PERIODIC_S
    clock.advance(1_000_000)
    await settled(harness)
    model.gate.set()
    assert (await until_status(harness, exchange.turn_id, "done"))["answer"]["content"] == "Hello there"


async def test_a_request_says_for_itself_that_it_needs_no_follower(open_harness: OpenHarness) -> None:
    clock, model = FakeClock(), PausedModel()
    harness = await open_harness(model, clock=clock)
    headers = {"x-disconnect-grace": "-1", "idempotency-key": "m1"}
    exchange = harness.door.chatting("a", "hello", headers, stream=True)
    await exchange.until("Hello")
    exchange.disconnect()
    await exchange.done()
    await settled(harness)
    assert set(clock.slept) <= PERIODIC_S
    model.gate.set()
    await until_status(harness, exchange.turn_id, "done")
    assert (await harness.door.chat("a", "hello", headers, stream=True)).said == "Hello there"
    assert len(model.requests) == 1


async def test_a_request_says_for_itself_how_long_it_may_go_unfollowed(open_harness: OpenHarness) -> None:
    clock, model = FakeClock(), PausedModel()
    harness = await open_harness(model, clock=clock, api={"disconnect_grace_s": -1.0})
    exchange = harness.door.chatting("a", "hello", {"x-disconnect-grace": "2.5"}, stream=True)
    await exchange.until("Hello")
    exchange.disconnect()
    await exchange.done()
    await until_sleeping(clock, 2.5)
    clock.advance(2.5)
    state = await until_status(harness, exchange.turn_id, "cancelled")
    assert state["error"]["message"] == "no client followed the turn for 2.5 s (x-disconnect-grace)"


@pytest.mark.parametrize("sent", ["soon", "-2", "nan", "inf", "", "1e99", "-0.5"])
async def test_a_grace_that_is_no_time_is_refused(open_harness: OpenHarness, sent: str) -> None:
    harness = await open_harness()
    refused = await harness.door.chat("a", "hello", {"x-disconnect-grace": sent})
    assert (refused.status, refused.error["param"]) == (400, "x-disconnect-grace")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_message_that_is_delivered_again_and_again_has_one_answer(
    open_harness: OpenHarness, tmp_path: Path, stream: bool
) -> None:
    """As chat platforms do it: after 3 s, 15 s, 5 min, 1 h and 6 h, whether somebody listened or not."""
    clock, model = FakeClock(), PausedModel("It", " rains.", "It does rain.", "never said")
    data = tmp_path / "data"
    harness = await open_harness(model, clock=clock, data=data)

    def delivered() -> Exchange:
        return harness.door.chatting("a", "the weather?", {"idempotency-key": "m1"}, stream=stream)

    first = delivered()
    await until_asked(model)
    await settled(harness)
    first.disconnect()
    await first.done()
    await until_sleeping(clock, 30)
    clock.advance(3)
    second = delivered()
    await settled(harness)
    second.disconnect()
    await second.done()
    await until_sleeping(clock, 30)
    clock.advance(30)
    async with asyncio.timeout(BOUND_S):
        while not model.closed_streams:
            await asyncio.sleep(0)
    await settled(harness)
    assert len(model.requests) == 1
    clock.advance(300)
    third = await delivered().done()
    assert (third.status, third.said) == (200, "It does rain.")
    await harness.close()
    harness = await open_harness(model, clock=clock, data=data)
    for seconds in (3_600, 21_600):
        clock.advance(seconds)
        later = await delivered().done()
        assert (later.said, later.turn_id) == (third.said, third.turn_id)
    assert len(model.requests) == 2
    assert await transcript(harness, "a") == ["the weather?", "It does rain."]


async def test_a_client_without_a_stream_that_goes_away_starts_the_grace_too(
    open_harness: OpenHarness,
) -> None:
    clock, model = FakeClock(), PausedModel()
    harness = await open_harness(model, clock=clock)
    exchange = harness.door.chatting("a", "hello")
    await until_asked(model)
    exchange.disconnect()
    assert (await exchange.done()).status == 0
    await until_sleeping(clock, 30)
    clock.advance(30)
    async with asyncio.timeout(BOUND_S):
        while model.closed_streams < 1:
            await asyncio.sleep(0)


async def test_who_comes_back_within_the_grace_keeps_the_turn(open_harness: OpenHarness) -> None:
    clock, model = FakeClock(), PausedModel()
    harness = await open_harness(model, clock=clock)
    exchange = harness.door.chatting("a", "hello", stream=True)
    await exchange.until("Hello")
    exchange.disconnect()
    await exchange.done()
    await until_sleeping(clock, 30)
    again = harness.door.chatting("a", "hello", RETRY, stream=True)
    await again.until("Hello")
    clock.advance(100)
    await settled(harness)
    model.gate.set()
    assert (await again.done()).said == "Hello there"


async def test_a_turn_goes_on_as_long_as_one_of_its_followers_stays(open_harness: OpenHarness) -> None:
    clock, model = FakeClock(), PausedModel()
    harness = await open_harness(model, clock=clock, api={"disconnect_grace_s": 0.0})
    exchange = harness.door.chatting("a", "hello", stream=True)
    await exchange.until("Hello")
    other = harness.door.start("GET", f"/v1/turns/{exchange.turn_id}/stream")
    await other.until("Hello")
    exchange.disconnect()
    await exchange.done()
    await settled(harness)
    model.gate.set()
    assert (await other.done()).said == "Hello there"


@pytest.mark.parametrize("leaver", [0, 1])
async def test_a_steered_turn_goes_on_as_long_as_one_of_those_who_asked_stays(
    open_harness: OpenHarness, leaver: int
) -> None:
    model = PausedModel("Let me", " see", "Bonjour")
    harness = await open_harness(model, api={"disconnect_grace_s": 0.0})
    first = harness.door.chatting("a", "say hello", stream=True)
    await first.until("Let me")
    second = harness.door.chatting("a", "in French", {"x-when-busy": "steer"}, stream=True)
    await settled(harness)
    both = [first, second]
    both[leaver].disconnect()
    await both[leaver].done()
    await settled(harness)
    model.gate.set()
    assert (await both[1 - leaver].done()).said == ("Let me see\n\nBonjour" if leaver else "")
    assert (await until_status(harness, first.turn_id, "done"))["answer"]["content"] == (
        "Let me see\n\nBonjour"
    )


async def test_a_steered_turn_is_cancelled_when_all_who_asked_are_gone(open_harness: OpenHarness) -> None:
    model = PausedModel("Let me", " see", "Bonjour")
    harness = await open_harness(model, api={"disconnect_grace_s": 0.0})
    first = harness.door.chatting("a", "say hello", stream=True)
    await first.until("Let me")
    second = harness.door.chatting("a", "in French", {"x-when-busy": "steer"}, stream=True)
    await settled(harness)
    for exchange in (first, second):
        exchange.disconnect()
        await exchange.done()
    await until_status(harness, first.turn_id, "cancelled")


async def test_a_turn_that_waits_is_cancelled_when_its_client_is_gone_and_never_runs(
    open_harness: OpenHarness,
) -> None:
    model = PausedModel("Hello", " there", "third")
    harness = await open_harness(model, api={"disconnect_grace_s": 0.0})
    first = harness.door.chatting("a", "first")
    await until_asked(model)
    second = harness.door.chatting("a", "second")
    await settled(harness)
    third = harness.door.chatting("a", "third")
    await settled(harness)
    second.disconnect()
    await second.done()
    await settled(harness)
    model.gate.set()
    assert (await third.done()).said == "third"
    await first.done()
    assert await transcript(harness, "a") == ["first", "Hello there", "third", "third"]


# Streams taken up again ---------------------------------------------------------------------------


async def test_a_broken_stream_goes_on_where_it_broke(open_harness: OpenHarness) -> None:
    model = PausedModel("Hello", " there")
    harness = await open_harness(model)
    exchange = harness.door.chatting("a", "hello", stream=True)
    await exchange.until("Hello")
    exchange.disconnect()
    await exchange.done()
    last = [event.id for event in exchange.events if event.id][-1]
    assert last is not None
    path = f"/v1/turns/{exchange.turn_id}/stream"
    by_query = harness.door.start("GET", f"{path}?after={last.rpartition(':')[2]}")
    by_header = harness.door.start("GET", path, headers={"last-event-id": last})
    from_start = harness.door.start("GET", path)
    model.gate.set()
    replies = await harness.door.each([by_query, by_header, from_start])
    assert [reply.said for reply in replies] == [" there", " there", "Hello there"]
    for reply in replies:
        assert reply.status == 200
        assert reply.turn_id == exchange.turn_id
        assert reply.text.endswith("data: [DONE]\n\n")
    assert replies[0].text == replies[1].text
    assert ['"role"' in reply.text for reply in replies] == [False, False, True]


async def test_a_stream_is_taken_up_again_after_a_restart(open_harness: OpenHarness, tmp_path: Path) -> None:
    harness = await open_harness(ScriptedModel("Hello there"), data=tmp_path / "data")
    exchange = await harness.door.chat("a", "hello", stream=True)
    await harness.close()
    harness = await open_harness(data=tmp_path / "data")
    whole = await harness.door.get(f"/v1/turns/{exchange.turn_id}/stream")
    assert whole.said == "Hello there"
    for after in range(12):
        reply = await harness.door.get(f"/v1/turns/{exchange.turn_id}/stream?after={after}")
        assert reply.said == "Hello there"[after:]
        assert reply.text.endswith("data: [DONE]\n\n")


async def test_a_turn_that_was_given_back_is_followed_to_its_end_after_the_restart(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    harness = await open_harness(PausedModel(), data=tmp_path / "data")
    exchange = harness.door.chatting("a", "hello", stream=True)
    await exchange.until("Hello")
    await harness.close()
    assert exchange.chunks[-1]["error"]["code"] == "shutting_down"
    model = PausedModel("Hello", " again")
    harness = await open_harness(model, data=tmp_path / "data")
    following = harness.door.start("GET", f"/v1/turns/{exchange.turn_id}/stream")
    retrying = harness.door.chatting("a", "hello", RETRY, stream=True)
    await until_asked(model)
    model.gate.set()
    assert [reply.said for reply in await harness.door.each([following, retrying])] == [
        "Hello again",
        "Hello again",
    ]
    assert await transcript(harness, "a") == ["hello", "Hello again"]
    assert (await harness.door.get(f"/v1/turns/{exchange.turn_id}")).json["attempt"] == 2


@pytest.mark.parametrize("after", [13, 14, 10**9])
async def test_a_stream_taken_up_at_its_end_says_that_it_is_done(
    open_harness: OpenHarness, after: int
) -> None:
    """The connection may break just before the last bytes."""
    harness = await open_harness(ScriptedModel("Hello there"))
    exchange = await harness.door.chat("a", "hello", stream=True)
    reply = await harness.door.get(f"/v1/turns/{exchange.turn_id}/stream?after={after}")
    assert reply.status == 200
    assert reply.said == ""
    assert reply.text.endswith("data: [DONE]\n\n")


async def test_a_stream_that_failed_in_the_middle_tells_the_failure_when_it_is_taken_up(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(
        ScriptedModel(Say(("Hello", " th"), error=ModelRefusedKey("the key was revoked")))
    )
    exchange = await harness.door.chat("a", "hello", stream=True)
    for after in (0, 3, 8, 9):
        reply = await harness.door.get(f"/v1/turns/{exchange.turn_id}/stream?after={after}")
        assert reply.status in (200, 502)
        assert "the key was revoked" in reply.text
        assert "[DONE]" not in reply.text


async def test_a_stream_with_tool_events_goes_on_with_the_right_joint(open_harness: OpenHarness) -> None:
    """Whatever event the client saw last, what it has joined with what comes is the whole answer."""
    harness = await open_harness(
        ScriptedModel(call("calculate", '{"expression": "6*7"}', text="Let me see."), "It is 42.")
    )
    whole = await harness.door.chat("a", "6*7?", {"x-events": "tools"}, stream=True)
    path = f"/v1/turns/{whole.turn_id}/stream"
    seen: list[Any] = []
    for event in whole.events:
        seen.append(event)
        if event.id is None:
            continue
        rest = await harness.door.get(path, {"x-events": "tools", "last-event-id": event.id})
        assert joined_text(seen) + rest.said == "Let me see.\n\nIt is 42.", event.id
        assert len([e for e in (*seen, *rest.events) if e.name]) == 2


@pytest.mark.parametrize(
    ("query", "last_event_id", "param"),
    [("?after=x", None, "after"), ("?after=-1", None, "after"), ("?after=", None, "after"),
        ("?after=1e3", None, "after"), ("?after=" + "9" * 30, None, "after"),
     ("", "x", "Last-Event-ID"), ("", "turn_other:5", "Last-Event-ID"), ("", "SELF:x", "Last-Event-ID")],
)  # fmt: skip
async def test_a_cursor_that_makes_no_sense_is_refused(
    open_harness: OpenHarness, query: str, last_event_id: str | None, param: str
) -> None:
    harness = await open_harness()
    turn_id = (await harness.door.chat("a", "hello")).turn_id
    headers = {"last-event-id": last_event_id.replace("SELF", turn_id)} if last_event_id else {}
    reply = await harness.door.get(f"/v1/turns/{turn_id}/stream{query}", headers)
    assert (reply.status, reply.error["param"]) == (400, param)


# Crashes ------------------------------------------------------------------------------------------


async def test_a_turn_goes_on_by_itself_after_a_restart(open_harness: OpenHarness, tmp_path: Path) -> None:
    """Nobody asks again: it was admitted, so it is answered."""
    harness = await open_harness(PausedModel(), data=tmp_path / "data")
    exchange: Exchange = harness.door.chatting("a", "hello", stream=True)
    await exchange.until("Hello")
    await harness.close()
    harness = await open_harness(ScriptedModel("Hello again"), data=tmp_path / "data")
    state = await until_status(harness, exchange.turn_id, "done")
    assert state["answer"]["content"] == "Hello again"


async def test_a_follow_up_after_a_restart_sees_what_was_said_before(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    harness = await open_harness(ScriptedModel("hello Ann"), data=tmp_path / "data")
    await harness.door.chat("a", "I am Ann")
    await harness.close()
    model = ScriptedModel("Ann")
    harness = await open_harness(model, data=tmp_path / "data")
    await harness.door.chat("a", "who am I?")
    assert [message.text for message in model.requests[0].messages] == ["I am Ann", "hello Ann", "who am I?"]
    assert json.loads((await harness.door.get("/ready")).raw)["status"] == "ok"


async def test_who_asks_for_the_progress_of_tools_knows_the_turn_before_it_speaks(
    open_harness: OpenHarness,
) -> None:
    """So that it can be stopped before its first word."""
    model = ScriptedModel(Say(("never said",), before=asyncio.Event()))
    harness = await open_harness(model)
    exchange = harness.door.chatting("a", "hello", stream=True, headers={"x-events": "tools"})
    await exchange.begun()
    assert (await harness.door.call("POST", f"/v1/turns/{exchange.turn_id}/cancel")).json[
        "status"
    ] == "cancelled"
    await exchange.until("turn_cancelled")
    assert "[DONE]" not in (await exchange.done()).raw.decode()
