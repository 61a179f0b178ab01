"""Admission: committed or not there at all, in order, within bounds."""

import asyncio

import pytest

from nanobot.core.errors import QueueFull, SessionBusy, SessionNotFound, ShuttingDown, TurnNotFound
from nanobot.core.event import MessageAdded
from nanobot.core.message import user
from nanobot.core.store import Limits
from tests.contract.store_harness import StoreHarness, cancelled, done, said

# Committed or not there ---------------------------------------------------------------------------


async def test_an_admitted_turn_is_still_there_after_a_crash(harness: StoreHarness) -> None:
    admission = await harness.admit("a", "hello")
    await harness.reopen()
    assert (await harness.engine.claim()).turn.id == admission.turn_id
    assert await harness.texts("a") == ["U:hello"]


async def test_a_turn_that_waits_is_still_there_after_a_crash_with_its_input(harness: StoreHarness) -> None:
    await harness.admit("a", "first")
    waiting = await harness.admit("a", "second")
    await harness.reopen()
    first = await harness.engine.claim()
    await harness.store.append(first, done("one"))
    second = await harness.engine.claim()
    assert second.turn.id == waiting.turn_id
    assert second.turn.input == (user("second"),)
    assert await harness.texts("a") == ["U:first", "A:one", "U:second"]


async def test_a_refused_turn_leaves_nothing_behind(harness: StoreHarness) -> None:
    await harness.start("a", "first")
    with pytest.raises(SessionBusy):
        await harness.admit("a", "second", when_busy="reject")
    await harness.reopen()
    assert await harness.texts("a") == ["U:first"]
    with pytest.raises(TurnNotFound):
        await harness.store.turn(harness.last_id)


async def test_a_waiting_turn_is_not_in_the_transcript_before_it_starts(harness: StoreHarness) -> None:
    running = await harness.start("a", "first")
    await harness.admit("a", "second")
    assert await harness.texts("a") == ["U:first"]
    await harness.store.append(running, done("one"))
    await harness.engine.claim()
    assert await harness.texts("a") == ["U:first", "A:one", "U:second"]


async def test_a_failed_admission_does_not_touch_those_that_are_committed_with_it(
    harness: StoreHarness,
) -> None:
    await harness.start("a", "first")
    results = await asyncio.gather(
        harness.admit("b", "x"),
        harness.admit("a", "second", when_busy="reject"),
        harness.admit("c", "y"),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == ["Admission", "SessionBusy", "Admission"]
    assert await harness.texts("b") == ["U:x"]
    assert await harness.texts("c") == ["U:y"]


async def test_nothing_is_admitted_once_the_server_stops(harness: StoreHarness) -> None:
    harness.store.hang_up()
    with pytest.raises(ShuttingDown):
        await harness.admit("a")
    with pytest.raises(SessionNotFound):
        await harness.store.messages("a", limit=1)


# Order and bounds ---------------------------------------------------------------------------------


async def test_turns_of_one_session_run_one_at_a_time_in_order_of_arrival(harness: StoreHarness) -> None:
    admissions = [await harness.admit("a", f"{number}") for number in range(4)]
    order = []
    for number in range(4):
        claim = await harness.engine.claim()
        assert await harness.engine.none()
        order.append(claim.turn.id)
        await harness.store.append(claim, done(f"re {number}"))
    assert order == [admission.turn_id for admission in admissions]
    assert await harness.texts("a") == [
        text for number in range(4) for text in (f"U:{number}", f"A:re {number}")
    ]


async def test_turns_of_different_sessions_run_in_parallel(harness: StoreHarness) -> None:
    for number in range(20):
        await harness.admit(f"key {number}")
    claims = [await harness.engine.claim() for _ in range(20)]
    assert {claim.turn.session_key for claim in claims} == {f"key {number}" for number in range(20)}


async def test_no_more_turns_run_than_the_engine_wants_and_the_oldest_goes_first(
    harness: StoreHarness,
) -> None:
    await harness.reopen(max_running=2)
    for key in "abcd":
        await harness.admit(key)
    first, second = await harness.engine.claim(), await harness.engine.claim()
    assert [first.turn.session_key, second.turn.session_key] == ["a", "b"]
    assert await harness.engine.none()
    await harness.store.append(second, done("ok"))
    third = await harness.engine.claim()
    assert third.turn.session_key == "c"
    assert await harness.engine.none()


async def test_the_queue_of_a_session_is_bounded_and_other_sessions_are_not_held_up_by_it(
    harness: StoreHarness,
) -> None:
    for _ in range(1 + 4):
        await harness.admit("a")
    with pytest.raises(QueueFull) as caught:
        await harness.admit("a")
    assert "4" in caught.value.message
    assert caught.value.retry_after_s
    assert not (await harness.admit("b")).joined


async def test_a_place_in_the_queue_is_free_again_when_a_turn_has_ended(harness: StoreHarness) -> None:
    for _ in range(1 + 4):
        await harness.admit("a")
    await harness.store.append(await harness.engine.claim(), done("ok"))
    assert not (await harness.admit("a")).joined


async def test_a_turn_that_would_not_wait_is_refused_only_where_it_would_have_to(
    harness: StoreHarness,
) -> None:
    claim = await harness.start("a")
    with pytest.raises(SessionBusy):
        await harness.admit("a", when_busy="reject")
    await harness.store.append(claim, done("ok"))
    assert not (await harness.admit("a", when_busy="reject")).joined


async def test_a_turn_that_interrupts_asks_the_running_one_to_stop_and_runs_next(
    harness: StoreHarness,
) -> None:
    running = await harness.start("a", "first")
    later = await harness.admit("a", "stop, do this", when_busy="interrupt")
    cancel = await harness.engine.cancel()
    assert cancel.turn_id == running.turn.id
    assert await harness.engine.none()
    await harness.store.append(running, (MessageAdded(said("I was sayi", "incomplete")), cancelled()))
    assert (await harness.engine.claim()).turn.id == later.turn_id
    assert await harness.texts("a") == ["U:first", "A:I was sayi", "U:stop, do this"]


async def test_a_turn_that_interrupts_where_nothing_runs_just_runs(harness: StoreHarness) -> None:
    await harness.admit("a", when_busy="interrupt")
    await harness.engine.claim()
    assert await harness.engine.none()


# Settings of a turn -------------------------------------------------------------------------------


async def test_limits_are_those_the_store_was_opened_with(harness: StoreHarness) -> None:
    await harness.reopen(limits=Limits(max_queue=1))
    await harness.start("a")
    await harness.admit("a")
    with pytest.raises(QueueFull):
        await harness.admit("a")


async def test_a_turn_that_waits_for_another_has_the_sessions_instructions_and_model_as_well(
    harness: StoreHarness,
) -> None:
    await harness.say("a", "hello", "hi")
    await harness.store.instruct_session("a", "Call me Max.")
    await harness.store.choose_model("a", "fast")
    claim = await harness.start("a", "one")
    for text in ("two", "three"):
        await harness.admit("a", text)
    found = [claim.turn]
    for _ in range(2):
        await harness.store.append(claim, done("yes"))
        claim = await harness.engine.claim()
        found.append(claim.turn)
    assert [(turn.own_instructions, turn.model) for turn in found] == [("Call me Max.", "fast")] * 3
