"""A client stops an answer and asks something else: it neither waits for that answer nor is shown it."""

from typing import Any

import pytest

from nanobot.testing import FakeClock, Say
from tests.flow.paused import PausedModel, settled, transcript, until_asked, until_sleeping, until_status
from tests.flow.test_client_habits import body, seen
from tests.harness import Harness, OpenHarness

CASES = {
    "the question in better words": ("q1|A:a1|U:q2", "q1|A:a1|U:q2 better", "q1|A:a1|U:q2 better", "rewound"),
    "the same question, for another answer": ("q1|A:a1|U:q2", "q1|A:a1|U:q2", "q1|A:a1|U:q2", "rewound"),
    "the next question, behind what was seen of the answer": (
        "q1|A:a1|U:q2",
        "q1|A:a1|U:q2|A:Once|U:q3",
        "q1|A:a1|U:q2|A:Once|U:q3",
        "",
    ),
    "the next question, behind all of the answer": (
        "q1|A:a1|U:q2",
        "q1|A:a1|U:q2|A:Once upon|U:q3",
        "q1|A:a1|U:q2|A:Once upon|U:q3",
        "",
    ),
    "the next question, behind an edited one": (
        "q1|A:a1|U:q2",
        "q1|A:a1|U:q2 better|A:Once|U:q3",
        "q1|A:a1|U:q2 better|A:Once|U:q3",
        "replaced",
    ),
    "the next question, without the answer": (
        "q1|A:a1|U:q2",
        "q1|A:a1|U:q2|U:q3",
        "q1|A:a1|U:q2|U:q3",
        "rewound",
    ),
    "an earlier question in better words": ("q1|A:a1|U:q2", "W:U:q1 better", "q1 better", "rewound"),
    "the only question once more": ("q0", "q0", "q0", "rewound"),
    "one message, as from a client that sends no history": (
        "q2",
        "q3",
        "q1|A:a1|U:q2|A:Once upon|U:q3",
        "",
    ),
}


async def hang_up(harness: Harness, clock: FakeClock, lines: str, **fields: Any) -> str:
    """Ask, hang up after the first words of the answer, and return the turn's id once the grace has begun."""
    exchange = harness.door.chatting("k", **body("U:" + lines), stream=True, **fields)
    await exchange.until("Once upon")
    exchange.disconnect()
    await exchange.done()
    await until_sleeping(clock, 30)
    return exchange.turn_id


async def opened(
    open_harness: OpenHarness, clock: FakeClock, before: tuple[Say, ...]
) -> tuple[PausedModel, Harness]:
    model = PausedModel("Once upon", " a time", "done", before=before)
    return model, await open_harness(model, clock=clock, api={"disconnect_grace_s": 30.0})


@pytest.mark.parametrize("case", CASES)
async def test_a_turn_whose_client_hung_up_gives_way_at_once(open_harness: OpenHarness, case: str) -> None:
    first, then, shown, note = CASES[case]
    clock = FakeClock()
    model, harness = await opened(open_harness, clock, () if first == "q0" else (Say(("a1",)),))
    if first != "q0":
        await harness.door.chat("k", "q1")
    left = await hang_up(harness, clock, first)
    mode = {"x-history-mode": "whole"} if then.startswith("W:") else {}
    reply = await harness.door.chat("k", headers=mode, **body("U:" + then.removeprefix("W:U:")))
    assert reply.said == "done" and reply.headers.get("x-history", "") == note
    assert seen(model.requests[-1]) == "U:" + shown
    state = await until_status(harness, left, "cancelled")
    assert "hung up" in state["error"]["message"]
    # What was said of the answer is still there, on the branch that was left.
    ends = [
        [row.message.text for row in await harness.app.store.messages("k", limit=10, tip=branch.tip)]
        for branch in await harness.app.store.branches("k")
    ]
    assert any("Once upon" in texts for texts in ends)


async def test_what_was_seen_of_a_stopped_answer_is_kept_once(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    _, harness = await opened(open_harness, clock, (Say(("a1",)),))
    await harness.door.chat("k", "q1")
    await hang_up(harness, clock, "q1|A:a1|U:q2")
    await harness.door.chat("k", **body("U:q1|A:a1|U:q2|A:Once upon|U:q3"))
    (branch,) = await harness.app.store.branches("k")
    rows = await harness.app.store.messages("k", limit=10, tip=branch.tip)
    assert [row.message.text for row in rows] == ["q1", "a1", "q2", "Once upon", "q3", "done"]
    assert "x-history" not in (await harness.door.chat("k", **body("U:q3|A:done|U:q4"))).headers


async def test_words_beside_an_answer_that_nobody_stopped_are_a_branch(open_harness: OpenHarness) -> None:
    model, harness = await opened(open_harness, FakeClock(), (Say(("a1",)),))
    await harness.door.chat("k", "q1")
    followed = harness.door.chatting("k", **body("U:q1|A:a1|U:q2"), stream=True)
    await followed.until("Once upon")
    waiting = harness.door.chatting("k", **body("U:q1|A:a1|U:q2|A:Once|U:q3"))
    await settled(harness)
    model.gate.set()
    assert (await followed.done()).said == "Once upon a time"
    assert (await waiting.done()).said == "done"
    assert seen(model.requests[-1]) == "U:q1|A:a1|U:q2|A:Once|U:q3"
    assert len(await harness.app.store.branches("k")) == 2


async def test_two_answers_to_a_whole_conversation_know_nothing_of_each_other(
    open_harness: OpenHarness,
) -> None:
    """Front ends ask several models at once, with one id of the chat."""
    model, harness = await opened(open_harness, FakeClock(), (Say(("a1",)),))
    whole = {"x-history-mode": "whole"}
    await harness.door.chat("k", "q1", whole)
    one = harness.door.chatting("k", headers=whole, **body("U:q1|A:a1|U:q2"), stream=True)
    await one.until("Once upon")
    other = harness.door.chatting("k", headers=whole, **body("U:q1|A:a1|U:q2"))
    await settled(harness)
    model.gate.set()
    assert (await one.done()).said == "Once upon a time"
    reply = await other.done()
    assert (reply.said, reply.headers["x-history"]) == ("done", "rewound")
    assert seen(model.requests[-1]) == "U:q1|A:a1|U:q2"


@pytest.mark.parametrize("policy", ["reject", "steer", "interrupt"])
async def test_it_gives_way_whatever_is_to_be_done_about_busy_sessions(
    open_harness: OpenHarness, policy: str
) -> None:
    clock = FakeClock()
    _, harness = await opened(open_harness, clock, ())
    await hang_up(harness, clock, "q1")
    assert (await harness.door.chat("k", "q2", {"x-when-busy": policy})).said == "done"


async def test_a_turn_that_is_followed_or_was_sent_again_does_not_give_way(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    model, harness = await opened(open_harness, clock, ())
    key = {"idempotency-key": "1"}
    exchange = harness.door.chatting("k", "q1", key, stream=True)
    await exchange.until("Once upon")
    exchange.disconnect()
    await exchange.done()
    again = harness.door.chatting("k", "q1", key, stream=True)
    await again.until("Once upon")
    waiting = harness.door.chatting("k", "q2")
    await settled(harness)
    model.gate.set()
    assert (await again.done()).said == "Once upon a time"
    assert (await waiting.done()).said == "done" and seen(
        model.requests[-1]
    ) == "U:q1|A:Once upon a time|U:q2"


async def test_the_same_message_of_another_client_is_another_message(open_harness: OpenHarness) -> None:
    model, harness = await opened(open_harness, FakeClock(), (Say(("a1",)),))
    await harness.door.chat("k", "q1")
    followed = harness.door.chatting("k", "q2", stream=True)
    await followed.until("Once upon")
    other = harness.door.chatting("k", "q2", stream=True)
    await settled(harness)
    model.gate.set()
    assert (await followed.done()).turn_id != (await other.done()).turn_id
    assert await transcript(harness, "k") == ["q1", "a1", "q2", "Once upon a time", "q2", "done"]


async def test_a_request_without_a_trace_stops_nothing(
    open_harness: OpenHarness,
) -> None:
    clock = FakeClock()
    model, harness = await opened(open_harness, clock, ())
    await hang_up(harness, clock, "q1")
    title = harness.door.chatting("k", "name this chat", store=False)
    await settled(harness)
    model.gate.set()
    assert (await title.done()).said == "done"
    assert seen(model.requests[-1]) == "U:q1|A:Once upon a time|U:name this chat"


async def test_a_response_in_the_background_does_not_give_way(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    model, harness = await opened(open_harness, clock, ())
    asked = b'{"model": "nanobot", "input": "q1", "background": true, "stream": true}'
    exchange = harness.door.start("POST", "/v1/responses", body=asked, headers={"x-session-key": "k"})
    await until_asked(model)
    await exchange.until("response.created")
    exchange.disconnect()
    await exchange.done()
    waiting = harness.door.chatting("k", "q2")
    await settled(harness)
    model.gate.set()
    assert (await waiting.done()).said == "done"
    assert seen(model.requests[-1]) == "U:q1|A:Once upon a time|U:q2"


async def test_a_turn_gives_way_to_one_that_waits_already_when_its_client_hangs_up(
    open_harness: OpenHarness,
) -> None:
    clock = FakeClock()
    model, harness = await opened(open_harness, clock, (Say(("a1",)),))
    await harness.door.chat("k", "q1")
    exchange = harness.door.chatting("k", **body("U:q1|A:a1|U:q2"), stream=True)
    await exchange.until("Once upon")
    waiting = harness.door.chatting("k", **body("U:q1|A:a1|U:q2 better"))
    await settled(harness)
    exchange.disconnect()
    assert (await waiting.done()).said == "done"
    assert seen(model.requests[-1]) == "U:q1|A:a1|U:q2 better"


async def test_a_message_that_is_delivered_again_is_answered_behind_what_was_said_since(
    open_harness: OpenHarness,
) -> None:
    """The model sees it once, as the newest."""
    clock = FakeClock()
    model = PausedModel("Once upon", " a time", "done", "a prince")
    harness = await open_harness(model, clock=clock, api={"disconnect_grace_s": 30.0})
    key = {"idempotency-key": "m1"}
    exchange = harness.door.chatting("k", "q1", key, stream=True)
    await exchange.until("Once upon")
    exchange.disconnect()
    await exchange.done()
    assert (await harness.door.chat("k", "q2")).said == "done"
    assert seen(model.requests[-1]) == "U:q1|A:Once upon|U:q2"
    again = await harness.door.chat("k", "q1", key)
    assert (again.said, again.turn_id) == ("a prince", exchange.turn_id)
    assert seen(model.requests[-1]) == "U:q2|A:done|U:q1"
    assert await transcript(harness, "k") == ["q2", "done", "q1", "a prince"]
    assert (await harness.door.chat("k", "q1", key)).said == "a prince" and len(model.requests) == 3
