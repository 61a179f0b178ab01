"""A turn from claim to end: the fence, what is kept, what a restart makes of it, who can follow."""

import asyncio

import pytest

from nanobot.core.dispatch import Claim
from nanobot.core.errors import SessionNotFound, StaleAttempt, StoreError, TurnNotFound
from nanobot.core.event import Event, MessageAdded, TextDelta, ToolFinished, ToolStarted, TurnEnded
from nanobot.core.message import Message, ToolCall, ToolResult, Usage, user
from nanobot.core.store import Limits
from tests.asgi import BOUND_S
from tests.contract.place import Place, cancelled, done, failed, said, shown

CALL = ToolCall("call_1", "calculate", "{}")
ASKS = Message("assistant", (CALL,), "tool_calls")
RESULT = Message("tool", (ToolResult("call_1", "42"),))

# The fence ----------------------------------------------------------------------------------------


async def test_an_attempt_that_is_over_writes_nothing(place: Place) -> None:
    old = await place.start("a", "hello")
    await place.reopen()
    new = await place.hands.claim()
    assert (new.turn, new.attempt) == (old.turn, old.attempt + 1)
    for facts in (
        done("late"),
        (ToolStarted(CALL),),
        (MessageAdded(ASKS), ToolStarted(CALL)),
        (failed(retryable=True),),
    ):
        with pytest.raises(StaleAttempt):
            await place.store.append(old, facts)
    with pytest.raises(StaleAttempt):
        await place.store.release(old)
    await place.store.append(new, done("in time"))
    assert await place.texts("a") == ["U:hello", "A:in time"]


async def test_an_ended_turn_takes_nothing_more(place: Place) -> None:
    claim = await place.say("a", "hello", "hi")
    with pytest.raises(StaleAttempt):
        await place.store.append(claim, (MessageAdded(said("and another thing")),))
    assert await place.texts("a") == ["U:hello", "A:hi"]


async def test_a_released_turn_takes_nothing_from_the_attempt_that_released_it(place: Place) -> None:
    claim = await place.start("a", "hello")
    await place.store.release(claim)
    with pytest.raises(StaleAttempt):
        await place.store.append(claim, done("late"))
    assert await place.texts("a") == ["U:hello"]


async def test_a_stale_append_does_not_touch_those_that_are_committed_with_it(place: Place) -> None:
    old = await place.say("a", "x", "y")
    good = await place.start("b", "x")
    results = await asyncio.gather(
        place.store.append(old, done("late")), place.store.append(good, done("fine")), return_exceptions=True
    )
    assert isinstance(results[0], StaleAttempt)
    assert await place.texts("b") == ["U:x", "A:fine"]


async def test_a_claim_of_a_deleted_session_writes_nothing_into_a_new_one_of_its_name(place: Place) -> None:
    old = await place.start("a", "secret")
    await place.store.delete_session("a")
    await place.hands.cancel()
    new = await place.start("a", "hello")
    with pytest.raises(StaleAttempt):
        await place.store.append(old, done("secret answer"))
    await place.store.append(new, done("hi"))
    assert await place.texts("a") == ["U:hello", "A:hi"]


# What is kept -------------------------------------------------------------------------------------


async def test_an_append_is_on_disk_when_it_returns(place: Place) -> None:
    claim = await place.start("a", "hello")
    await place.store.append(claim, (MessageAdded(ASKS), ToolStarted(CALL)))
    await place.reopen()
    state = await place.store.turn(claim.turn.id)
    assert state.messages == (ASKS,)


async def test_messages_come_back_as_they_were(place: Place) -> None:
    """Usage, stop reason, model, call ids: all of it."""
    message = Message(
        "assistant", (*said("x").parts, CALL), "tool_calls", Usage(10, 5, 3, 2), "openai:gpt-5-mini"
    )
    claim = await place.start("a", "hello")
    await place.store.append(claim, (MessageAdded(message), ToolStarted(CALL)))
    await place.store.append(claim, (ToolFinished(RESULT),))
    end = TurnEnded("done", Usage(20, 10, 3, 2))
    await place.store.append(claim, (MessageAdded(said("y")), end))
    live = await place.ended(claim.turn.id)
    await place.reopen()
    assert await place.ended(claim.turn.id) == live
    assert live.messages == (message, RESULT, said("y"))
    assert live.end == end


async def test_a_turns_state_tells_its_times(place: Place) -> None:
    t0 = place.clock.now()
    await place.admit("a", "first")
    queued = await place.admit("a", "second")
    place.clock.advance(5)
    waiting = await place.store.turn(queued.turn_id)
    assert (waiting.status, waiting.attempt, waiting.created_at, waiting.started_at, waiting.ended_at) == (
        "queued",
        0,
        t0,
        None,
        None,
    )
    await place.store.append(await place.hands.claim(), done("one"))
    claim = await place.hands.claim()
    place.clock.advance(2)
    await place.store.append(claim, done("two"))
    state = await place.store.turn(queued.turn_id)
    assert (state.status, state.attempt, state.created_at, state.started_at, state.ended_at) == (
        "done",
        1,
        t0,
        t0 + 5,
        t0 + 7,
    )
    assert state.session_key == "a"


async def test_a_turn_without_trace_leaves_the_transcript_as_it_was(place: Place) -> None:
    await place.say("a", "hello", "hi")
    claim = await place.start("a", "make a title", trace=False)
    history = await place.store.history("a", 10_000)
    assert [shown(message) for message in history.messages] == ["U:hello", "A:hi", "U:make a title"]
    await place.store.append(claim, done("Greetings"))
    assert await place.texts("a") == ["U:hello", "A:hi"]
    assert [shown(message) for message in (await place.ended(claim.turn.id)).messages] == ["A:Greetings"]
    await place.say("a", "how are you?", "fine")
    assert await place.texts("a") == ["U:hello", "A:hi", "U:how are you?", "A:fine"]


async def test_a_turn_without_trace_that_is_cancelled_leaves_none_either(place: Place) -> None:
    await place.say("a", "hello", "hi")
    claim = await place.start("a", "make a title", trace=False)
    await place.store.append(claim, (MessageAdded(said("Gree", "incomplete")), cancelled()))
    assert await place.texts("a") == ["U:hello", "A:hi"]


async def test_what_a_turn_without_trace_answered_is_no_place_to_go_back_to(place: Place) -> None:
    await place.say("a", "hello", "hi")
    await place.say("a", "make a title", "Greetings", trace=False)
    admission = await place.admit("a", "next", earlier=(user("x"), said("Greetings")))
    assert admission.history == "ignored"
    assert await place.texts("a") == ["U:hello", "A:hi", "U:next"]


async def test_what_was_said_before_a_cancellation_stays(place: Place) -> None:
    claim = await place.start("a", "hello")
    await place.store.append(claim, (MessageAdded(said("I was", "incomplete")), cancelled()))
    assert await place.texts("a") == ["U:hello", "A:I was"]
    assert (await place.store.turn(claim.turn.id)).status == "cancelled"


# Cancelling ---------------------------------------------------------------------------------------


async def test_cancelling_a_running_turn_is_an_order_with_its_reason(place: Place) -> None:
    claim = await place.start("a")
    assert await place.store.cancel(claim.turn.id, "enough")
    order = await place.hands.cancel()
    assert (order.turn_id, order.why) == (claim.turn.id, "enough")


async def test_cancelling_a_waiting_turn_ends_it_at_once_and_keeps_its_input_out(place: Place) -> None:
    running = await place.start("a", "first")
    waiting = await place.admit("a", "second")
    last = await place.admit("a", "third")
    assert await place.store.cancel(waiting.turn_id, "enough")
    answer = await place.ended(waiting.turn_id)
    assert answer.end.outcome == "cancelled"
    assert answer.end.error is not None
    assert answer.end.error.message == "enough"
    await place.store.append(running, done("one"))
    assert (await place.hands.claim()).turn.id == last.turn_id
    assert await place.texts("a") == ["U:first", "A:one", "U:third"]


async def test_cancelling_a_turn_that_has_ended_says_so(place: Place) -> None:
    claim = await place.say("a", "hello", "hi")
    assert not await place.store.cancel(claim.turn.id, "enough")
    assert await place.hands.none()


async def test_cancelling_a_steering_turn_cancels_the_one_it_joined(place: Place) -> None:
    running = await place.start("a")
    steering = await place.admit("a", "x", when_busy="steer")
    assert await place.store.cancel(steering.turn_id, "enough")
    assert (await place.hands.cancel()).turn_id == running.turn.id


async def test_a_turn_that_nobody_knows_is_not_found(place: Place) -> None:
    with pytest.raises(TurnNotFound):
        await place.store.turn("turn_x")
    with pytest.raises(TurnNotFound):
        await place.store.cancel("turn_x", "why")
    with pytest.raises(TurnNotFound):
        await place.store.ended("turn_x")
    with pytest.raises(TurnNotFound):
        async for _ in place.store.follow("turn_x"):
            raise AssertionError("there is nothing to follow")


# After a restart ----------------------------------------------------------------------------------


async def test_a_crash_charges_an_attempt_and_the_turn_goes_on_from_its_last_step(place: Place) -> None:
    claim = await place.start("a", "hello")
    await place.store.append(claim, (MessageAdded(ASKS), ToolStarted(CALL)))
    await place.store.append(claim, (ToolFinished(RESULT),))
    await place.reopen()
    again = await place.hands.claim()
    assert (again.turn, again.attempt) == (claim.turn, 2)
    assert (await place.store.turn(claim.turn.id)).messages == (ASKS, RESULT)
    await place.store.append(again, done("42"))
    assert await place.texts("a") == ["U:hello", "A:", "T:42", "A:42"]


async def test_the_third_crash_under_a_turn_gives_it_up(place: Place) -> None:
    claim = await place.start("a", "hello")
    for attempt in (2, 3):
        await place.reopen()
        assert (await place.hands.claim()).attempt == attempt
    await place.reopen()
    assert await place.hands.none()
    end = (await place.ended(claim.turn.id)).end
    assert end.outcome == "failed"
    assert end.error is not None
    assert (end.error.code, end.error.http_status, end.error.retryable) == ("too_many_attempts", 500, False)
    assert "3 times" in end.error.message


async def test_a_turn_that_was_given_up_does_not_hold_up_the_next_one(place: Place) -> None:
    await place.reopen(limits=Limits(max_attempts=1))
    await place.start("a", "poison")
    waiting = await place.admit("a", "second")
    await place.reopen()
    assert (await place.hands.claim()).turn.id == waiting.turn_id
    assert await place.texts("a") == ["U:second"]


async def test_a_released_turn_goes_on_at_the_next_start_at_no_cost(place: Place) -> None:
    claim = await place.start("a", "hello")
    for _ in range(10):
        await place.store.release(claim)
        await place.reopen()
        claim = await place.hands.claim()
    for _ in range(2):
        await place.reopen()
        claim = await place.hands.claim()
    await place.store.append(claim, done("hi"))
    assert await place.texts("a") == ["U:hello", "A:hi"]


async def test_a_released_turn_is_not_started_again_before_the_next_start(place: Place) -> None:
    claim = await place.start("a", "hello")
    await place.admit("a", "second")
    await place.store.release(claim)
    assert await place.hands.none()
    assert (await place.store.turn(claim.turn.id)).status == "queued"


async def test_a_released_turn_keeps_its_place_before_those_that_wait(place: Place) -> None:
    first = await place.start("a", "first")
    second = await place.admit("a", "second")
    await place.store.release(first)
    await place.reopen()
    again = await place.hands.claim()
    assert again.turn.id == first.turn.id
    await place.store.append(again, done("one"))
    assert (await place.hands.claim()).turn.id == second.turn_id


async def test_after_a_crash_no_more_turns_start_than_the_engine_wants(place: Place) -> None:
    for key in "abcde":
        await place.start(key)
    await place.reopen(max_running=2)
    await place.hands.claim()
    await place.hands.claim()
    assert await place.hands.none()


# Following ----------------------------------------------------------------------------------------


async def followed(place: Place, turn_id: str, after: int = 0) -> list[tuple[int, Event]]:
    async with asyncio.timeout(BOUND_S):
        return [item async for batch in place.store.follow(turn_id, after) for item in batch]


async def speak(place: Place, claim: Claim) -> None:
    for text in ("Hel", "lo, ", "Ann"):
        place.store.show(claim, TextDelta(text))
    await place.store.append(claim, done("Hello, Ann"))


async def test_deltas_reach_followers_at_once_and_facts_once_they_are_committed(place: Place) -> None:
    claim = await place.start("a")
    stream = place.store.follow(claim.turn.id)
    place.store.show(claim, TextDelta("Hel"))
    assert list(await anext(stream)) == [(3, TextDelta("Hel"))]
    place.store.show(claim, TextDelta("lo"))
    assert list(await anext(stream)) == [(5, TextDelta("lo"))]
    await place.store.append(claim, done("Hello"))
    assert [event async for batch in stream for event in batch] == [
        (6, MessageAdded(said("Hello"))),
        (7, TurnEnded("done")),
    ]


async def test_who_comes_late_gets_what_was_said_before(place: Place) -> None:
    claim = await place.start("a")
    for text in ("Hel", "lo"):
        place.store.show(claim, TextDelta(text))
    stream = place.store.follow(claim.turn.id)
    assert [event for _, event in await anext(stream)] == [TextDelta("Hel"), TextDelta("lo")]
    await place.store.append(claim, done("Hello"))
    assert [type(event).__name__ async for batch in stream for _, event in batch] == [
        "MessageAdded",
        "TurnEnded",
    ]


async def test_a_cursor_cuts_a_delta_at_the_character(place: Place) -> None:
    claim = await place.start("a")
    await speak(place, claim)
    assert [event for _, event in await followed(place, claim.turn.id, 5)] == [
        TextDelta(", Ann"),
        MessageAdded(said("Hello, Ann")),
        TurnEnded("done"),
    ]


async def test_a_cursor_at_or_past_the_end_still_yields_the_end(place: Place) -> None:
    """Whoever lost the connection just before the end must learn that it has come."""
    claim = await place.start("a")
    await speak(place, claim)
    for after in (12, 13, 1_000_000):
        assert await followed(place, claim.turn.id, after) == [(12, TurnEnded("done"))]


async def test_who_follows_a_waiting_turn_sees_it_from_its_start(place: Place) -> None:
    first = await place.start("a", "first")
    waiting = await place.admit("a", "second")
    following = asyncio.ensure_future(followed(place, waiting.turn_id))
    await place.store.append(first, done("one"))
    await speak(place, await place.hands.claim())
    events = await following
    assert "".join(event.text for _, event in events if isinstance(event, TextDelta)) == "Hello, Ann"
    assert events[-1][1] == TurnEnded("done")


async def test_who_follows_a_turn_after_a_crash_gets_its_stored_steps_and_then_what_comes(
    place: Place,
) -> None:
    claim = await place.start("a")
    place.store.show(claim, TextDelta("one"))
    await place.store.append(claim, (MessageAdded(said("one", "length")),))
    await place.reopen()
    again = await place.hands.claim()
    following = asyncio.ensure_future(followed(place, claim.turn.id, 2))
    await place.hands.settled()
    place.store.show(again, TextDelta(" two"))
    await place.store.append(again, done(" two"))
    assert [event for _, event in await following] == [
        TextDelta("e"),
        MessageAdded(said("one", "length")),
        TextDelta(" two"),
        MessageAdded(said(" two")),
        TurnEnded("done"),
    ]


async def test_a_follower_that_leaves_does_not_touch_the_others(place: Place) -> None:
    claim = await place.start("a")
    leaving = asyncio.ensure_future(followed(place, claim.turn.id))
    staying = asyncio.ensure_future(followed(place, claim.turn.id))
    await place.hands.settled()
    leaving.cancel()
    await speak(place, claim)
    assert (await staying)[-1][1] == TurnEnded("done")


async def test_who_follows_when_the_server_stops_is_told_that_the_turn_goes_on(place: Place) -> None:
    claim = await place.start("a")
    following = asyncio.ensure_future(followed(place, claim.turn.id))
    waiting = asyncio.ensure_future(place.ended(claim.turn.id))
    await place.hands.settled()
    place.store.hang_up()
    for end in ((await following)[-1][1], (await waiting).end):
        assert isinstance(end, TurnEnded)
        assert end.error is not None
        assert (end.error.code, end.error.retryable) == ("shutting_down", True)


async def test_who_comes_to_follow_after_the_server_began_to_stop_is_told_the_same(place: Place) -> None:
    claim = await place.start("a")
    place.store.hang_up()
    end = (await place.ended(claim.turn.id)).end
    assert end.error is not None
    assert end.error.code == "shutting_down"


async def test_a_closed_store_says_so(place: Place) -> None:
    await place.store.close()
    await place.store.close()
    with pytest.raises(StoreError):
        await place.admit("a")
    with pytest.raises(StoreError):
        await place.store.messages("a", limit=1)


# Deleting -----------------------------------------------------------------------------------------


async def test_deleting_a_session_ends_its_turns_for_those_who_follow_them(place: Place) -> None:
    running = await place.start("a")
    waiting = await place.admit("a", "second")
    steering = await place.admit("a", "third", when_busy="steer")
    following = [
        asyncio.ensure_future(place.ended(turn))
        for turn in (running.turn.id, waiting.turn_id, steering.turn_id)
    ]
    await place.hands.settled()
    await place.store.delete_session("a")
    for answer in await asyncio.gather(*following):
        assert answer.end.outcome == "cancelled"
        assert answer.end.error is not None
        assert answer.end.error.code == "session_not_found"
    assert (await place.hands.cancel()).turn_id == running.turn.id
    with pytest.raises(TurnNotFound):
        await place.store.turn(running.turn.id)
    with pytest.raises(SessionNotFound):
        await place.store.messages("a", limit=1)


async def test_deleting_a_session_makes_room_for_a_turn_that_waits(place: Place) -> None:
    """Else the turns of other sessions wait for the end of one that no longer exists."""
    await place.reopen(max_running=1)
    await place.start("a")
    waiting = await place.admit("b")
    assert await place.hands.none()
    await place.store.delete_session("a")
    await place.hands.cancel()
    assert (await place.hands.claim()).turn.id == waiting.turn_id
