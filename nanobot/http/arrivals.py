"""How soon the connections of one address are read, however many it opens."""

from typing import Final

MOST_AT_ONCE: Final = 64
"""So many connections of an address are read as they come; a page opens six, a load test some hundred."""
MOST_A_SECOND: Final = 2_000
"""Beyond, so many a second: each costs the event loop a tenth of a millisecond, whatever comes on it."""
_MOST_KNOWN: Final = 10_000
_LEAST_S: Final = 0.001
_LONGEST_S: Final = 5.0


class Arrivals:
    """Tells how long a new connection waits until it is read."""

    def __init__(self) -> None:
        # By address, when its next connection would come if they came evenly.
        self._due: dict[str, float] = {}

    def __len__(self) -> int:
        """Return how many addresses are known."""
        return len(self._due)

    def wait_s(self, address: str, now: float) -> float:
        """Return for how long a connection of the address that comes now is left unread: 0 in most cases."""
        if len(self._due) > _MOST_KNOWN:
            self._due = {known: due for known, due in self._due.items() if due > now}
        due = max(now, self._due.get(address, now)) + 1 / MOST_A_SECOND
        self._due[address] = due
        wait_s = due - now - MOST_AT_ONCE / MOST_A_SECOND
        return min(wait_s, _LONGEST_S) if wait_s > _LEAST_S else 0.0
