"""What followers see of the turns that have not ended: one line of events a turn, kept in memory until it
ends.

The store puts durable events on the line once they are committed, deltas at once. A follower may come at any
time and ask for what is past its cursor; it reads the list and waits, so that a slow follower holds up
nobody.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from nanobot.core.event import (
    Event,
    MessageAdded,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    TurnEnded,
    events_of,
    units,
)
from nanobot.core.message import Message

Batch = Sequence[tuple[int, Event]]


class LiveTurn:
    """The events of one turn, in order, each with the cursor at which it ends.

    `session_key`: where those who watch the session see it (None: it leaves no trace, and is not seen).
    `attempt` 0: it has not started.
    """

    __slots__ = ("_end", "_events", "_waiters", "attempt", "ids", "input", "session_key")

    def __init__(
        self,
        turn_id: str,
        messages: tuple[Message, ...] = (),
        *,
        session_key: str | None = None,
        input: tuple[Message, ...] = (),  # noqa: A002 - a turn's word
        attempt: int = 0,
    ) -> None:
        self.ids = [turn_id]
        self.session_key = session_key
        self.input = input
        self.attempt = attempt
        self._events: list[tuple[int, Event]] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._end: TurnEnded | None = None
        self.put(events_of(messages))

    def put(self, events: Iterable[Event]) -> None:
        """Add events at the end and wake whoever waits for more."""
        known = self._events
        cursor = known[-1][0] if known else 0
        for event in events:
            cursor += units(event)
            known.append((cursor, event))
            if isinstance(event, TurnEnded):
                self._end = event
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    @property
    def end(self) -> TurnEnded | None:
        return self._end

    @property
    def cursor(self) -> int:
        """Where the line ends by now."""
        return self._events[-1][0] if self._events else 0

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages that the turn added so far."""
        return tuple(
            event.message for _, event in self._events if isinstance(event, MessageAdded | ToolFinished)
        )

    def so_far(self, after: int = 0) -> Batch:
        """Return what is on the line past the cursor `after`."""
        return past(self._events, after)

    def newest(self, count: int) -> Batch:
        """Return the last `count` events."""
        return self._events[len(self._events) - count :]

    async def more(self) -> None:
        """Return when something was put on the line."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    async def follow(self, after: int) -> AsyncIterator[Batch]:
        position = 0
        while True:
            fresh = self._events[position:]
            position += len(fresh)
            batch = past(fresh, after) if after else fresh
            if batch:
                yield batch
            if self._end is not None and position == len(self._events):
                return
            if position == len(self._events):
                await self.more()


def past(events: Batch, after: int) -> Batch:
    """Return what of `events` lies past the cursor `after`; a delta that it falls into is cut there.

    The end is always told.
    """
    kept: list[tuple[int, Event]] = []
    for cursor, event in events:
        if cursor <= after:
            if isinstance(event, TurnEnded):
                kept.append((cursor, event))
            continue
        start = cursor - units(event)
        if start < after and isinstance(event, TextDelta | ThinkingDelta):
            kept.append((cursor, type(event)(event.text[after - start :])))
        else:
            kept.append((cursor, event))
    return kept


def replay(messages: tuple[Message, ...], end: TurnEnded, after: int) -> Batch:
    """Return the line of a turn that has ended, from past `after`."""
    events: list[tuple[int, Event]] = []
    cursor = 0
    for event in (*events_of(messages), end):
        cursor += units(event)
        events.append((cursor, event))
    return past(events, after)
