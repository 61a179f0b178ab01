"""The pool: runs tasks, the quick ones first, fairly between those for whom they are done."""

import os

from nanobot.core.clock import Clock
from nanobot.core.payer import PAYER
from nanobot.workers.forked import ForkLauncher
from nanobot.workers.launcher import Launcher
from nanobot.workers.slots import PayerSlots
from nanobot.workers.spawned import SpawnLauncher
from nanobot.workers.task import Outcome, Task

QUICK_S = 1.0
"""How long a task may take before it is one of those that take long."""
INSTANT_S = 0.1
"""How long one may take that ends within `QUICK_S` in any case, before it is one of those that take so long.
"""
_OF_PAYER = 2
_FOR_OTHERS = 1
"""One slot of each kind is never one payer's alone: whoever sends what is slow, others find it."""


class WorkerPool:
    """Runs tasks in processes that end with them.

    Every task is tried for a second first; one that may take no longer than that, such as a schema, for a
    tenth of it. One that takes longer is ended, and starts again among those that do: so a short task waits
    for other short ones only. Belongs to the event loop of its first use.
    """

    def __init__(self, launcher: Launcher | None = None, clock: Clock | None = None) -> None:
        self._launcher = launcher or (ForkLauncher(clock) if hasattr(os, "fork") else SpawnLauncher())
        self._instant = PayerSlots(1 + _FOR_OTHERS, 1, 1)
        self._not_instant = PayerSlots(1 + _FOR_OTHERS, 1, 1)
        self._quick = PayerSlots(_OF_PAYER + _FOR_OTHERS, _OF_PAYER, _OF_PAYER)
        self._long = PayerSlots(_OF_PAYER + _FOR_OTHERS, _OF_PAYER, 1)

    async def run(self, task: Task, owner: str) -> Outcome:
        """Return how the task ended; its process is gone then, and also when this is cancelled.

        `owner`: for whom it is done, such as a session key; owners take turns, and so do those who pay
        (`core.payer.PAYER`).
        """
        payer = PAYER.get()
        limit_s = task.limits.wall_s
        if INSTANT_S < limit_s <= QUICK_S:
            async with self._instant.slot(payer, owner):
                outcome = await self._launcher.run(task, INSTANT_S)
            if outcome.ending != "timeout":
                return outcome
            async with self._not_instant.slot(payer, owner):
                return await self._launcher.run(task, limit_s)
        async with self._quick.slot(payer, owner):
            outcome = await self._launcher.run(task, min(limit_s, QUICK_S))
        if outcome.ending != "timeout" or limit_s <= QUICK_S:
            return outcome
        async with self._long.slot(payer, owner):
            return await self._launcher.run(task, limit_s)

    async def close(self) -> None:
        """End what runs."""
        await self._launcher.close()
