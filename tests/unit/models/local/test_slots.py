"""Slots are lent to one request at a time; who waits gets the next, and who goes leaves it to others."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from nanobot.models.local.slots import Slots

pytestmark = pytest.mark.asyncio


async def test_one_more_than_there_are_waits_for_the_first_that_is_given_back() -> None:
    slots = Slots(2)
    got: list[int] = []

    async def borrow() -> None:
        async with slots.lend("a", "third") as slot:
            got.append(slot.number)

    async with AsyncExitStack() as first, slots.lend("a", "second"):
        one = await first.enter_async_context(slots.lend("a", "first"))
        waiting = asyncio.create_task(borrow())
        await asyncio.sleep(0)
        assert got == []
        await first.aclose()
        await waiting
        assert got == [one.number]


async def test_one_that_stops_waiting_leaves_its_turn_to_the_next() -> None:
    slots = Slots(1)
    got: list[str] = []

    async def borrow(session: str) -> None:
        async with slots.lend("a", session):
            got.append(session)

    async with slots.lend("a", "first"):
        gone, stays = asyncio.create_task(borrow("gone")), asyncio.create_task(borrow("stays"))
        await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, stays, return_exceptions=True)
    assert "stays" in got


async def test_only_as_many_idle_slots_are_erased_as_a_request_needs() -> None:
    slots = Slots(3)
    for session in ("old", "newer", "newest"):
        async with slots.lend("a", session) as slot:
            slot.kind, slot.session, slot.tokens = "a", session, 300
    assert slots.to_erase(100, 1_000) == []
    assert [slot.session for slot in slots.to_erase(200, 1_000)] == ["old"]
    assert [slot.session for slot in slots.to_erase(1_000, 1_000)] == ["old", "newer", "newest"]
    async with slots.lend("a", "old"):
        assert [slot.session for slot in slots.to_erase(900, 1_000)] == ["newer", "newest"]


async def test_a_slot_with_nothing_in_it_comes_before_the_beginning_of_another_kind() -> None:
    slots = Slots(2)
    slots.read(0, "conversation", 300)
    async with slots.lend("task", "") as slot:
        assert slot.number == 1
