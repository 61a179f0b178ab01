"""Turns that join the running one of their session, or run by themselves where it ends without them."""

import asyncio

import pytest

from nanobot.core.event import Event, MessageAdded, TextDelta, TurnEnded
from nanobot.core.message import Usage, user
from nanobot.core.turn import Answer
from tests.contract.store_harness import StoreHarness, cancelled, done, failed, said, shown


async def test_a_steering_turn_joins_the_running_one_in_the_transaction_of_its_next_step(
    harness: StoreHarness,
) -> None:
    running = await harness.start("a", "first")
    steering = await harness.admit("a", "and in French", when_busy="steer")
    assert await harness.engine.none()
    assert await harness.texts("a") == ["U:first"]
    joined = await harness.store.append(running, (MessageAdded(said("let me see", "tool_calls")),))
    assert joined == (user("and in French"),)
    assert await harness.texts("a") == ["U:first", "A:let me see", "U:and in French"]
    await harness.store.append(running, done("bonjour"))
    answer = await harness.ended(steering.turn_id)
    assert answer == Answer(steering.turn_id, (), TurnEnded("done"))
    answer = await harness.ended(running.turn.id)
    assert [shown(message) for message in answer.messages] == ["A:let me see", "U:and in French", "A:bonjour"]


async def test_a_steering_turn_refuses_the_end_of_the_one_it_joins(harness: StoreHarness) -> None:
    running = await harness.start("a", "first")
    steering = await harness.admit("a", "wait", when_busy="steer")
    assert await harness.store.append(running, done("the end")) == (user("wait"),)
    assert (await harness.store.turn(running.turn.id)).status == "running"
    assert await harness.store.append(running, done("now it is")) == ()
    assert (await harness.store.turn(running.turn.id)).status == "done"
    assert (await harness.store.turn(steering.turn_id)).end == TurnEnded("done")


async def test_a_steering_turn_survives_a_crash_before_it_has_joined(harness: StoreHarness) -> None:
    await harness.start("a", "first")
    steering = await harness.admit("a", "and this", when_busy="steer")
    await harness.reopen()
    again = await harness.engine.claim()
    assert await harness.store.append(again, done("one")) == (user("and this"),)
    await harness.store.append(again, done("two"))
    assert await harness.ended(steering.turn_id) == Answer(steering.turn_id, (), TurnEnded("done"))
    assert await harness.texts("a") == ["U:first", "A:one", "U:and this", "A:two"]


async def test_several_steering_turns_join_in_order(harness: StoreHarness) -> None:
    running = await harness.start("a", "first")
    for text in ("x", "y", "z"):
        await harness.admit("a", text, when_busy="steer")
    assert await harness.store.append(running, done("one")) == (user("x"), user("y"), user("z"))


async def test_a_steering_turn_where_nothing_runs_is_a_turn_of_its_own(harness: StoreHarness) -> None:
    admission = await harness.admit("a", when_busy="steer")
    assert (await harness.engine.claim()).turn.id == admission.turn_id


@pytest.mark.parametrize("end", [failed(retryable=False), failed(retryable=True), cancelled()])
async def test_what_was_to_steer_a_turn_that_did_not_come_to_it_runs_as_a_turn_of_its_own(
    harness: StoreHarness, end: TurnEnded
) -> None:
    """A message that was admitted is answered, whatever became of the turn that it was to join."""
    running = await harness.start("a", "first")
    waiting = await harness.admit("a", "second")
    steering = await harness.admit("a", "wait", when_busy="steer")
    await harness.store.append(running, (end,))
    claims = [await harness.engine.claim()]
    await harness.store.append(claims[0], done("ok"))
    claims.append(await harness.engine.claim())
    await harness.store.append(claims[1], done("ok"))
    assert {claim.turn.id for claim in claims} == {waiting.turn_id, steering.turn_id}
    answer = await harness.ended(steering.turn_id)
    assert [shown(message) for message in answer.messages] == ["A:ok"]
    await harness.reopen()
    assert await harness.ended(steering.turn_id) == answer
    assert (await harness.texts("a")).count("U:wait") == 1


async def test_who_follows_a_turn_that_parted_hears_its_own_answer_alone(harness: StoreHarness) -> None:
    running = await harness.start("a", "first")
    steering = await harness.admit("a", "wait", when_busy="steer")
    heard = asyncio.ensure_future(events(harness, steering.turn_id))
    await harness.engine.settled()
    harness.store.show(running, TextDelta("Let me"))
    partial = MessageAdded(said("Let me", "incomplete"))
    await harness.store.append(running, (partial, cancelled()))
    own = await harness.engine.claim()
    await harness.store.append(own, done("Bonjour"))
    assert await heard == [*done("Bonjour")]


async def test_who_follows_a_turn_that_joined_another_hears_its_end_alone(harness: StoreHarness) -> None:
    running = await harness.start("a", "first")
    steering = await harness.admit("a", "wait", when_busy="steer")
    heard = asyncio.ensure_future(events(harness, steering.turn_id))
    await harness.engine.settled()
    harness.store.show(running, TextDelta("Let me"))
    await harness.store.append(running, done("Let me"))
    end = TurnEnded("done", Usage(10, 5))
    await harness.store.append(running, (MessageAdded(said("Bonjour")), end))
    assert await heard == [TurnEnded("done")]
    assert await events(harness, steering.turn_id) == [TurnEnded("done")]
    assert (await harness.ended(running.turn.id)).end == end


async def events(harness: StoreHarness, turn_id: str) -> list[Event]:
    return [event async for batch in harness.store.follow(turn_id) for _, event in batch]


async def test_what_steered_a_turn_before_it_failed_shares_its_end(harness: StoreHarness) -> None:
    running = await harness.start("a", "first")
    steering = await harness.admit("a", "wait", when_busy="steer")
    await harness.store.append(running, (MessageAdded(said("one", "tool_calls")),))
    await harness.store.append(running, (failed(retryable=True),))
    assert (await harness.ended(steering.turn_id)).end.outcome == "failed"
    await harness.reopen()
    assert (await harness.ended(steering.turn_id)).end.outcome == "failed"
    assert await harness.engine.none()


async def test_a_resend_of_what_steered_a_turn_that_failed_takes_that_turn_up_again(
    harness: StoreHarness,
) -> None:
    """Its answer is that turn's, so its retry is that turn's retry."""
    running = await harness.start("a", "first")
    steering = await harness.admit("a", "wait", when_busy="steer", dedupe_key="k")
    await harness.store.append(running, (MessageAdded(said("one")),))
    await harness.store.append(running, (failed(retryable=True),))
    resent = await harness.admit("a", "wait", when_busy="steer", dedupe_key="k")
    assert (resent.turn_id, resent.is_over) == (steering.turn_id, False)
    again = await harness.engine.claim()
    assert (again.turn.id, again.attempt) == (running.turn.id, 2)
    following = [asyncio.ensure_future(harness.ended(turn)) for turn in (running.turn.id, steering.turn_id)]
    await harness.engine.settled()
    await harness.store.append(again, done("two"))
    answer, own = await asyncio.gather(*following)
    assert [shown(message) for message in answer.messages] == ["A:one", "U:wait", "A:two"]
    assert own == Answer(steering.turn_id, (), TurnEnded("done"))


async def test_a_resend_of_what_steered_a_turn_that_is_over_is_told_so(harness: StoreHarness) -> None:
    running = await harness.start("a", "first")
    steering = await harness.admit("a", "wait", when_busy="steer", dedupe_key="k")
    await harness.store.append(running, (MessageAdded(said("one")),))
    await harness.store.append(running, (failed(retryable=True),))
    await harness.say("a", "something else", "yes")
    resent = await harness.admit("a", "wait", when_busy="steer", dedupe_key="k")
    assert (resent.turn_id, resent.is_over) == (steering.turn_id, True)
    assert await harness.engine.none()


async def test_a_message_that_is_to_be_kept_never_joins_a_turn_that_leaves_no_trace(
    harness: StoreHarness,
) -> None:
    """Else it would vanish from the transcript with the title or tags that the running turn is about."""
    title = await harness.start("a", "make a title", trace=False)
    kept = await harness.admit("a", "hello", when_busy="steer")
    await harness.store.append(title, done("Greetings"))
    claim = await harness.engine.claim()
    assert claim.turn.id == kept.turn_id
    await harness.store.append(claim, done("hi"))
    assert await harness.texts("a") == ["U:hello", "A:hi"]


async def test_a_message_that_is_to_leave_no_trace_never_joins_a_turn_that_is_kept(
    harness: StoreHarness,
) -> None:
    claim = await harness.start("a", "hello")
    await harness.admit("a", "make a title", when_busy="steer", trace=False)
    await harness.store.append(claim, done("hi"))
    await harness.store.append(await harness.engine.claim(), done("Greetings"))
    assert await harness.texts("a") == ["U:hello", "A:hi"]
