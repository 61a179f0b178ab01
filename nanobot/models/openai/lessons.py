"""What a model's own answers have taught about it, for a while: servers are exchanged and updated."""

from collections.abc import Iterable

from nanobot.core.clock import Clock

REMEMBERED_S = 3600.0
_NOTHING: frozenset[str] = frozenset()


class Lessons:
    """Facts about one model, by name; each is forgotten an hour after it was last confirmed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._known = _NOTHING
        self._next_end = 0.0

    def known(self) -> frozenset[str]:
        """Return the facts that hold now."""
        if self._until and self._clock.now() >= self._next_end:
            self._forget()
        return self._known

    def confirm(self, facts: Iterable[str]) -> None:
        """Remember facts that an answer has shown."""
        until = self._clock.now() + REMEMBERED_S
        self._until.update(dict.fromkeys(facts, until))
        self._forget()

    def _forget(self) -> None:
        now = self._clock.now()
        self._until = {fact: until for fact, until in self._until.items() if now < until}
        self._known = frozenset(self._until)
        self._next_end = min(self._until.values(), default=0.0)
