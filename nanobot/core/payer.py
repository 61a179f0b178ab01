"""For whom what runs now is counted, so that one of many does not hold up the others."""

import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, Generic, TypeVar

T = TypeVar("T")
PAYER: ContextVar[str] = ContextVar("payer", default="")
"""The API key, or where there is none the network of the client; empty: nobody's, the server's own work."""
_REMEMBERED_S: Final = 1.0
"""For so long, or twice that, a payer counts as one of those who ask."""


class PayerShares(Generic[T]):
    """Lets through what payers ask for, and keeps back what goes beyond `most` of one payer at once, in its
    order. Where a payer is the only one who asks, nothing is kept back.

    `is_shared`: there are several who ask.
    """

    def __init__(self, most: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._monotonic = monotonic
        self._counts: dict[str, int] = {}
        self._kept: dict[str, deque[T]] = {}
        self._seen: set[str] = set()
        self._seen_before: set[str] = set()
        self._until = 0.0
        self.is_shared = False

    def take(self, payer: str, job: T) -> bool:
        """Return whether the job goes through now; else `give_back` returns it later."""
        self._note(payer)
        count = self._counts.get(payer, 0)
        if payer in self._kept or (count >= self._most and self.is_shared):
            self._kept.setdefault(payer, deque()).append(job)
            return False
        self._counts[payer] = count + 1
        return True

    def keeps(self, payer: str) -> bool:
        """Return whether something of the payer is kept back."""
        return payer in self._kept

    def give_back(self, payer: str) -> list[T]:
        """Note that a job of the payer is done; return those that go through for it."""
        count = self._counts[payer] - 1
        kept = self._kept.get(payer)
        if kept is None:
            if count:
                self._counts[payer] = count
            else:
                del self._counts[payer]
            return []
        most = self._most if self.is_shared else count + len(kept)
        following = [kept.popleft() for _ in range(min(len(kept), most - count))]
        self._counts[payer] = count + len(following)
        if not kept:
            del self._kept[payer]
        return following

    def let_through(self) -> list[T]:
        """Return all that is kept back: it goes through now."""
        for payer, kept in self._kept.items():
            self._counts[payer] += len(kept)
        jobs = [job for kept in self._kept.values() for job in kept]
        self._kept.clear()
        return jobs

    def _note(self, payer: str) -> None:
        now = self._monotonic()
        if now >= self._until:
            is_long_ago = now >= self._until + _REMEMBERED_S
            self._seen_before = set() if is_long_ago else self._seen
            self._seen = set()
            self._until = now + _REMEMBERED_S
            self.is_shared = len(self._seen_before | {payer}) > 1
        if payer not in self._seen:
            self._seen.add(payer)
            self.is_shared = len(self._seen | self._seen_before) > 1
