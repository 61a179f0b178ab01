"""The events of one turn that has not ended, in memory.

Durable events are put here once they are committed, deltas at once. A follower may come at any time and ask
for what lies past its cursor: it reads the list and waits for more, so a slow follower delays no one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from nanobot.core.event import (
    Event,
    MessageAdded,
    Passing,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolProgress,
    TurnEnded,
    events_of,
    units,
)
from nanobot.core.message import Message

Batch = Sequence[tuple[int, Event]]
_OVER = ToolProgress("", "")
"""Stands where a call had told what it tells no more: the places of the events that follow stay."""
_WITH_MESSAGE = (MessageAdded, ToolFinished)
_MOST_A_BATCH = 1_024
"""Events that a follower gets at once: what is made of them for its client stays small."""


class LiveTurn:
    """The events of one turn, in order, each with the cursor at which it ends.

    `ids` are the turn's own id and those of the turns that joined it. `session_key`: the session whose
    watchers see it; None for a turn that leaves no trace. `attempt` 0: it has not started. `listeners` counts
    those who read events as they come; it is the `Audience` of the turn's deltas.
    """

    __slots__ = (
        "_call",
        "_end",
        "_end_waiters",
        "_events",
        "_has_told",
        "_progress",
        "_read",
        "_waiters",
        "attempt",
        "ids",
        "input",
        "listeners",
        "session_key",
    )

    def __init__(
        self,
        turn_id: str,
        messages: tuple[Message, ...] = (),
        *,
        session_key: str | None = None,
        input: tuple[Message, ...] = (),  # noqa: A002 - as in `Turn`
        attempt: int = 0,
    ) -> None:
        self.ids = [turn_id]
        self.session_key = session_key
        self.input = input
        self.attempt = attempt
        self._events: list[tuple[int, Event]] = []
        self._read = 0
        self._progress: dict[str, int] = {}
        self._has_told = False
        self._waiters: list[asyncio.Future[None]] = []
        self._end_waiters: list[asyncio.Future[None]] = []
        self._call: Callable[[], None] | None = None
        self.listeners = 0
        self._end: TurnEnded | None = None
        self.put(events_of(messages))

    def put(self, events: Iterable[Event]) -> None:
        """Add events at the end and wake everyone who waits for more."""
        known = self._events
        cursor = known[-1][0] if known else 0
        for event in events:
            cursor += units(event)
            if self._progress or type(event) is ToolProgress:
                self._forget_told(event)
            known.append((cursor, event))
            if isinstance(event, TurnEnded):
                self._end = event
        if self._waiters:
            _wake(self._waiters)
        if self._end is not None:
            _wake(self._end_waiters)

    def _forget_told(self, event: Event) -> None:
        """Drop what calls have told before which the event says more of; note where it will stand."""
        if isinstance(event, ToolProgress):
            over = [event.call_id]
        elif isinstance(event, ToolFinished):
            over = [result.call_id for result in event.message.tool_results]
        else:
            return
        for call_id in over:
            at = self._progress.pop(call_id, None)
            if at is not None:
                self._events[at] = (self._events[at][0], _OVER)
        if isinstance(event, ToolProgress):
            self._progress[event.call_id] = len(self._events)
            self._has_told = True

    def take_back(self) -> bool:
        """Drop the passing events since the last durable one, unless some were read; return whether they are
        gone.
        """
        first = len(self._events)
        while first and isinstance(self._events[first - 1][1], Passing):
            first -= 1
        if self._read > first:
            return False
        del self._events[first:]
        self._progress = {call_id: at for call_id, at in self._progress.items() if at < first}
        return True

    @property
    def end(self) -> TurnEnded | None:
        return self._end

    def is_joined_by(self, turn_id: str) -> bool:
        """Return whether these are the events of another turn, which that one joined."""
        return turn_id != self.ids[0] and turn_id in self.ids

    @property
    def cursor(self) -> int:
        """The cursor of the newest event, 0 before the first."""
        return self._events[-1][0] if self._events else 0

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages that the turn has added so far."""
        return tuple([event.message for _, event in self._events if isinstance(event, _WITH_MESSAGE)])

    def so_far(self, after: int = 0) -> Batch:
        """Return the events past the cursor `after`."""
        self._read = len(self._events)
        return past(self._events, after)

    def newest(self, count: int) -> Batch:
        """Return the last `count` events."""
        self._read = len(self._events)
        return self._events[self._read - count :]

    async def ended(self) -> TurnEnded:
        """Return how the turn ended, once it has."""
        while self._end is None:
            await _wait(self._end_waiters)
        return self._end

    async def follow(self, after: int) -> AsyncIterator[Batch]:
        """Yield the events past the cursor `after` in batches as they come, until the end."""
        position = 0
        self.join()
        try:
            while True:
                fresh = self._events[position : position + _MOST_A_BATCH]
                position += len(fresh)
                if position > self._read:
                    self._read = position
                batch = past(fresh, after) if after or self._has_told else fresh
                if batch:
                    yield batch
                if self._end is not None and position == len(self._events):
                    return
                if position == len(self._events):
                    await _wait(self._waiters)
        finally:
            self.leave()

    # The audience of its deltas -------------------------------------------------------------------

    @property
    def is_listening(self) -> bool:
        return self.listeners > 0

    def on_arrival(self, call: Callable[[], None] | None) -> None:
        self._call = call

    def join(self) -> None:
        """Count one more who reads events as they come."""
        self.listeners += 1
        if self._call is not None:
            self._call()

    def leave(self) -> None:
        """Count one less."""
        self.listeners -= 1


async def _wait(waiters: list[asyncio.Future[None]]) -> None:
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiters.append(waiter)
    await waiter


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()


def past(events: Batch, after: int) -> Batch:
    """Return the part of `events` past the cursor `after`, and the end wherever it lies.

    A delta that the cursor falls into is cut there.
    """
    kept: list[tuple[int, Event]] = []
    for cursor, event in events:
        if isinstance(event, ToolProgress):
            if event is not _OVER and cursor >= after:
                kept.append((cursor, event))
            continue
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
    """Return the events of a turn that has ended, past the cursor `after`."""
    events: list[tuple[int, Event]] = []
    cursor = 0
    for event in (*events_of(messages), end):
        cursor += units(event)
        events.append((cursor, event))
    return past(events, after)
