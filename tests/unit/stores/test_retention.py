"""When sessions go that nobody uses: by which rule, how often it is looked, what becomes of a failure."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from nanobot.core.errors import StoreError
from nanobot.core.sessions import RetentionRule
from nanobot.stores.retention import Sweeper
from nanobot.testing import FakeClock
from tests.asgi import BOUND_S

RULES = (RetentionRule("wx:*", 60.0),)


class Pile:
    """So many sessions are due; each sweep takes two. The first one fails where it is told to."""

    def __init__(self, due: int, *, fails: bool = False) -> None:
        self.due = due
        self.fails = fails
        self.asked = 0

    async def delete_unused(self, rules: Sequence[RetentionRule]) -> int:
        self.asked += 1
        if self.fails:
            self.fails = False
            raise StoreError("the disk is full")
        taken = min(2, self.due)
        self.due -= taken
        return taken


async def until_asleep(clock: FakeClock) -> None:
    async with asyncio.timeout(BOUND_S):
        while not clock.sleepers:
            await asyncio.sleep(0)


async def test_it_sweeps_at_once_until_nothing_is_due_and_then_from_time_to_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    pile, clock = Pile(5), FakeClock()
    task = asyncio.ensure_future(Sweeper(pile, clock, RULES).run())
    await until_asleep(clock)
    assert (pile.due, pile.asked) == (0, 4)
    assert [record.getMessage().split(" ")[0] for record in caplog.records] == ["5"]
    pile.due = 1
    clock.advance(600)
    await until_asleep(clock)
    assert pile.due == 0
    task.cancel()


async def test_what_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    pile, clock = Pile(1, fails=True), FakeClock()
    task = asyncio.ensure_future(Sweeper(pile, clock, RULES).run())
    await until_asleep(clock)
    assert pile.due == 1
    assert "the disk is full" in caplog.text
    clock.advance(600)
    await until_asleep(clock)
    assert pile.due == 0
    task.cancel()


@pytest.mark.parametrize("rules", [(), (RetentionRule("*", 0.0),)])
async def test_where_all_is_kept_nothing_is_looked_for(rules: tuple[RetentionRule, ...]) -> None:
    pile = Pile(5)
    await asyncio.wait_for(Sweeper(pile, FakeClock(), rules).run(), BOUND_S)
    assert (pile.due, pile.asked) == (5, 0)
