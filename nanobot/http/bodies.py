"""What all bodies of requests may take together while they are read, parsed and admitted; and as much all
answers, while clients read them.
"""

from nanobot.core.errors import Overloaded

SMALL_BYTES = 128 * 1024
"""So much of a body is never refused, and not counted: what others send must not keep small requests out."""
_LATER_S = 2.0


class BodyShare:
    """The part of one request, or one answer. `held`: how many bytes of its body are counted."""

    __slots__ = ("_bodies", "_owner", "held")

    def __init__(self, bodies: "BodiesInFlight", owner: str) -> None:
        self._bodies = bodies
        self._owner = owner
        self.held = 0

    def grow(self, size: int) -> None:
        """Count the body, of which `size` bytes have come.

        Raises:
            Overloaded
        """
        more = size - SMALL_BYTES - self.held
        if more > 0:
            self._bodies.take(self._owner, more, size)
            self.held += more

    def give_back(self) -> None:
        """Count the body no longer. Safe to call twice."""
        if self.held:
            self._bodies.give_back(self._owner, self.held)
            self.held = 0


class BodiesInFlight:
    """Counts the large bodies in memory. `max_bytes`: of all; half of it is for one API key, or for one
    address where there are no keys. A body of `max_body_bytes` alone is let in whatever `max_bytes` is.
    `what`: what they are, in words.
    """

    def __init__(
        self, max_bytes: int, max_body_bytes: int, what: str = "requests that are being read"
    ) -> None:
        self._what = what
        self._most = max(max_bytes, max_body_bytes)
        self._most_each = max(max_bytes // 2, max_body_bytes)
        self._by_owner: dict[str, int] = {}
        self.total = 0

    def take(self, owner: str, more: int, size: int) -> None:
        """Count `more` bytes of a body of which `size` have come.

        Raises:
            Overloaded: there are too many.
        """
        own = self._by_owner.get(owner, 0)
        if own + more > self._most_each:
            raise Overloaded(
                f"your large {self._what} have {own} bytes, half of what all may have "
                f"(api.max_bodies_mb), and this one {size}: ask for less at a time",
                retry_after_s=_LATER_S,
            )
        if self.total + more > self._most:
            raise Overloaded(
                f"large {self._what} have {self.total} bytes, as many as may be at a time "
                f"(api.max_bodies_mb), and this one has {size}: try again later",
                retry_after_s=_LATER_S,
            )
        self._by_owner[owner] = own + more
        self.total += more

    def give_back(self, owner: str, size: int) -> None:
        self.total -= size
        left = self._by_owner[owner] - size
        if left:
            self._by_owner[owner] = left
        else:
            del self._by_owner[owner]
