"""When a running turn is broken off: each phase, and each stop that may come in it."""

import asyncio
from collections.abc import Callable

import pytest

from nanobot.engine.state import Phase, RunState
from tests.asgi import BOUND_S


async def cancellations(play: Callable[[RunState], None]) -> int:
    """Start a task that waits, let `play` act on its state, and return how often that cancelled it."""
    state = RunState()
    is_waiting = asyncio.Event()

    async def run() -> int:
        state.start()
        is_waiting.set()
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            return task.cancelling()
        return 0

    task = asyncio.create_task(run())
    async with asyncio.timeout(BOUND_S):
        await is_waiting.wait()
        play(state)
        return await task


async def test_a_stop_interrupts_the_task_once() -> None:
    def play(state: RunState) -> None:
        state.stop("enough")
        state.stop("enough, again")
        assert state.is_in(Phase.INTERRUPTED)
        assert state.stop_reason == "enough"

    assert await cancellations(play) == 1


async def test_a_stop_during_a_commit_waits_for_it() -> None:
    def play(state: RunState) -> None:
        state.commits += 1
        state.stop("enough")
        state.interrupt_if_stopping()
        assert state.is_in(Phase.STOPPING)
        state.commits -= 1
        state.interrupt_if_stopping()
        assert state.is_in(Phase.INTERRUPTED)

    assert await cancellations(play) == 1


def test_a_stop_before_the_task_has_started_is_kept_for_it() -> None:
    state = RunState()
    state.stop("enough")
    assert state.is_in(Phase.STOPPING)


@pytest.mark.parametrize("first", ["enough", None])
async def test_the_end_of_the_server_outweighs_any_other_reason(first: str | None) -> None:
    def play(state: RunState) -> None:
        state.stop(first)
        state.stop(None)
        state.stop("too late")
        assert state.stop_reason is None

    assert await cancellations(play) == 1


async def test_an_end_that_is_being_written_is_not_broken_off_by_those_who_want_the_turn_to_end() -> None:
    def play(state: RunState) -> None:
        state.end()
        state.stop("enough")
        assert state.is_in(Phase.ENDING)

    assert await cancellations(play) == 0


async def test_an_end_that_is_being_written_is_not_waited_for_once_the_server_stops() -> None:
    def play(state: RunState) -> None:
        state.end()
        state.stop(None)
        state.stop(None)
        assert state.is_in(Phase.ABANDONING)

    assert await cancellations(play) == 1


async def test_nor_does_the_end_of_the_server_break_off_its_commit() -> None:
    def play(state: RunState) -> None:
        state.end()
        state.commits += 1
        state.stop(None)
        assert state.is_in(Phase.ABANDONING)

    assert await cancellations(play) == 0


def test_the_end_of_a_turn_that_is_given_back_is_tried_once_only() -> None:
    state = RunState()
    state.stop(None)
    state.end()
    assert state.is_in(Phase.ABANDONING)


def test_the_end_of_a_turn_that_was_cancelled_is_written_however_long_it_takes() -> None:
    state = RunState()
    state.stop("enough")
    state.end()
    assert state.is_in(Phase.ENDING)
