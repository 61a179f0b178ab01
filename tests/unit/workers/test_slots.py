"""Slots: each owner gets its turn, whoever came first with however many."""

import asyncio

import pytest

from nanobot.workers.slots import FairSlots, PayerSlots
from tests.asgi import BOUND_S


class Queue:
    """Owners that hold slots until they are let go, in the order in which they got them."""

    def __init__(self, slots: FairSlots) -> None:
        self.slots = slots
        self.got: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str) -> None:
        """Ask for a slot; the first letter of the name is the owner."""
        self.gates[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._hold(name))
        await asyncio.sleep(0)

    async def _hold(self, name: str) -> None:
        async with self.slots.slot(name[0]):
            self.got.append(name)
            await self.gates[name].wait()

    async def let_go(self, name: str) -> None:
        self.gates[name].set()
        async with asyncio.timeout(BOUND_S):
            await self.tasks[name]
        for _ in range(3):
            await asyncio.sleep(0)


async def test_owners_take_turns() -> None:
    queue = Queue(FairSlots(1, most_each=1))
    for name in ("a1", "a2", "a3", "b1", "c1", "b2"):
        await queue.ask(name)
    for name in ("a1", "a2", "b1", "c1", "a3", "b2"):
        assert queue.got[-1] == name
        await queue.let_go(name)


async def test_one_owner_leaves_a_slot_to_the_others() -> None:
    queue = Queue(FairSlots(2, most_each=1))
    for name in ("a1", "a2", "a3"):
        await queue.ask(name)
    assert queue.got == ["a1"]
    await queue.ask("b1")
    assert queue.got == ["a1", "b1"]
    await queue.let_go("b1")
    assert queue.got == ["a1", "b1"]
    await queue.let_go("a1")
    assert queue.got == ["a1", "b1", "a2"]
    for name in ("a2", "a3"):
        await queue.let_go(name)


@pytest.mark.parametrize("is_first", [True, False])
async def test_who_goes_away_while_it_waits_takes_nothing(is_first: bool) -> None:
    queue = Queue(FairSlots(1, most_each=1))
    for name in ("a1", "a2", "b1"):
        await queue.ask(name)
    gone = queue.tasks["a2" if is_first else "b1"]
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    await queue.let_go("a1")
    rest = "b1" if is_first else "a2"
    assert queue.got == ["a1", rest]
    await queue.let_go(rest)
    await queue.ask("c1")
    assert queue.got[-1] == "c1"
    await queue.let_go("c1")


async def test_who_goes_away_as_it_gets_a_slot_gives_it_back() -> None:
    queue = Queue(FairSlots(1, most_each=1))
    for name in ("a1", "b1", "c1"):
        await queue.ask(name)
    queue.gates["a1"].set()
    # The slot is handed to b1 in the step in which a1 ends; b1 has not run since.
    await queue.tasks["a1"]
    queue.tasks["b1"].cancel()
    with pytest.raises(asyncio.CancelledError):
        await queue.tasks["b1"]
    for _ in range(3):
        await asyncio.sleep(0)
    assert queue.got[-1] == "c1"
    await queue.let_go("c1")


async def test_a_slot_does_not_go_to_who_gave_up_in_the_same_moment() -> None:
    queue = Queue(FairSlots(1, most_each=1))
    for name in ("a1", "b1", "b2"):
        await queue.ask(name)
    queue.tasks["b1"].cancel()
    queue.tasks["a1"].cancel()
    await asyncio.gather(queue.tasks["a1"], queue.tasks["b1"], return_exceptions=True)
    for _ in range(3):
        await asyncio.sleep(0)
    assert queue.got == ["a1", "b2"]
    await queue.let_go("b2")


async def test_the_owners_of_one_payer_leave_a_slot_to_another_payer() -> None:
    slots = PayerSlots(3, most_of_payer=2, most_of_owner=1)
    got: list[str] = []
    gate = asyncio.Event()

    async def hold(payer: str, owner: str) -> None:
        async with slots.slot(payer, owner):
            got.append(payer + owner)
            await gate.wait()

    many = [asyncio.create_task(hold("a", str(number % 12))) for number in range(24)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert got == ["a0", "a1"]
    other = asyncio.create_task(hold("b", "0"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert got == ["a0", "a1", "b0"]
    gate.set()
    async with asyncio.timeout(BOUND_S):
        await asyncio.gather(*many, other)
    # Sessions of one payer take turns.
    assert {each for each in got[:13] if each != "b0"} == {f"a{number}" for number in range(12)}
