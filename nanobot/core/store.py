"""The store: where doors and engine meet, and the only writer of anything that lasts.

Promises of every implementation (tests/contract/ runs one suite on each):
  * What a call returned from is on disk; a call that raised left nothing.
  * Turns of one session run one at a time in order of arrival; turns of different sessions in parallel.
  * `append` by an attempt that is over raises `StaleAttempt` and writes nothing.
"""

from typing import Protocol

import msgspec

from nanobot.core.accounts import Accounts
from nanobot.core.dispatch import Dispatch
from nanobot.core.responses import Responses
from nanobot.core.sessions import Sessions
from nanobot.core.turn import Turns
from nanobot.core.uploads import Uploads


class Limits(msgspec.Struct, frozen=True):
    """What admission and recovery hold to."""

    max_queue: int = 16
    max_attempts: int = 3
    retry_window_s: float = 600.0


class Store(Turns, Dispatch, Sessions, Responses, Uploads, Accounts, Protocol):
    """The sum of the ports; whoever needs less takes less."""

    async def check(self) -> None:
        """Return when the store can commit now.

        Raises:
            StoreError
        """
        ...

    async def waiting(self) -> int:
        """Return how many turns of all sessions wait in the queue."""
        ...

    async def backup(self, path: str) -> None:
        """Write a consistent copy to `path` while everything runs on.

        Raises:
            StoreError: the file exists, or cannot be written.
        """
        ...

    def hang_up(self) -> None:
        """The server stops: take no more turns, and tell those who follow one that it goes on at the next
        start.
        """
        ...

    async def close(self) -> None:
        """Finish what was handed in and let go of the data directory. Safe to call twice."""
        ...
