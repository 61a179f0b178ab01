"""Which sessions go that nobody uses, and that all of them go."""

import logging
from collections.abc import Sequence

import pytest

from nanobot.core.errors import StoreError
from nanobot.core.sessions import RetentionRule
from nanobot.stores.retention import delete_unused

RULES = (RetentionRule("wx:*", 60.0),)


class Pile:
    """So many sessions are due; each call deletes two."""

    def __init__(self, due: int) -> None:
        self.due = due
        self.asked = 0

    async def delete_unused(self, rules: Sequence[RetentionRule]) -> int:
        self.asked += 1
        deleted = min(2, self.due)
        self.due -= deleted
        return deleted


class Full:
    """A store whose disk is full."""

    async def delete_unused(self, rules: Sequence[RetentionRule]) -> int:
        raise StoreError("the disk is full")


async def test_it_deletes_a_few_at_a_time_until_nothing_is_due(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    pile = Pile(5)
    await delete_unused(pile, RULES)
    assert (pile.due, pile.asked) == (0, 4)
    assert [record.getMessage().split(" ")[0] for record in caplog.records] == ["5"]


async def test_where_nothing_is_due_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await delete_unused(Pile(0), RULES)
    assert not caplog.records


async def test_a_store_that_fails_is_for_the_caller_to_deal_with() -> None:
    with pytest.raises(StoreError, match="the disk is full"):
        await delete_unused(Full(), RULES)


@pytest.mark.parametrize("rules", [(), (RetentionRule("*", 0.0),)])
async def test_where_all_is_kept_nothing_is_looked_for(rules: tuple[RetentionRule, ...]) -> None:
    pile = Pile(5)
    await delete_unused(pile, rules)
    assert (pile.due, pile.asked) == (5, 0)
