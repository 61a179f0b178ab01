"""The store: where entry points and engine meet, and the only writer of anything that lasts.

Promises of every implementation (tests/contract/ runs one suite on each):
  * What a call returned from is on disk; a call that raised left nothing.
  * Turns of one session run one at a time in order of arrival; turns of different sessions in parallel.
  * `append` by an attempt that is over raises `StaleAttempt` and writes nothing.
"""

from typing import Protocol

import msgspec

from nanobot.core.accounts import Accounts
from nanobot.core.approvals import Approvals
from nanobot.core.compaction import Compactions
from nanobot.core.dispatch import Dispatch
from nanobot.core.extraction import Extractions
from nanobot.core.memory import Memory, MemoryRules
from nanobot.core.people import People
from nanobot.core.recall import MessageSearch
from nanobot.core.responses import Responses
from nanobot.core.sessions import Sessions
from nanobot.core.turn import Turns
from nanobot.core.uploads import Uploads
from nanobot.core.vectors import Embeddings
from nanobot.core.workspace import Identities


class Limits(msgspec.Struct, frozen=True):
    """The bounds that admission and recovery keep to.

    `max_queue`: how many turns of one session may wait; `max_waiting`: of all, and half as many of one API
    key. `memory`: what facts are kept to.
    """

    max_queue: int = 16
    max_waiting: int = 10_000
    max_attempts: int = 3
    retry_window_s: float = 600.0
    memory: MemoryRules = MemoryRules()


class Store(
    Turns,
    Dispatch,
    Sessions,
    Identities,
    People,
    Compactions,
    Extractions,
    Embeddings,
    MessageSearch,
    Memory,
    Responses,
    Uploads,
    Approvals,
    Accounts,
    Protocol,
):
    """The sum of the ports. Code that needs one port takes that port."""

    async def check(self) -> None:
        """Commit nothing, to show that the store can.

        Raises:
            StoreError
        """
        ...

    async def waiting(self) -> int:
        """Return how many turns of all sessions wait in the queue."""
        ...

    async def warm(self) -> None:
        """Read what the first message needs, so that it need not wait for that."""
        ...

    def hang_up(self) -> None:
        """Admit no more turns, and tell those who follow one that it goes on at the next start."""
        ...

    async def close(self) -> None:
        """Finish what was handed in, and release the data directory. Safe to call twice."""
        ...
