"""Requests that are sent again lead to the turn that they began, also where that failed or was left."""

import asyncio
import hashlib

import pytest

from nanobot.core.errors import IdempotencyMismatch
from nanobot.core.event import MessageAdded, ToolFinished, ToolStarted
from nanobot.core.message import Message, ToolCall, ToolResult, user
from nanobot.core.turn import Identity, WhenBusy
from tests.contract.store_harness import StoreHarness, cancelled, done, failed, said, shown, unfollowed

# Sent again ---------------------------------------------------------------------------------------


async def test_the_same_idempotency_key_joins_the_running_turn(harness: StoreHarness) -> None:
    first = await harness.admit("a", dedupe_key="k1")
    again = await harness.admit("a", dedupe_key="k1")
    assert (again.turn_id, again.joined) == (first.turn_id, True)
    await harness.engine.claim()
    assert await harness.engine.none()
    assert await harness.texts("a") == ["U:hello"]


async def test_the_same_idempotency_key_replays_the_answer_even_after_a_restart(
    harness: StoreHarness,
) -> None:
    first = await harness.admit("a", dedupe_key="k1")
    await harness.store.append(await harness.engine.claim(), done("hi"))
    await harness.reopen()
    harness.clock.advance(1_000_000)
    again = await harness.admit("a", dedupe_key="k1")
    assert (again.turn_id, again.joined) == (first.turn_id, True)
    assert [shown(message) for message in (await harness.ended(again.turn_id)).messages] == ["A:hi"]


async def test_the_same_idempotency_key_with_another_body_is_refused(harness: StoreHarness) -> None:
    await harness.admit("a", "hello", dedupe_key="k1")
    with pytest.raises(IdempotencyMismatch) as caught:
        await harness.admit("a", "something else", dedupe_key="k1")
    assert "k1" in caught.value.message
    assert await harness.texts("a") == ["U:hello"]


async def test_the_same_idempotency_key_in_another_session_is_another_turn(harness: StoreHarness) -> None:
    first = await harness.admit("a", dedupe_key="k1")
    other = await harness.admit("b", "other", dedupe_key="k1")
    assert other.turn_id != first.turn_id
    assert not other.joined


async def test_a_retry_joins_the_turn_with_the_same_body(harness: StoreHarness) -> None:
    first = await harness.admit("a")
    again = await harness.admit("a", is_retry=True)
    assert (again.turn_id, again.joined) == (first.turn_id, True)


async def test_a_retry_with_another_body_is_a_turn_of_its_own(harness: StoreHarness) -> None:
    await harness.admit("a", "hello")
    assert not (await harness.admit("a", "hello!", is_retry=True)).joined


async def test_a_retry_in_another_session_is_a_turn_of_its_own(harness: StoreHarness) -> None:
    await harness.admit("a")
    assert not (await harness.admit("b", is_retry=True)).joined


async def test_the_same_body_that_is_no_retry_is_a_turn_of_its_own(harness: StoreHarness) -> None:
    """People say the same thing twice."""
    await harness.say("a", "hello", "hi")
    assert not (await harness.admit("a", "hello")).joined


async def test_a_retry_joins_an_ended_turn_within_the_window_only(harness: StoreHarness) -> None:
    first = await harness.say("a", "hello", "hi")
    harness.clock.advance(harness.limits.retry_window_s)
    assert (await harness.admit("a", is_retry=True)).turn_id == first.turn.id
    harness.clock.advance(1)
    assert not (await harness.admit("a", is_retry=True)).joined


async def test_a_retry_joins_a_turn_that_runs_however_long_it_does(harness: StoreHarness) -> None:
    first = await harness.start("a")
    harness.clock.advance(harness.limits.retry_window_s * 10)
    assert (await harness.admit("a", is_retry=True)).turn_id == first.turn.id


async def test_a_retry_joins_the_newest_of_several_turns_with_its_body(harness: StoreHarness) -> None:
    await harness.say("a", "hello", "hi")
    second = await harness.say("a", "hello", "hi again")
    assert (await harness.admit("a", is_retry=True)).turn_id == second.turn.id


async def test_a_retry_of_what_was_delivered_whole_is_a_turn_of_its_own(harness: StoreHarness) -> None:
    first = await harness.say("a", "go", "gone")
    await harness.say("b", "go", "gone")
    await harness.store.delivered((first.turn.id, "turn_x"))
    await harness.reopen()
    assert not (await harness.admit("a", "go", is_retry=True)).joined
    assert (await harness.admit("b", "go", is_retry=True)).joined
    # What is known of an older turn says nothing of a newer one.
    second = await harness.engine.claim()
    await harness.store.append(second, done("gone again"))
    assert (await harness.admit("a", "go", is_retry=True)).turn_id == second.turn.id
    for turn_id in (second.turn.id, first.turn.id):
        await harness.store.delivered((turn_id,))
        assert not await harness.store.knows(
            "a", Identity(hashlib.blake2b(b"go", digest_size=32).digest(), is_retry=True)
        )


async def test_a_key_joins_what_was_delivered_whole(harness: StoreHarness) -> None:
    await harness.admit("a", "go", dedupe_key="k")
    claim = await harness.engine.claim()
    await harness.store.append(claim, done("gone"))
    await harness.store.delivered((claim.turn.id,))
    assert (await harness.admit("a", "go", dedupe_key="k")).turn_id == claim.turn.id


@pytest.mark.parametrize("policy", ["queue", "steer"])
async def test_a_retry_joins_an_ended_turn_only_where_nothing_came_after_it(
    harness: StoreHarness, policy: WhenBusy
) -> None:
    first = await harness.start("a", "go")
    await harness.admit("a", "and this", when_busy=policy)
    # It has not ended: nobody can have heard its answer.
    assert (await harness.admit("a", "go", is_retry=True)).turn_id == first.turn.id
    await harness.store.append(first, done("gone"))
    if policy == "steer":
        await harness.store.append(first, done("done"))
    assert not (await harness.admit("a", "go", is_retry=True)).joined


async def test_what_was_delivered_is_deleted_with_its_session(harness: StoreHarness) -> None:
    claim = await harness.say("a", "go", "gone")
    await harness.store.delivered((claim.turn.id,))
    await harness.store.delete_session("a")
    await harness.say("a", "go", "gone")
    assert (await harness.admit("a", "go", is_retry=True)).joined


async def test_a_retry_of_a_steering_turn_follows_the_turn_that_it_joined(harness: StoreHarness) -> None:
    running = await harness.start("a", "first")
    steering = await harness.admit("a", "wait", when_busy="steer")
    again = await harness.admit("a", "wait", when_busy="steer", is_retry=True)
    assert (again.turn_id, again.joined) == (steering.turn_id, True)
    assert await harness.store.append(running, done("one")) == (user("wait"),)
    await harness.store.append(running, done("two"))
    assert (await harness.ended(again.turn_id)).messages == ()
    assert await harness.texts("a") == ["U:first", "A:one", "U:wait", "A:two"]


async def test_fifty_retries_at_once_start_one_turn(harness: StoreHarness) -> None:
    first = await harness.admit("a")
    again = await asyncio.gather(*(harness.admit("a", is_retry=True) for _ in range(50)))
    assert {admission.turn_id for admission in again} == {first.turn_id}
    await harness.engine.claim()
    assert await harness.engine.none()


async def test_fifty_requests_with_one_idempotency_key_at_once_start_one_turn(harness: StoreHarness) -> None:
    admissions = await asyncio.gather(*(harness.admit("a", dedupe_key="k1") for _ in range(50)))
    assert len({admission.turn_id for admission in admissions}) == 1
    assert sum(not admission.joined for admission in admissions) == 1
    assert await harness.texts("a") == ["U:hello"]


# What failed in passing ---------------------------------------------------------------------------


async def test_a_turn_that_failed_having_made_nothing_leaves_no_trace(harness: StoreHarness) -> None:
    await harness.say("a", "first", "one")
    claim = await harness.start("a", "second")
    await harness.store.append(claim, (failed(retryable=True),))
    assert await harness.texts("a") == ["U:first", "A:one"]


async def test_a_turn_that_failed_in_passing_is_taken_up_again_under_its_old_id(
    harness: StoreHarness,
) -> None:
    claim = await harness.start("a", "hello")
    await harness.store.append(claim, (failed(retryable=True),))
    assert (await harness.ended(claim.turn.id)).end.outcome == "failed"
    again = await harness.admit("a", "hello", is_retry=True)
    assert (again.turn_id, again.joined) == (claim.turn.id, True)
    second = await harness.engine.claim()
    assert second.turn == claim.turn
    assert second.attempt > claim.attempt
    await harness.store.append(second, done("hi"))
    assert await harness.texts("a") == ["U:hello", "A:hi"]
    assert (await harness.ended(claim.turn.id)).end.outcome == "done"


async def test_a_turn_that_failed_in_passing_is_taken_up_again_by_its_idempotency_key(
    harness: StoreHarness,
) -> None:
    await harness.admit("a", dedupe_key="k1")
    claim = await harness.engine.claim()
    await harness.store.append(claim, (failed(retryable=True),))
    assert (await harness.admit("a", dedupe_key="k1")).turn_id == claim.turn.id
    assert (await harness.engine.claim()).turn.id == claim.turn.id


async def test_a_turn_that_is_taken_up_again_stands_after_what_was_said_meanwhile(
    harness: StoreHarness,
) -> None:
    claim = await harness.start("a", "first")
    await harness.store.append(claim, (failed(retryable=True),))
    await harness.say("a", "second", "two")
    await harness.admit("a", "first", is_retry=True)
    await harness.store.append(await harness.engine.claim(), done("one"))
    assert await harness.texts("a") == ["U:second", "A:two", "U:first", "A:one"]


async def test_a_turn_that_is_taken_up_again_imports_its_history_again(harness: StoreHarness) -> None:
    earlier = (user("my name is Ann"), said("hello Ann"))
    claim = await harness.start("a", "who am I?", earlier=earlier)
    await harness.store.append(claim, (failed(retryable=True),))
    await harness.admit("a", "who am I?", is_retry=True, earlier=earlier)
    await harness.store.append(await harness.engine.claim(), done("Ann"))
    assert await harness.texts("a") == ["U:my name is Ann", "A:hello Ann", "U:who am I?", "A:Ann"]


async def test_a_turn_that_is_taken_up_again_rewinds_again(harness: StoreHarness) -> None:
    await harness.say("a", "first", "one")
    await harness.say("a", "second", "two")
    earlier = (user("first"), said("one"))
    claim = await harness.start("a", "second, edited", earlier=earlier)
    await harness.store.append(claim, (failed(retryable=True),))
    assert await harness.texts("a") == ["U:first", "A:one", "U:second", "A:two"]
    await harness.admit("a", "second, edited", is_retry=True, earlier=earlier)
    await harness.store.append(await harness.engine.claim(), done("edited two"))
    assert await harness.texts("a") == ["U:first", "A:one", "U:second, edited", "A:edited two"]


async def test_a_turn_that_failed_for_good_is_not_taken_up_again(harness: StoreHarness) -> None:
    claim = await harness.start("a", "hello")
    await harness.store.append(claim, (failed("model_refused_key", retryable=False),))
    again = await harness.admit("a", "hello", is_retry=True)
    assert (again.turn_id, again.joined) == (claim.turn.id, True)
    assert await harness.engine.none()
    assert (await harness.ended(again.turn_id)).end.outcome == "failed"


async def test_a_turn_that_had_made_something_goes_on_from_its_last_stored_step(
    harness: StoreHarness,
) -> None:
    claim = await harness.start("a", "hello")
    await harness.store.append(claim, (MessageAdded(said("half", "tool_calls")),))
    await harness.store.append(claim, (failed(retryable=True),))
    assert (await harness.admit("a", "hello", is_retry=True)).turn_id == claim.turn.id
    again = await harness.engine.claim()
    assert (again.turn.id, again.attempt) == (claim.turn.id, 2)
    following = asyncio.ensure_future(harness.ended(claim.turn.id))
    await harness.engine.settled()
    await harness.store.append(again, done("whole"))
    assert [message.text for message in (await following).messages] == ["half", "whole"]
    assert await harness.texts("a") == ["U:hello", "A:half", "A:whole"]


async def test_a_turn_that_had_made_something_is_not_taken_up_again_when_others_have_spoken_since(
    harness: StoreHarness,
) -> None:
    await harness.admit("a", "hello", dedupe_key="k")
    claim = await harness.engine.claim()
    await harness.store.append(claim, (MessageAdded(said("half", "tool_calls")),))
    await harness.store.append(claim, (failed(retryable=True),))
    await harness.say("a", "and this?", "yes")
    resent = await harness.admit("a", "hello", dedupe_key="k")
    assert (resent.turn_id, resent.is_over) == (claim.turn.id, True)
    assert await harness.engine.none()
    assert (await harness.ended(claim.turn.id)).end.outcome == "failed"
    assert await harness.texts("a") == ["U:hello", "A:half", "U:and this?", "A:yes"]


async def test_a_cancelled_turn_is_not_taken_up_again(harness: StoreHarness) -> None:
    claim = await harness.start("a", "hello")
    await harness.store.append(claim, (cancelled(),))
    assert (await harness.admit("a", "hello", is_retry=True)).turn_id == claim.turn.id
    assert await harness.engine.none()


# What nobody followed -----------------------------------------------------------------------------


@pytest.mark.parametrize("reopened", [False, True])
async def test_a_turn_that_nobody_followed_goes_on_from_its_last_stored_step(
    harness: StoreHarness, reopened: bool
) -> None:
    """Its calls that are finished are not run again, and its broken words are said again, as a whole."""
    await harness.admit("a", dedupe_key="m1")
    claim = await harness.engine.claim()
    calling = Message("assistant", (ToolCall("c1", "clock", "{}"),), "tool_calls")
    result = Message("tool", (ToolResult("c1", "noon"),))
    await harness.store.append(claim, (MessageAdded(calling), ToolStarted(calling.tool_calls[0])))
    await harness.store.append(claim, (ToolFinished(result),))
    await harness.store.append(claim, (MessageAdded(said("It is", "incomplete")), unfollowed()))
    assert await harness.texts("a") == ["U:hello", "A:", "T:noon", "A:It is"]
    if reopened:
        await harness.reopen()
    resent = await harness.admit("a", dedupe_key="m1")
    assert (resent.turn_id, resent.joined, resent.is_over) == (claim.turn.id, True, False)
    again = await harness.engine.claim()
    assert (again.turn, again.attempt) == (claim.turn, 2)
    assert (await harness.store.turn(claim.turn.id)).messages == (calling, result)
    following = asyncio.ensure_future(harness.ended(claim.turn.id))
    await harness.engine.settled()
    await harness.store.append(again, done("It is noon."))
    assert [shown(message) for message in (await following).messages] == ["A:", "T:noon", "A:It is noon."]
    assert await harness.texts("a") == ["U:hello", "A:", "T:noon", "A:It is noon."]
    late = await harness.admit("a", dedupe_key="m1")
    assert (late.turn_id, late.is_over) == (claim.turn.id, True)
    assert (await harness.ended(late.turn_id)).messages[-1].text == "It is noon."


async def test_a_turn_that_nobody_followed_may_be_left_and_taken_up_many_times(harness: StoreHarness) -> None:
    await harness.admit("a", dedupe_key="m1")
    for _ in range(5):
        claim = await harness.engine.claim()
        await harness.store.append(claim, (MessageAdded(said("It", "incomplete")), unfollowed()))
        await harness.admit("a", dedupe_key="m1")
    await harness.store.append(await harness.engine.claim(), done("It is noon."))
    assert await harness.texts("a") == ["U:hello", "A:It is noon."]


async def test_a_turn_that_nobody_followed_and_that_said_nothing_goes_on_where_it_stood(
    harness: StoreHarness,
) -> None:
    await harness.admit("a", dedupe_key="m1")
    await harness.store.append(await harness.engine.claim(), (unfollowed(),))
    await harness.admit("a", dedupe_key="m1")
    await harness.store.append(await harness.engine.claim(), done("hi"))
    assert await harness.texts("a") == ["U:hello", "A:hi"]


async def test_a_turn_that_nobody_followed_while_it_waited_runs_when_it_is_sent_again(
    harness: StoreHarness,
) -> None:
    running = await harness.start("a", "first")
    waiting = await harness.admit("a", "second", dedupe_key="m2")
    await harness.store.cancel(waiting.turn_id, "no client followed it", may_go_on=True)
    assert (await harness.ended(waiting.turn_id)).end.outcome == "cancelled"
    again = await harness.admit("a", "second", dedupe_key="m2")
    assert (again.turn_id, again.is_over) == (waiting.turn_id, False)
    await harness.store.append(running, done("one"))
    await harness.store.append(await harness.engine.claim(), done("two"))
    assert await harness.texts("a") == ["U:first", "A:one", "U:second", "A:two"]


async def test_a_turn_without_trace_that_nobody_followed_goes_on_too(harness: StoreHarness) -> None:
    await harness.say("a", "hello", "hi")
    await harness.admit("a", "make a title", trace=False, dedupe_key="m1")
    claim = await harness.engine.claim()
    await harness.store.append(claim, (MessageAdded(said("thinking", "tool_calls")),))
    await harness.store.append(claim, (unfollowed(),))
    assert await harness.texts("a") == ["U:hello", "A:hi"]
    await harness.admit("a", "make a title", trace=False, dedupe_key="m1")
    await harness.store.append(await harness.engine.claim(), done("Greetings"))
    answer = await harness.ended(claim.turn.id)
    assert [message.text for message in answer.messages] == ["thinking", "Greetings"]
    assert await harness.texts("a") == ["U:hello", "A:hi"]


async def test_a_store_says_beforehand_whether_it_knows_what_is_resent(harness: StoreHarness) -> None:
    digest = hashlib.blake2b(b"hello", digest_size=32).digest()
    resent, keyed = Identity(digest, None, True), Identity(digest, "k1", False)
    assert not await harness.store.knows("a", resent)
    await harness.admit("a", "hello", dedupe_key="k1")
    assert await harness.store.knows("a", resent)
    assert await harness.store.knows("a", keyed)
    assert not await harness.store.knows("b", resent)
    assert not await harness.store.knows("a", Identity(digest, None, False)), (
        "the same words again are a turn of their own"
    )
    assert not await harness.store.knows("a", Identity(digest, "k2", False))
    with pytest.raises(IdempotencyMismatch):
        await harness.store.knows("a", Identity(b"0" * 32, "k1", False))
