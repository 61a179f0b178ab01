"""Reasoning that a provider does not take back: it was encrypted for another account, or for a key that is
gone.
"""

from collections.abc import Iterable

from nanobot.core.clock import Clock
from nanobot.models.lessons import REMEMBERED_S
from nanobot.models.openai_responses.items import NOTHING

_MAX_KEPT = 10_000


class RefusedReasoning:
    """The fingerprints of what one model refused; each is forgotten after an hour, the oldest of more than
    10,000 before that.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[int, float] = {}
        self._known = NOTHING
        self._next_end = 0.0

    def known(self) -> frozenset[int]:
        """Return what is refused now."""
        if self._until and self._clock.now() >= self._next_end:
            self._forget()
        return self._known

    def confirm(self, fingerprints: Iterable[int]) -> None:
        """Remember what a request that was answered went without."""
        until = self._clock.now() + REMEMBERED_S
        for one in fingerprints:
            # At the end of the order, where the newest are.
            self._until.pop(one, None)
            self._until[one] = until
        self._forget()

    def _forget(self) -> None:
        now = self._clock.now()
        left = [(one, until) for one, until in self._until.items() if now < until]
        self._until = dict(left[-_MAX_KEPT:])
        self._known = frozenset(self._until)
        self._next_end = min(self._until.values(), default=0.0)
