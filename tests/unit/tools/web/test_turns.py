"""Requests to the web wait where too many run."""

import asyncio

from nanobot.tools.web.turns import WebTurns


async def begin(turns: WebTurns, key: str, begun: list[str], end: asyncio.Event) -> None:
    async with turns.turn(key):
        begun.append(key)
        await end.wait()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_session_waits_for_itself_and_not_for_others() -> None:
    turns, end = WebTurns(4, 2), asyncio.Event()
    begun: list[str] = []
    async with asyncio.TaskGroup() as group:
        for key in ("ann", "ann", "ann", "bob"):
            group.create_task(begin(turns, key, begun, end))
        await settle()
        assert begun == ["ann", "ann", "bob"]
        end.set()
    assert begun == ["ann", "ann", "bob", "ann"]


async def test_all_together_are_bounded_and_one_that_gives_up_leaves_its_place() -> None:
    turns, end = WebTurns(1, 2), asyncio.Event()
    begun: list[str] = []
    async with asyncio.TaskGroup() as group:
        first = group.create_task(begin(turns, "ann", begun, end))
        group.create_task(begin(turns, "bob", begun, end))
        await settle()
        assert begun == ["ann"]
        first.cancel()
        await settle()
        assert begun == ["ann", "bob"]
        end.set()
