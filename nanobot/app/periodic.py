"""What a server does again and again beside its turns, and the one owner of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.errors import NanobotError

CLEANUP_EVERY_S = 600.0
LONGEST_PAUSE_S = 30.0
_MOST_DOUBLINGS = 10
_log = logging.getLogger(__name__)


class PeriodicJob(msgspec.Struct, frozen=True, kw_only=True):
    """Something to do every `every_s` seconds, for the first time `first_after_s` after the start.

    `name` completes the log line "could not …".
    """

    name: str
    run: Callable[[], Awaitable[object]]
    every_s: float
    first_after_s: float = 0.0

    def pause_s(self, failures: int) -> float:
        """Return how long to wait for the next run after so many failures in a row.

        The first failure does not delay it. Each further one doubles the interval, but not past
        `LONGEST_PAUSE_S`: what fails every second must not fill the log.
        """
        if failures < 2:
            return self.every_s
        # The power would overflow after some thousand failures.
        doubled_s = self.every_s * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
        return max(self.every_s, min(doubled_s, LONGEST_PAUSE_S))


class PeriodicJobs:
    """Owns the tasks of the jobs while `run` is awaited. A job that fails is logged and tried again."""

    def __init__(self, jobs: Sequence[PeriodicJob], clock: Clock) -> None:
        self._jobs = tuple(jobs)
        self._clock = clock

    async def run(self) -> None:
        """Run every job again and again until cancelled."""
        async with asyncio.TaskGroup() as group:
            for job in self._jobs:
                group.create_task(self._repeat(job), name=job.name)

    async def _repeat(self, job: PeriodicJob) -> None:
        if job.first_after_s:
            await self._clock.sleep(job.first_after_s)
        failures = 0
        while True:
            failures = await self._failures_after(job, failures)
            await self._clock.sleep(job.pause_s(failures))

    async def _failures_after(self, job: PeriodicJob, failures: int) -> int:
        """Run the job; return how many of its runs have failed in a row, `failures` before this one."""
        pause_s = job.pause_s(failures + 1)
        try:
            await job.run()
        except NanobotError as error:
            _log.error("could not %s, next try in %g s: %s", job.name, pause_s, error.message)
            return failures + 1
        except Exception:  # noqa: BLE001 - a bug in one job stops neither the others nor the turns
            _log.exception("could not %s, next try in %g s", job.name, pause_s)
            return failures + 1
        return 0
