"""Token buckets: so many at once and so many a minute, for a bounded number of names."""

import ipaddress
from collections import OrderedDict


class RateLimiter:
    """One bucket a name. At most `most` are remembered; one that is forgotten is full again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def level(self, name: str, per_minute: int, now: float) -> float:
        """Return how many may be taken now, in fractions."""
        bucket = self._buckets.get(name)
        if bucket is None:
            return float(per_minute)
        level, at = bucket
        # The clock may have been set back.
        return min(float(per_minute), level + max(0.0, now - at) * per_minute / 60)

    def wait_s(self, name: str, per_minute: int, now: float) -> float:
        """Return the seconds until one may be taken; 0 where one may be now."""
        missing = 1 - self.level(name, per_minute, now)
        return max(0.0, missing * 60 / per_minute)

    def take(self, name: str, per_minute: int, now: float) -> None:
        """Take one, even where none is left."""
        self._put(name, max(0.0, self.level(name, per_minute, now) - 1), now)

    def give_back(self, name: str, per_minute: int, now: float) -> None:
        """Undo a `take`."""
        self._put(name, min(float(per_minute), self.level(name, per_minute, now) + 1), now)

    def _put(self, name: str, level: float, now: float) -> None:
        self._buckets[name] = (level, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)


def neighbourhood(address: str) -> str:
    """Return the part of an address that a client cannot choose: all of IPv4, the first 64 bits of IPv6."""
    if ":" not in address:
        return address
    try:
        # Link-local addresses end with the name of an interface, after `%`.
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    # This is how IPv4 clients appear on a socket that listens for both.
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
