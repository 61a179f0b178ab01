"""An answer over HTTP/1.1 while it comes: what a connection puts aside until somebody reads it."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from nanobot.core.audience import Audience
from nanobot.models.transfer import TransferFailed

MUCH_BYTES = 16 * 1024
"""So much is handed on at once, although nobody listens."""
_MOST_PAUSE_S = 0.1
_LEAST_PAUSE_S = 0.02
_FINE_STEP_S, _STEP_S = 0.02, 0.1
"""Pauses end at multiples of these, not of their own: the sockets of all answers that come meanwhile are
looked at together, and the loop wakes once for many.
"""
_PAUSE_SHARE = 10
"""While nobody listens, the socket is left alone for this part of the time that the answer has taken so far:
each look at it costs as much as to understand a hundred tokens, and the end is seen that much later at most.
"""


class AnswerSource(Protocol):
    """The connection that an answer comes over."""

    def resume_reading(self, answer: "DirectAnswer") -> None:
        """Go on reading for the answer, which has room again."""
        ...

    def leave(self, answer: "DirectAnswer") -> None:
        """End the answer: nobody reads on."""
        ...


class DirectAnswer:
    """One answer while it comes; the `transfer.Received` of a direct request. `pieces`: what has come of the
    body since the last read, `unread_bytes` long together.
    """

    __slots__ = (
        "_calls_at_end",
        "_connection",
        "_loop",
        "_since",
        "_waiter",
        "failure",
        "gathers",
        "has_head",
        "has_whole",
        "headers",
        "pieces",
        "status",
        "unread_bytes",
    )

    def __init__(self, connection: AnswerSource, loop: asyncio.AbstractEventLoop) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.has_head = False
        self.has_whole = False
        self.unread_bytes = 0
        self.failure: TransferFailed | None = None
        self.gathers = False
        self._connection = connection
        self._loop = loop
        self._since = loop.time()
        self.pieces: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._calls_at_end: list[Callable[[], None]] = []

    @property
    def has_ended(self) -> bool:
        return self.has_whole and not self.pieces

    async def head(self, deadline: float) -> None:
        """Return when the head has come.

        Raises:
            TransferFailed
            TimeoutError: `deadline` has passed.
        """
        waiter = self._waiter = self._loop.create_future()
        timer = self._loop.call_at(deadline, _end_with, waiter, TimeoutError())
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None
        if self.failure is not None and not self.has_head:
            raise self.failure

    async def read(self) -> bytes:
        if not (self.pieces or self.has_whole or self.failure is not None):
            await self._wait()
        if self.failure is not None and not self.pieces:
            raise self.failure
        return self.buffered()

    async def gather(self, until: float, audience: Audience) -> None:
        if self.has_whole or self.failure is not None or self.unread_bytes >= MUCH_BYTES:
            return
        self.gathers = True
        timer = self._loop.call_at(until, self.wake)
        audience.on_arrival(self.wake)
        try:
            await self._wait()
        finally:
            audience.on_arrival(None)
            timer.cancel()
            self.gathers = False
            self._connection.resume_reading(self)

    def buffered(self) -> bytes:
        pieces = self.pieces
        if not pieces:
            return b""
        if len(pieces) == 1:
            body = pieces.pop()
        else:
            body = b"".join(pieces)
            pieces.clear()
        self.unread_bytes = 0
        self._connection.resume_reading(self)
        return body

    def on_end(self, call: Callable[[], None]) -> None:
        if self.has_whole:
            call()
        else:
            self._calls_at_end.append(call)

    def close(self) -> None:
        self._connection.leave(self)

    async def _wait(self) -> None:
        waiter = self._waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    # From the connection --------------------------------------------------------------------------

    @property
    def pause_until(self) -> float:
        """Until when the socket may be left alone; 0: not at all."""
        if not self.gathers or self.has_whole:
            return 0.0
        now = self._loop.time()
        seconds = min(_MOST_PAUSE_S, (now - self._since) / _PAUSE_SHARE)
        if seconds < _LEAST_PAUSE_S:
            return 0.0
        until = now + seconds
        return until - until % (_FINE_STEP_S if seconds < _MOST_PAUSE_S else _STEP_S)

    def wake(self) -> None:
        """Let whoever waits look at what has come."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self) -> None:
        """Note that the whole body has come."""
        self.has_whole = True
        calls, self._calls_at_end = self._calls_at_end, []
        for call in calls:
            call()

    def fail(self, failure: TransferFailed) -> None:
        """Note that no more will come; no effect where all has."""
        if not self.has_whole and self.failure is None:
            self.failure = failure
            self.wake()


def _end_with(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
