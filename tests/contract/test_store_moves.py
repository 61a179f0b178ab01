"""A message that is answered later than others: it stands behind them, once."""

import asyncio

import pytest

from nanobot.core.dispatch import Claim
from nanobot.core.event import MessageAdded, ToolFinished, ToolStarted, TurnEnded
from nanobot.core.message import Message, ToolCall, ToolResult, user
from nanobot.core.turn import Identity, Turn
from tests.contract.store_harness import StoreHarness, done, failed, said, shown, unfollowed


async def leave(harness: StoreHarness, key: str, text: str, *words: str) -> Claim:
    """Ask, and leave the turn when it has said the `words`."""
    await harness.admit(key, text, dedupe_key=text)
    claim = await harness.engine.claim()
    broken = tuple(MessageAdded(said(each, "incomplete")) for each in words)
    await harness.store.append(claim, (*broken, unfollowed()))
    return claim


async def resend(harness: StoreHarness, key: str, text: str, answer: str) -> None:
    await harness.admit(key, text, dedupe_key=text)
    await harness.store.append(await harness.engine.claim(), done(answer))


async def of_branches(harness: StoreHarness, key: str) -> list[list[str]]:
    """Return what is said in each branch, the newest first."""
    return [
        [shown(row.message) for row in await harness.store.messages(key, limit=100, tip=branch.tip)]
        for branch in await harness.store.branches(key)
    ]


@pytest.mark.parametrize("reopened", [False, True])
async def test_a_message_that_is_answered_later_than_others_stands_behind_them_alone(
    harness: StoreHarness, reopened: bool
) -> None:
    """It may not go on where it stood, an error for ever is no answer, and the model sees it once."""
    await harness.say("a", "before", "zero")
    left = await leave(harness, "a", "first", "On")
    await harness.say("a", "second", "two")
    if reopened:
        await harness.reopen()
    await harness.admit("a", "first", dedupe_key="first")
    again = await harness.engine.claim()
    assert again.turn.input == (user("first"),)
    assert [shown(each) for each in (await harness.store.history("a", 10_000)).messages] == [
        *("U:before", "A:zero", "U:second", "A:two", "U:first")
    ]
    await harness.store.append(again, done("one"))
    assert [message.text for message in (await harness.store.turn(left.turn.id)).messages] == ["one"]
    transcript = ["U:before", "A:zero", "U:second", "A:two", "U:first", "A:one"]
    assert await harness.texts("a") == transcript
    rows = await harness.store.messages("a", limit=10)
    assert [row.turn_id for row in rows[-2:]] == [left.turn.id] * 2
    # What was seen of the broken answer is still there.
    assert await of_branches(harness, "a") == [transcript, ["U:before", "A:zero", "U:first", "A:On"]]


async def test_a_message_may_move_again_and_again(harness: StoreHarness) -> None:
    await leave(harness, "a", "first", "On")
    for number in range(3):
        await harness.say("a", f"other {number}", "yes")
        await leave(harness, "a", "first", "One")
    await harness.say("a", "last", "yes")
    await resend(harness, "a", "first", "one")
    others = [text for number in range(3) for text in (f"U:other {number}", "A:yes")]
    assert await harness.texts("a") == [*others, "U:last", "A:yes", "U:first", "A:one"]


async def test_several_messages_move_past_each_other(harness: StoreHarness) -> None:
    for text in ("first", "second", "third"):
        await leave(harness, "a", text, "Hm")
    for text in ("second", "first", "third"):
        await resend(harness, "a", text, text)
    assert await harness.texts("a") == [*("U:second", "A:second", "U:first", "A:first", "U:third", "A:third")]


async def test_what_follows_counts_as_if_the_message_had_never_stood_before_it(harness: StoreHarness) -> None:
    """The window of the model, and the lists of clients, are those of a transcript that was said in order."""
    for key in ("moved", "plain"):
        await harness.say(key, "before", "zero")
        if key == "moved":
            await leave(harness, key, "first", "On and on")
        for number in range(4):
            await harness.say(key, f"question {number}", "an answer, " * number)
    await resend(harness, "moved", "first", "one")
    await harness.say("plain", "first", "one")
    for budget in range(0, 60, 3):
        assert await harness.store.history("moved", budget) == await harness.store.history("plain", budget)
    held = tuple(row.message for row in await harness.store.messages("moved", limit=100))
    admission = await harness.admit("moved", "next", earlier=held)
    assert admission.history == "matched"
    await harness.store.append(await harness.engine.claim(), done("ok"))
    # An earlier point, too, is found by what a client holds of it.
    admission = await harness.admit("moved", "edited", earlier=held[:6])
    assert admission.history == "rewound"
    assert await harness.texts("moved") == [*map(shown, held[:6]), "U:edited"]


async def test_branches_that_follow_the_message_lose_it_as_well(harness: StoreHarness) -> None:
    await leave(harness, "a", "first", "On")
    await harness.say("a", "second", "two")
    await harness.say("a", "third", "three")
    await harness.store.rewind_session("a", 4)
    await harness.say("a", "third, edited", "3")
    await resend(harness, "a", "first", "one")
    both = ["U:second", "A:two"]
    assert await of_branches(harness, "a") == [
        [*both, "U:third, edited", "A:3", "U:first", "A:one"],
        [*both, "U:third", "A:three"],
        ["U:first", "A:On"],
    ]
    held = (user("second"), said("two"), user("third"), said("three"))
    assert (await harness.admit("a", "fourth", earlier=held)).history == "rewound"
    assert await harness.texts("a") == [*map(shown, held), "U:fourth"]


async def test_the_finished_calls_and_what_joined_move_with_the_message(harness: StoreHarness) -> None:
    """What a tool did is not done again, and what somebody said meanwhile is not lost."""
    await harness.admit("a", "first", dedupe_key="first")
    claim = await harness.engine.claim()
    calling = Message("assistant", (ToolCall("c1", "clock", "{}"),), "tool_calls")
    result = ToolFinished(Message("tool", (ToolResult("c1", "noon"),)))
    await harness.store.append(claim, (MessageAdded(calling), ToolStarted(calling.tool_calls[0])))
    joined = await harness.admit("a", "in French", when_busy="steer")
    await harness.store.append(claim, (result,))
    await harness.store.append(claim, (MessageAdded(said("Il", "incomplete")), unfollowed()))
    await harness.say("a", "second", "two")
    await harness.admit("a", "first", dedupe_key="first")
    again = await harness.engine.claim()
    state = await harness.store.turn(claim.turn.id)
    assert [shown(message) for message in state.messages] == ["A:", "T:noon", "U:in French"]
    moved = ["U:second", "A:two", "U:first", "A:", "T:noon", "U:in French"]
    assert await harness.texts("a") == moved
    following = [asyncio.ensure_future(harness.ended(turn)) for turn in (claim.turn.id, joined.turn_id)]
    await harness.engine.settled()
    await harness.store.append(again, done("midi"))
    answer, own = await asyncio.gather(*following)
    assert [shown(message) for message in answer.messages] == ["A:", "T:noon", "U:in French", "A:midi"]
    assert own.end.outcome == "done"
    assert await harness.texts("a") == [*moved, "A:midi"]


@pytest.mark.parametrize("reopened", [False, True])
async def test_a_message_moves_when_its_turn_comes(harness: StoreHarness, reopened: bool) -> None:
    await leave(harness, "a", "first", "On")
    running = await harness.start("a", "second")
    await harness.admit("a", "first", dedupe_key="first")
    assert await harness.texts("a") == ["U:first", "A:On", "U:second"]
    if reopened:
        await harness.reopen()
        running = await harness.engine.claim()
    await harness.store.append(running, done("two"))
    again = await harness.engine.claim()
    assert await harness.texts("a") == ["U:second", "A:two", "U:first"]
    await harness.store.append(again, done("one"))
    assert await harness.texts("a") == ["U:second", "A:two", "U:first", "A:one"]


async def test_a_message_that_waits_to_move_and_is_cancelled_stays_where_it_stood(
    harness: StoreHarness,
) -> None:
    left = await leave(harness, "a", "first", "On")
    running = await harness.start("a", "second")
    await harness.admit("a", "first", dedupe_key="first")
    await harness.store.cancel(left.turn.id, "no client followed it", may_go_on=True)
    await harness.store.append(running, done("two"))
    assert await harness.texts("a") == ["U:first", "A:On", "U:second", "A:two"]
    await resend(harness, "a", "first", "one")
    assert await harness.texts("a") == ["U:second", "A:two", "U:first", "A:one"]


async def test_a_message_that_moved_where_the_one_before_it_left_nothing_stands_once(
    harness: StoreHarness,
) -> None:
    await harness.say("a", "before", "zero")
    await leave(harness, "a", "first", "On")
    running = await harness.start("a", "second")
    await harness.admit("a", "first", dedupe_key="first")
    await harness.store.append(running, (failed(retryable=True),))
    await harness.store.append(await harness.engine.claim(), done("one"))
    assert await harness.texts("a") == ["U:before", "A:zero", "U:first", "A:one"]


async def test_a_message_that_moved_and_failed_leaves_nothing_and_may_be_sent_again(
    harness: StoreHarness,
) -> None:
    await leave(harness, "a", "first", "On")
    await harness.say("a", "second", "two")
    await harness.admit("a", "first", dedupe_key="first")
    await harness.store.append(await harness.engine.claim(), (failed(retryable=True),))
    assert await harness.texts("a") == ["U:second", "A:two"]
    await resend(harness, "a", "first", "one")
    assert await harness.texts("a") == ["U:second", "A:two", "U:first", "A:one"]


async def test_a_message_that_is_answered_where_its_client_stands_stays_on_the_other_branch(
    harness: StoreHarness,
) -> None:
    """Who went on from it by its id holds it; the resend begins where its own request did."""
    zero = await harness.say("a", "before", "zero")
    await harness.admit("a", "first", dedupe_key="first", after=zero.turn.id)
    first = await harness.engine.claim()
    await harness.store.append(first, (MessageAdded(said("On", "incomplete")), unfollowed()))
    await harness.admit("a", "second", after=first.turn.id)
    second = await harness.engine.claim()
    await harness.store.append(second, done("two"))
    await harness.admit("a", "first", dedupe_key="first", after=zero.turn.id)
    await harness.store.append(await harness.engine.claim(), done("one"))
    assert await harness.texts("a") == ["U:before", "A:zero", "U:first", "A:one"]
    await harness.admit("a", "third", after=second.turn.id)
    await harness.engine.claim()
    assert await harness.texts("a") == [
        *("U:before", "A:zero", "U:first", "A:On", "U:second", "A:two", "U:third")
    ]


async def test_a_message_behind_which_very_much_was_said_stays_where_it_stood(
    harness: StoreHarness,
) -> None:
    """What a resend costs has a bound; no model sees that far back."""
    await leave(harness, "a", "first", "On")
    speakers = (user("more"), said("yes"))
    held = (user("first"), said("On"), *(speakers[number % 2] for number in range(4096)))
    claim = await harness.start("a", "second", earlier=held)
    await harness.store.append(claim, done("two"))
    await resend(harness, "a", "first", "one")
    texts = await harness.texts("a")
    assert len(texts) == 4096 + 6
    assert texts[:2] == ["U:first", "A:On"] and texts[-4:] == ["U:second", "A:two", "U:first", "A:one"]


async def test_results_stay_behind_their_calls_when_the_turn_begins_again(harness: StoreHarness) -> None:
    call = ToolCall("c1", "weather", "{}", for_client=True)
    claim = await harness.start("a", "weather?")
    await harness.store.append(claim, (MessageAdded(Message("assistant", (call,), "tool_calls")),))
    await harness.store.append(claim, (TurnEnded("done"),))
    given = Turn("turn_of_results", "a", (Message("tool", (ToolResult("c1", "hail"),)),), "api")
    identity = Identity(b"r" * 32, "results", False)
    await harness.store.admit(given, identity)
    await harness.store.append(await harness.engine.claim(), (unfollowed(),))
    await harness.say("a", "second", "two")
    await harness.store.admit(given, identity)
    await harness.store.append(await harness.engine.claim(), done("take a coat"))
    assert (await harness.texts("a"))[:5] == ["U:weather?", "A:", "T:hail", "U:second", "A:two"]
