"""Turns in the store: written by one attempt at a time, kept, cancelled, and taken up after a restart."""

import asyncio

import pytest

from nanobot.core.accounts import TurnSettled, UnendedTurn
from nanobot.core.errors import SessionNotFound, StaleAttempt, TurnNotFound
from nanobot.core.event import MessageAdded, TextDelta, ToolFinished, ToolStarted, TurnEnded
from nanobot.core.message import Message, ToolCall, ToolResult, Usage, user
from nanobot.core.store import Limits
from tests.contract.store_harness import StoreHarness, cancelled, done, failed, said, shown

CALL = ToolCall("call_1", "calculate", "{}")
ASKS = Message("assistant", (CALL,), "tool_calls")
RESULT = Message("tool", (ToolResult("call_1", "42"),))


# The fence ----------------------------------------------------------------------------------------


async def test_an_attempt_that_is_over_writes_nothing(harness: StoreHarness) -> None:
    old = await harness.start("a", "hello")
    await harness.reopen()
    new = await harness.engine.claim()
    assert (new.turn, new.attempt) == (old.turn, old.attempt + 1)
    for facts in (
        done("late"),
        (ToolStarted(CALL),),
        (MessageAdded(ASKS), ToolStarted(CALL)),
        (failed(retryable=True),),
    ):
        with pytest.raises(StaleAttempt):
            await harness.store.append(old, facts)
    with pytest.raises(StaleAttempt):
        await harness.store.release(old)
    await harness.store.append(new, done("in time"))
    assert await harness.texts("a") == ["U:hello", "A:in time"]


async def test_an_ended_turn_takes_nothing_more(harness: StoreHarness) -> None:
    claim = await harness.say("a", "hello", "hi")
    with pytest.raises(StaleAttempt):
        await harness.store.append(claim, (MessageAdded(said("and another thing")),))
    assert await harness.texts("a") == ["U:hello", "A:hi"]


async def test_a_released_turn_takes_nothing_from_the_attempt_that_released_it(harness: StoreHarness) -> None:
    claim = await harness.start("a", "hello")
    await harness.store.release(claim)
    with pytest.raises(StaleAttempt):
        await harness.store.append(claim, done("late"))
    assert await harness.texts("a") == ["U:hello"]


async def test_a_stale_append_does_not_touch_those_that_are_committed_with_it(harness: StoreHarness) -> None:
    old = await harness.say("a", "x", "y")
    good = await harness.start("b", "x")
    results = await asyncio.gather(
        harness.store.append(old, done("late")),
        harness.store.append(good, done("fine")),
        return_exceptions=True,
    )
    assert isinstance(results[0], StaleAttempt)
    assert await harness.texts("b") == ["U:x", "A:fine"]


async def test_a_claim_of_a_deleted_session_writes_nothing_into_a_new_one_of_its_name(
    harness: StoreHarness,
) -> None:
    old = await harness.start("a", "secret")
    await harness.store.delete_session("a")
    await harness.engine.cancel()
    new = await harness.start("a", "hello")
    with pytest.raises(StaleAttempt):
        await harness.store.append(old, done("secret answer"))
    await harness.store.append(new, done("hi"))
    assert await harness.texts("a") == ["U:hello", "A:hi"]


# What is kept -------------------------------------------------------------------------------------


async def test_an_append_is_on_disk_when_it_returns(harness: StoreHarness) -> None:
    claim = await harness.start("a", "hello")
    await harness.store.append(claim, (MessageAdded(ASKS), ToolStarted(CALL)))
    await harness.reopen()
    state = await harness.store.turn(claim.turn.id)
    assert state.messages == (ASKS,)


async def test_messages_come_back_as_they_were(harness: StoreHarness) -> None:
    """Usage, stop reason, model, call ids: all of it."""
    message = Message(
        "assistant", (*said("x").parts, CALL), "tool_calls", Usage(10, 5, 3, 2), "openai:gpt-5-mini"
    )
    claim = await harness.start("a", "hello")
    await harness.store.append(claim, (MessageAdded(message), ToolStarted(CALL)))
    await harness.store.append(claim, (ToolFinished(RESULT),))
    end = TurnEnded("done", Usage(20, 10, 3, 2))
    await harness.store.append(claim, (MessageAdded(said("y")), end))
    live = await harness.ended(claim.turn.id)
    await harness.reopen()
    assert await harness.ended(claim.turn.id) == live
    assert live.messages == (message, RESULT, said("y"))
    assert live.end == end


async def test_a_turns_state_tells_its_times(harness: StoreHarness) -> None:
    t0 = harness.clock.now()
    await harness.admit("a", "first")
    queued = await harness.admit("a", "second")
    harness.clock.advance(5)
    waiting = await harness.store.turn(queued.turn_id)
    assert (waiting.status, waiting.attempt, waiting.created_at, waiting.started_at, waiting.ended_at) == (
        "queued",
        0,
        t0,
        None,
        None,
    )
    await harness.store.append(await harness.engine.claim(), done("one"))
    claim = await harness.engine.claim()
    harness.clock.advance(2)
    await harness.store.append(claim, done("two"))
    state = await harness.store.turn(queued.turn_id)
    assert (state.status, state.attempt, state.created_at, state.started_at, state.ended_at) == (
        "done",
        1,
        t0,
        t0 + 5,
        t0 + 7,
    )
    assert state.session_key == "a"


async def test_a_turn_without_trace_leaves_the_transcript_as_it_was(harness: StoreHarness) -> None:
    await harness.say("a", "hello", "hi")
    claim = await harness.start("a", "make a title", trace=False)
    history = await harness.store.history("a", 10_000)
    assert [shown(message) for message in history.messages] == ["U:hello", "A:hi", "U:make a title"]
    await harness.store.append(claim, done("Greetings"))
    assert await harness.texts("a") == ["U:hello", "A:hi"]
    assert [shown(message) for message in (await harness.ended(claim.turn.id)).messages] == ["A:Greetings"]
    await harness.say("a", "how are you?", "fine")
    assert await harness.texts("a") == ["U:hello", "A:hi", "U:how are you?", "A:fine"]


async def test_a_turn_without_trace_that_is_cancelled_leaves_none_either(harness: StoreHarness) -> None:
    await harness.say("a", "hello", "hi")
    claim = await harness.start("a", "make a title", trace=False)
    await harness.store.append(claim, (MessageAdded(said("Gree", "incomplete")), cancelled()))
    assert await harness.texts("a") == ["U:hello", "A:hi"]


async def test_what_a_turn_without_trace_answered_is_no_place_to_go_back_to(harness: StoreHarness) -> None:
    await harness.say("a", "hello", "hi")
    await harness.say("a", "make a title", "Greetings", trace=False)
    admission = await harness.admit("a", "next", earlier=(user("x"), said("Greetings")))
    assert admission.history == "replaced"
    assert await harness.texts("a") == ["U:x", "A:Greetings", "U:next"]


async def test_what_was_said_before_a_cancellation_stays(harness: StoreHarness) -> None:
    claim = await harness.start("a", "hello")
    await harness.store.append(claim, (MessageAdded(said("I was", "incomplete")), cancelled()))
    assert await harness.texts("a") == ["U:hello", "A:I was"]
    assert (await harness.store.turn(claim.turn.id)).status == "cancelled"


# Cancelling ---------------------------------------------------------------------------------------


async def test_cancelling_a_running_turn_is_an_order_with_its_reason(harness: StoreHarness) -> None:
    claim = await harness.start("a")
    assert await harness.store.cancel(claim.turn.id, "enough")
    order = await harness.engine.cancel()
    assert (order.turn_id, order.why) == (claim.turn.id, "enough")


async def test_cancelling_a_waiting_turn_ends_it_at_once_and_keeps_its_input_out(
    harness: StoreHarness,
) -> None:
    running = await harness.start("a", "first")
    waiting = await harness.admit("a", "second")
    last = await harness.admit("a", "third")
    assert await harness.store.cancel(waiting.turn_id, "enough")
    answer = await harness.ended(waiting.turn_id)
    assert answer.end.outcome == "cancelled"
    assert answer.end.error is not None
    assert answer.end.error.message == "enough"
    await harness.store.append(running, done("one"))
    assert (await harness.engine.claim()).turn.id == last.turn_id
    assert await harness.texts("a") == ["U:first", "A:one", "U:third"]


async def test_cancelling_a_turn_that_has_ended_says_so(harness: StoreHarness) -> None:
    claim = await harness.say("a", "hello", "hi")
    assert not await harness.store.cancel(claim.turn.id, "enough")
    assert await harness.engine.none()


async def test_cancelling_a_steering_turn_cancels_the_one_it_joined(harness: StoreHarness) -> None:
    running = await harness.start("a")
    steering = await harness.admit("a", "x", when_busy="steer")
    assert await harness.store.cancel(steering.turn_id, "enough")
    assert (await harness.engine.cancel()).turn_id == running.turn.id


async def test_a_turn_that_nobody_knows_is_not_found(harness: StoreHarness) -> None:
    with pytest.raises(TurnNotFound):
        await harness.store.turn("turn_x")
    with pytest.raises(TurnNotFound):
        await harness.store.cancel("turn_x", "why")
    with pytest.raises(TurnNotFound):
        await harness.store.ended("turn_x")
    with pytest.raises(TurnNotFound):
        async for _ in harness.store.follow("turn_x"):
            raise AssertionError("there is nothing to follow")


# After a restart ----------------------------------------------------------------------------------


async def test_a_crash_charges_an_attempt_and_the_turn_goes_on_from_its_last_step(
    harness: StoreHarness,
) -> None:
    claim = await harness.start("a", "hello")
    await harness.store.append(claim, (MessageAdded(ASKS), ToolStarted(CALL)))
    await harness.store.append(claim, (ToolFinished(RESULT),))
    await harness.reopen()
    again = await harness.engine.claim()
    assert (again.turn, again.attempt) == (claim.turn, 2)
    assert (await harness.store.turn(claim.turn.id)).messages == (ASKS, RESULT)
    await harness.store.append(again, done("42"))
    assert await harness.texts("a") == ["U:hello", "A:", "T:42", "A:42"]


async def test_the_third_crash_under_a_turn_gives_it_up(harness: StoreHarness) -> None:
    claim = await harness.start("a", "hello")
    for attempt in (2, 3):
        await harness.reopen()
        assert (await harness.engine.claim()).attempt == attempt
    await harness.reopen()
    assert await harness.engine.none()
    end = (await harness.ended(claim.turn.id)).end
    assert end.outcome == "failed"
    assert end.error is not None
    assert (end.error.code, end.error.http_status, end.error.retryable) == ("too_many_attempts", 500, False)
    assert "3 times" in end.error.message


async def test_a_turn_that_was_given_up_does_not_hold_up_the_next_one(harness: StoreHarness) -> None:
    await harness.reopen(limits=Limits(max_attempts=1))
    await harness.start("a", "poison")
    waiting = await harness.admit("a", "second")
    await harness.reopen()
    assert (await harness.engine.claim()).turn.id == waiting.turn_id
    assert await harness.texts("a") == ["U:second"]


async def test_a_released_turn_goes_on_at_the_next_start_at_no_cost(harness: StoreHarness) -> None:
    claim = await harness.start("a", "hello")
    for _ in range(10):
        await harness.store.release(claim)
        await harness.reopen()
        claim = await harness.engine.claim()
    for _ in range(2):
        await harness.reopen()
        claim = await harness.engine.claim()
    await harness.store.append(claim, done("hi"))
    assert await harness.texts("a") == ["U:hello", "A:hi"]


async def test_a_released_turn_is_not_started_again_before_the_next_start(harness: StoreHarness) -> None:
    claim = await harness.start("a", "hello")
    await harness.admit("a", "second")
    await harness.store.release(claim)
    assert await harness.engine.none()
    assert (await harness.store.turn(claim.turn.id)).status == "queued"


async def test_a_released_turn_keeps_its_place_before_those_that_wait(harness: StoreHarness) -> None:
    first = await harness.start("a", "first")
    second = await harness.admit("a", "second")
    await harness.store.release(first)
    await harness.reopen()
    again = await harness.engine.claim()
    assert again.turn.id == first.turn.id
    await harness.store.append(again, done("one"))
    assert (await harness.engine.claim()).turn.id == second.turn_id


async def test_after_a_crash_no_more_turns_start_than_the_engine_wants(harness: StoreHarness) -> None:
    for key in "abcde":
        await harness.start(key)
    await harness.reopen(max_running=2)
    await harness.engine.claim()
    await harness.engine.claim()
    assert await harness.engine.none()


# Deleting -----------------------------------------------------------------------------------------


async def test_deleting_a_session_ends_its_turns_for_those_who_follow_them(harness: StoreHarness) -> None:
    running = await harness.start("a")
    waiting = await harness.admit("a", "second")
    steering = await harness.admit("a", "third", when_busy="steer")
    following = [
        asyncio.ensure_future(harness.ended(turn))
        for turn in (running.turn.id, waiting.turn_id, steering.turn_id)
    ]
    await harness.engine.settled()
    await harness.store.delete_session("a")
    for answer in await asyncio.gather(*following):
        assert answer.end.outcome == "cancelled"
        assert answer.end.error is not None
        assert answer.end.error.code == "session_not_found"
    assert (await harness.engine.cancel()).turn_id == running.turn.id
    with pytest.raises(TurnNotFound):
        await harness.store.turn(running.turn.id)
    with pytest.raises(SessionNotFound):
        await harness.store.messages("a", limit=1)


async def test_deleting_a_session_makes_room_for_a_turn_that_waits(harness: StoreHarness) -> None:
    """Else the turns of other sessions wait for the end of one that no longer exists."""
    await harness.reopen(max_running=1)
    await harness.start("a")
    waiting = await harness.admit("b")
    assert await harness.engine.none()
    await harness.store.delete_session("a")
    await harness.engine.cancel()
    assert (await harness.engine.claim()).turn.id == waiting.turn_id


# Accounts -----------------------------------------------------------------------------------------


async def test_listeners_are_told_of_an_admission_and_of_its_end_before_whoever_waits(
    harness: StoreHarness,
) -> None:
    news: list[object] = []
    harness.store.listen(news.append)
    claim = await harness.start("a", "1")
    admitted = UnendedTurn(claim.turn.id, None, "a")
    assert news == [admitted]
    joined = await harness.admit("a", "hurry", when_busy="steer")
    waiting = asyncio.ensure_future(harness.ended(claim.turn.id))
    await asyncio.sleep(0)
    harness.store.show(claim, TextDelta("x"))
    await harness.store.append(claim, (MessageAdded(said("x")), cancelled()))
    settled = news[-1]
    assert isinstance(settled, TurnSettled)
    assert settled.turn_ids == (claim.turn.id,), "what parted from it goes on"
    assert settled.cost is not None
    await waiting
    assert news[1] == UnendedTurn(joined.turn_id, None, "a")


async def test_turns_that_were_answered_together_are_settled_together(harness: StoreHarness) -> None:
    news: list[object] = []
    claim = await harness.start("a", "1")
    joined = await harness.admit("a", "hurry", when_busy="steer")
    assert joined.answered_by == claim.turn.id
    assert (await harness.store.turn(joined.turn_id)).answered_by == claim.turn.id
    await harness.store.append(claim, (MessageAdded(said("x")),))
    harness.store.listen(news.append)
    await harness.store.append(claim, done("y"))
    assert [each.turn_ids for each in news if isinstance(each, TurnSettled)] == [
        (claim.turn.id, joined.turn_id)
    ]


async def test_a_turn_that_is_cancelled_while_it_waits_or_with_its_session_is_settled(
    harness: StoreHarness,
) -> None:
    claim = await harness.start("a", "1")
    waiting = await harness.admit("a", "2")
    news: list[object] = []
    harness.store.listen(news.append)
    await harness.store.cancel(waiting.turn_id, "enough")
    await harness.store.delete_session("a")
    assert news == [TurnSettled((waiting.turn_id,)), TurnSettled((claim.turn.id,))]
