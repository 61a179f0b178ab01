"""Work that is done again and again: when it runs, what becomes of a failure, when it ends."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from nanobot.app.periodic import LONGEST_PAUSE_S, PeriodicJob, PeriodicJobs
from nanobot.core.errors import StoreError
from nanobot.testing import FakeClock
from tests.asgi import BOUND_S


class Work:
    """Something to do: counts its runs, and raises what `failures` holds for them, first one first."""

    def __init__(self, *failures: Exception) -> None:
        self.runs = 0
        self._failures = list(failures)

    async def __call__(self) -> None:
        self.runs += 1
        if self._failures:
            raise self._failures.pop(0)


def job(run: Work, *, every_s: float = 10.0, first_after_s: float = 0.0) -> PeriodicJob:
    return PeriodicJob(name="tidy up", run=run, every_s=every_s, first_after_s=first_after_s)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_S):
        while not condition():
            await asyncio.sleep(0)


@asynccontextmanager
async def running(clock: FakeClock, *jobs: PeriodicJob) -> AsyncIterator[None]:
    """Run the jobs; the clock stands still once each of them sleeps."""
    async with asyncio.TaskGroup() as group:
        owner = group.create_task(PeriodicJobs(jobs, clock).run())
        await until(lambda: len(clock.sleepers) == len(jobs))
        yield
        owner.cancel()


async def pass_time(clock: FakeClock, seconds: float) -> None:
    asleep = len(clock.sleepers)
    clock.advance(seconds)
    await until(lambda: len(clock.sleepers) == asleep)


async def test_a_job_runs_at_the_start_and_at_its_interval_from_then_on() -> None:
    clock, work = FakeClock(), Work()
    async with running(clock, job(work, every_s=10)):
        assert work.runs == 1
        await pass_time(clock, 9)
        assert work.runs == 1
        await pass_time(clock, 1)
        assert work.runs == 2


async def test_the_first_run_can_be_later() -> None:
    clock, work = FakeClock(), Work()
    async with running(clock, job(work, every_s=10, first_after_s=5)):
        assert work.runs == 0
        await pass_time(clock, 5)
        assert work.runs == 1
        await pass_time(clock, 10)
        assert work.runs == 2


async def test_a_failure_is_logged_with_the_jobs_name_and_the_job_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, work = FakeClock(), Work(StoreError("the disk is full"))
    async with running(clock, job(work)):
        assert [record.getMessage() for record in caplog.records] == [
            "could not tidy up, next try in 10 s: the disk is full"
        ]
        await pass_time(clock, 10)
        assert work.runs == 2
    assert len(caplog.records) == 1


async def test_a_bug_in_a_job_is_logged_whole_and_stops_neither_it_nor_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, broken, sound = FakeClock(), Work(KeyError("inside")), Work()
    async with running(clock, job(broken), job(sound)):
        assert caplog.records[0].exc_info
        await pass_time(clock, 10)
        assert (broken.runs, sound.runs) == (2, 2)


async def test_a_job_that_goes_on_failing_is_tried_less_and_less_often_up_to_a_bound() -> None:
    clock, work = FakeClock(), Work(*(StoreError("no") for _ in range(8)))
    async with running(clock, job(work, every_s=1)):
        for _ in range(9):
            await pass_time(clock, clock.slept[-1])
    assert clock.slept == [1, 2, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S, 1, 1]


async def test_a_failure_delays_no_job_whose_interval_is_long_anyway() -> None:
    clock, work = FakeClock(), Work(StoreError("no"), StoreError("no"), StoreError("no"))
    async with running(clock, job(work, every_s=600)):
        for _ in range(3):
            await pass_time(clock, 600)
    assert clock.slept == [600, 600, 600, 600]


async def test_a_job_that_is_running_ends_with_its_owner(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    has_begun, was_cancelled = asyncio.Event(), asyncio.Event()

    async def wait_for_ever() -> None:
        has_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            was_cancelled.set()

    endless = PeriodicJob(name="wait", run=wait_for_ever, every_s=1)
    owner = asyncio.create_task(PeriodicJobs([endless], FakeClock()).run())
    async with asyncio.timeout(BOUND_S):
        await has_begun.wait()
    owner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await owner
    assert was_cancelled.is_set()
    assert not caplog.records
