"""The process that makes vectors, from the server's side: there when it is needed, and its failures are no
turn's.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nanobot.core.errors import VectorsBrokenOff, VectorsUnavailable
from nanobot.core.observer import Observer
from nanobot.core.vectors import Near
from nanobot.stores.vectors.process import VectorProcess
from nanobot.testing import FakeClock
from tests.asgi import BOUND_S

IDLE_S = 60.0


class Outcomes(Observer):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def vectors_compared(self, outcome: str, seconds: float) -> None:
        self.seen.append(outcome)


@contextlib.asynccontextmanager
async def started(
    clock: FakeClock, database: str = "db", wait_s: float = BOUND_S
) -> AsyncIterator[tuple[VectorProcess, Outcomes]]:
    outcomes = Outcomes()
    vectors = VectorProcess(
        Path(database), clock, wait_s=wait_s, observer=outcomes, module="tests.vector_child", idle_s=IDLE_S
    )
    try:
        yield vectors, outcomes
    finally:
        await vectors.close()
    assert not is_there(vectors)


def is_there(vectors: VectorProcess) -> bool:
    return vectors.pid is not None


async def until_idle(clock: FakeClock) -> None:
    async with asyncio.timeout(BOUND_S):
        while not clock.sleepers:
            await asyncio.sleep(0)


async def test_it_is_started_by_the_first_request_and_answers_the_next_ones() -> None:
    async with started(FakeClock()) as (vectors, outcomes):
        assert not is_there(vectors)
        assert await vectors.embed(["four"]) == b"\x04"
        pid = vectors.pid
        assert pid is not None
        assert await vectors.nearest("text", [(1, 2)], patient=False) == (Near(7, 0.5),)
        assert await vectors.nearest_facts("text", [7], patient=True) == (Near(7, 0.5),)
        assert vectors.pid == pid
    assert outcomes.seen == ["found", "found"]


async def test_it_goes_when_nobody_has_asked_for_some_time_and_comes_back() -> None:
    clock = FakeClock()
    async with started(clock) as (vectors, _):
        await vectors.embed(["four"])
        await until_idle(clock)
        clock.advance(IDLE_S)
        async with asyncio.timeout(BOUND_S):
            while is_there(vectors):
                await asyncio.sleep(0)
        assert await vectors.embed(["again"]) == b"\x05"


@pytest.mark.parametrize("text", ["die", "fail"])
async def test_a_text_that_it_fails_over_is_told_and_the_next_one_works(text: str) -> None:
    async with started(FakeClock()) as (vectors, outcomes):
        with pytest.raises(VectorsBrokenOff):
            await vectors.embed([text])
        assert await vectors.nearest(text, [(1, 2)], patient=False) == ()
        assert await vectors.embed(["four"]) == b"\x04"
    assert outcomes.seen == ["failed"]


async def test_what_takes_too_long_is_not_waited_for() -> None:
    async with started(FakeClock(), wait_s=0.01) as (vectors, outcomes):
        assert await vectors.nearest("hang", [(1, 2)], patient=False) == ()
    assert outcomes.seen == ["late"]


async def test_where_it_cannot_run_it_is_tried_again_after_a_while_only() -> None:
    clock = FakeClock()
    async with started(clock, "broken") as (vectors, outcomes):
        with pytest.raises(VectorsUnavailable, match="switch it off"):
            await vectors.embed(["four"])
        with pytest.raises(VectorsUnavailable, match="a short time ago"):
            await vectors.embed(["four"])
        assert await vectors.nearest("text", [(1, 2)], patient=False) == ()
        clock.advance(3_600.0)
        with pytest.raises(VectorsUnavailable, match="switch it off"):
            await vectors.embed(["four"])
    assert outcomes.seen == ["failed"]


async def test_requests_of_turns_come_before_those_of_the_background() -> None:
    async with started(FakeClock()) as (vectors, _):
        order: list[str] = []

        async def embed(text: str) -> None:
            await vectors.embed([text])
            order.append(text)

        async def find() -> None:
            await vectors.nearest("text", [(1, 2)], patient=True)
            order.append("found")

        await vectors.embed(["warm"])
        async with asyncio.timeout(BOUND_S), asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(embed(f"{number}"))
            await asyncio.sleep(0)
            group.create_task(find())
    assert order.index("found") <= 1


async def test_what_waits_when_the_server_stops_is_told() -> None:
    async with started(FakeClock()) as (vectors, _):
        waiting = asyncio.ensure_future(vectors.embed(["hang"]))
        behind = asyncio.ensure_future(vectors.embed(["four"]))
        async with asyncio.timeout(BOUND_S):
            while not is_there(vectors):
                await asyncio.sleep(0)
        await vectors.close()
        with pytest.raises(VectorsUnavailable):
            await behind
        waiting.cancel()
        with pytest.raises(VectorsUnavailable):
            await vectors.embed(["four"])
