"""Sessions over HTTP: what happens in one is seen live."""

import json
from itertools import groupby

import pytest

from nanobot.testing import ScriptedModel, call
from tests.flow.listed_sessions import at
from tests.flow.paused import PausedModel
from tests.harness import OpenHarness


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
