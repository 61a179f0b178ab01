"""The events of a turn: followed as they come, from any place on, and taken back while nobody has them."""

import asyncio

import pytest

from nanobot.core.dispatch import Claim
from nanobot.core.errors import StoreError
from nanobot.core.event import Event, MessageAdded, TextDelta, TurnEnded
from tests.asgi import BOUND_S
from tests.contract.store_harness import StoreHarness, done, said

# Following ----------------------------------------------------------------------------------------


async def followed(harness: StoreHarness, turn_id: str, after: int = 0) -> list[tuple[int, Event]]:
    async with asyncio.timeout(BOUND_S):
        return [item async for batch in harness.store.follow(turn_id, after) for item in batch]


async def speak(harness: StoreHarness, claim: Claim) -> None:
    for text in ("Hel", "lo, ", "Ann"):
        harness.store.show(claim, TextDelta(text))
    await harness.store.append(claim, done("Hello, Ann"))


async def test_deltas_reach_followers_at_once_and_facts_once_they_are_committed(
    harness: StoreHarness,
) -> None:
    claim = await harness.start("a")
    stream = harness.store.follow(claim.turn.id)
    harness.store.show(claim, TextDelta("Hel"))
    assert list(await anext(stream)) == [(3, TextDelta("Hel"))]
    harness.store.show(claim, TextDelta("lo"))
    assert list(await anext(stream)) == [(5, TextDelta("lo"))]
    await harness.store.append(claim, done("Hello"))
    assert [event async for batch in stream for event in batch] == [
        (6, MessageAdded(said("Hello"))),
        (7, TurnEnded("done")),
    ]


async def test_who_comes_late_gets_what_was_said_before(harness: StoreHarness) -> None:
    claim = await harness.start("a")
    for text in ("Hel", "lo"):
        harness.store.show(claim, TextDelta(text))
    stream = harness.store.follow(claim.turn.id)
    assert [event for _, event in await anext(stream)] == [TextDelta("Hel"), TextDelta("lo")]
    await harness.store.append(claim, done("Hello"))
    assert [type(event).__name__ async for batch in stream for _, event in batch] == [
        "MessageAdded",
        "TurnEnded",
    ]


async def test_a_cursor_cuts_a_delta_at_the_character(harness: StoreHarness) -> None:
    claim = await harness.start("a")
    await speak(harness, claim)
    assert [event for _, event in await followed(harness, claim.turn.id, 5)] == [
        TextDelta(", Ann"),
        MessageAdded(said("Hello, Ann")),
        TurnEnded("done"),
    ]


async def test_a_cursor_at_or_past_the_end_still_yields_the_end(harness: StoreHarness) -> None:
    """Whoever lost the connection just before the end must learn that it has come."""
    claim = await harness.start("a")
    await speak(harness, claim)
    for after in (12, 13, 1_000_000):
        assert await followed(harness, claim.turn.id, after) == [(12, TurnEnded("done"))]


async def test_who_follows_a_waiting_turn_sees_it_from_its_start(harness: StoreHarness) -> None:
    first = await harness.start("a", "first")
    waiting = await harness.admit("a", "second")
    following = asyncio.ensure_future(followed(harness, waiting.turn_id))
    await harness.store.append(first, done("one"))
    await speak(harness, await harness.engine.claim())
    events = await following
    assert "".join(event.text for _, event in events if isinstance(event, TextDelta)) == "Hello, Ann"
    assert events[-1][1] == TurnEnded("done")


async def test_who_follows_a_turn_after_a_crash_gets_its_stored_steps_and_then_what_comes(
    harness: StoreHarness,
) -> None:
    claim = await harness.start("a")
    harness.store.show(claim, TextDelta("one"))
    await harness.store.append(claim, (MessageAdded(said("one", "length")),))
    await harness.reopen()
    again = await harness.engine.claim()
    following = asyncio.ensure_future(followed(harness, claim.turn.id, 2))
    await harness.engine.settled()
    harness.store.show(again, TextDelta(" two"))
    await harness.store.append(again, done(" two"))
    assert [event for _, event in await following] == [
        TextDelta("e"),
        MessageAdded(said("one", "length")),
        TextDelta(" two"),
        MessageAdded(said(" two")),
        TurnEnded("done"),
    ]


async def test_a_follower_that_leaves_does_not_touch_the_others(harness: StoreHarness) -> None:
    claim = await harness.start("a")
    leaving = asyncio.ensure_future(followed(harness, claim.turn.id))
    staying = asyncio.ensure_future(followed(harness, claim.turn.id))
    await harness.engine.settled()
    leaving.cancel()
    await speak(harness, claim)
    assert (await staying)[-1][1] == TurnEnded("done")


async def test_who_follows_when_the_server_stops_is_told_that_the_turn_goes_on(harness: StoreHarness) -> None:
    claim = await harness.start("a")
    following = asyncio.ensure_future(followed(harness, claim.turn.id))
    waiting = asyncio.ensure_future(harness.ended(claim.turn.id))
    await harness.engine.settled()
    harness.store.hang_up()
    for end in ((await following)[-1][1], (await waiting).end):
        assert isinstance(end, TurnEnded)
        assert end.error is not None
        assert (end.error.code, end.error.retryable) == ("shutting_down", True)


async def test_who_comes_to_follow_after_the_server_began_to_stop_is_told_the_same(
    harness: StoreHarness,
) -> None:
    claim = await harness.start("a")
    harness.store.hang_up()
    end = (await harness.ended(claim.turn.id)).end
    assert end.error is not None
    assert end.error.code == "shutting_down"


async def test_a_closed_store_says_so(harness: StoreHarness) -> None:
    await harness.store.close()
    await harness.store.close()
    with pytest.raises(StoreError):
        await harness.admit("a")
    with pytest.raises(StoreError):
        await harness.store.messages("a", limit=1)


# Taken back ---------------------------------------------------------------------------------------


async def test_deltas_that_nobody_has_received_can_be_taken_back(harness: StoreHarness) -> None:
    claim = await harness.start("a")
    harness.store.show(claim, TextDelta("Hel"))
    harness.store.show(claim, TextDelta("lx"))
    assert harness.store.take_back(claim)
    stream = harness.store.follow(claim.turn.id)
    await speak(harness, claim)
    events = [event async for batch in stream for _, event in batch]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Hello, Ann"


async def test_deltas_that_a_follower_has_received_stay(harness: StoreHarness) -> None:
    claim = await harness.start("a")
    stream = harness.store.follow(claim.turn.id)
    harness.store.show(claim, TextDelta("Hel"))
    assert list(await anext(stream)) == [(3, TextDelta("Hel"))]
    harness.store.show(claim, TextDelta("lo"))
    assert not harness.store.take_back(claim)
    assert list(await anext(stream)) == [(5, TextDelta("lo"))]


async def test_a_follower_who_has_received_what_came_before_does_not_keep_new_deltas(
    harness: StoreHarness,
) -> None:
    claim = await harness.start("a")
    stream = harness.store.follow(claim.turn.id)
    await harness.store.append(claim, (MessageAdded(said("One.")),))
    await anext(stream)
    harness.store.show(claim, TextDelta("Tw"))
    assert harness.store.take_back(claim)
    await harness.store.append(claim, done("Two."))
    assert [event async for batch in stream for _, event in batch] == [
        MessageAdded(said("Two.")),
        TurnEnded("done"),
    ]
