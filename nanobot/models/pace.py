"""How fast answers are read. A server that sends faster than any model writes would keep the event loop busy,
and the turns of others waiting.

What counts is the work that an answer makes, in characters: those that it says, and some for each event.
"""

EVENT_CHARS = 100
"""What an event counts besides the characters in it."""
BURST_CHARS = 256 * 1024
"""So much of an answer is read as fast as it comes."""
CHARS_A_SECOND = 512 * 1024
"""How fast an answer is read beyond that: 5,000 tokens a second, each in an event of its own."""
CHARS_A_SECOND_TOGETHER = 2 * 1024 * 1024
"""How fast all answers of one provider are read that are beyond it."""

_BURST_S = BURST_CHARS / CHARS_A_SECOND


class SharedPace:
    """What the answers of one provider share that come faster than models write."""

    __slots__ = ("free_at",)

    def __init__(self) -> None:
        self.free_at = 0.0


class ReadingPace:
    """The pace of one answer. Times are seconds of one monotonic clock."""

    __slots__ = ("_due_at", "_shared")

    def __init__(self, shared: SharedPace) -> None:
        self._shared = shared
        self._due_at = 0.0

    def count(self, chars: int, now: float) -> float:
        """Take note that so much was read; return until when the rest is to be left alone: `now` where it
        need not be.
        """
        # When a model would have written what has been read, had it begun to write as late as may be.
        self._due_at = max(self._due_at, now) + chars / CHARS_A_SECOND
        if self._due_at - now <= _BURST_S:
            return now
        shared = self._shared
        shared.free_at = max(shared.free_at, now) + chars / CHARS_A_SECOND_TOGETHER
        until = max(shared.free_at, self._due_at - _BURST_S)
        # To wait for others earns nothing.
        self._due_at = until + _BURST_S
        return until
