"""HTTP/1.1 as a client speaks it, on httptools: a connection, and the answers that come over it.

Small on purpose: a request is one write, and what comes is parsed once and put aside until somebody reads it.
`docs/adr/0003` has the figures.
"""

import asyncio
import os
import zlib
from collections.abc import Callable, Hashable
from typing import Any, Protocol

import httptools

from nanobot.core.audience import Audience
from nanobot.models.transfer import Stage, TransferFailed

_MAX_HEAD_BYTES = 64 * 1024
_MUCH_BYTES = 16 * 1024
"""So much is handed on at once, although nobody listens."""
_MOST_UNREAD_BYTES = 256 * 1024
_PIECE_BYTES = 256 * 1024
"""A larger request goes out in pieces, so that other turns need not wait for it."""
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
_INFLATE_ANY = 47
"""zlib's window bits for gzip and deflate alike."""
_BODILESS = frozenset({204, 304})
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})


class Keeper(Protocol):
    """Where a connection belongs."""

    def opened(self, connection: "DirectConnection") -> None: ...

    def keep(self, connection: "DirectConnection") -> None:
        """Keep a connection whose answer has ended for the next request."""
        ...

    def forget(self, connection: "DirectConnection") -> None:
        """Drop a connection that has ended."""
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

    def __init__(self, connection: "DirectConnection", loop: asyncio.AbstractEventLoop) -> None:
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
        if self.has_whole or self.failure is not None or self.unread_bytes >= _MUCH_BYTES:
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


class DirectConnection(asyncio.Protocol):
    """A connection to `place`; one request is under way at a time."""

    def __init__(self, keeper: Keeper, place: Hashable, loop: asyncio.AbstractEventLoop) -> None:
        self.place = place
        self.is_open = False
        self._keeper = keeper
        self._loop = loop
        self._transport: Any = None
        self._parser: Any = None
        self._answer: DirectAnswer | None = None
        self._drained: asyncio.Future[None] | None = None
        self._is_paused = False
        self._resumption: asyncio.TimerHandle | None = None
        self._has_sent = True
        self._until_close = False
        self._head_bytes = 0
        self._inflate: Any = None
        self._pieces: list[bytes] = []
        # The parser calls it for each chunk of a body, of which a model's answer has one a token.
        self.on_body = self._pieces.append

    async def ask(self, head: bytes, body: bytes, deadline: float) -> DirectAnswer:
        """Send a request and return its answer once the head has come.

        Raises:
            TransferFailed
            TimeoutError: `deadline` has passed.
        """
        answer = self._answer = DirectAnswer(self, self._loop)
        self._head_bytes = 0
        self._inflate = None
        self._until_close = False
        if not self.is_open:
            raise TransferFailed("begin")
        if len(body) <= _PIECE_BYTES:
            self._transport.write(head + body)
            await answer.head(deadline)
            return answer
        sending = self._loop.create_task(self._send_pieces(head, body))
        try:
            await answer.head(deadline)
        finally:
            # A server may answer, or refuse, before it has read the whole request.
            sending.cancel()
        return answer

    async def _send_pieces(self, head: bytes, body: bytes) -> None:
        self._has_sent = False
        self._transport.write(head)
        for start in range(0, len(body), _PIECE_BYTES):
            self._transport.write(body[start : start + _PIECE_BYTES])
            if self._drained is not None:
                await self._drained
            else:
                await asyncio.sleep(0)
        self._has_sent = True

    def leave(self, answer: DirectAnswer) -> None:
        """End the use for `answer`: keep the connection for the next where it has ended, else cut it."""
        if self._answer is not answer:
            return
        self._answer = None
        if answer.has_whole and self.is_open:
            self._resume()
            self._keeper.keep(self)
            return
        answer.fail(TransferFailed("finish"))
        self.abort()

    def resume_reading(self, answer: DirectAnswer) -> None:
        """Go on reading `answer` where that was paused."""
        if self._answer is answer and self.is_open:
            self._resume()

    def _pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._resumption is not None:
            self._resumption.cancel()
            self._resumption = None
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Cut the connection."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    # What comes -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.is_open = True
        self._keeper.opened(self)
        self._parser = httptools.HttpResponseParser(self)
        # Old servers err in these; nothing hangs on them for one who asks.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        self._keeper.forget(self)
        self.resume_writing()
        if self._resumption is not None:
            self._resumption.cancel()
        answer = self._answer
        if answer is None:
            return
        if self._until_close and error is None and answer.failure is None:
            answer.end()
            answer.wake()
            return
        stage: Stage = "finish" if answer.has_head else "begin"
        number = getattr(error, "errno", None)
        answer.fail(TransferFailed(stage, os.strerror(number)) if number else TransferFailed(stage))

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None or answer.has_whole:
            # Nothing has been asked that this could answer.
            self.abort()
            return
        if not answer.has_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
            self._take_pieces(answer)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._take_pieces(answer)
            answer.fail(TransferFailed("finish" if answer.has_head else "understand", str(error)))
            # An answer that came whole before it has not failed, and its reader waits.
            answer.wake()
            self.abort()
            return
        if not answer.has_head:
            if self._head_bytes > _MAX_HEAD_BYTES:
                answer.fail(TransferFailed("understand", f"a head over {_MAX_HEAD_BYTES} bytes"))
                self.abort()
            return
        if not answer.gathers or answer.has_whole or answer.unread_bytes >= _MUCH_BYTES:
            answer.wake()
        if not self.is_open:
            return
        if answer.unread_bytes > _MOST_UNREAD_BYTES:
            self._pause()
        elif not self._is_paused and (until := answer.pause_until):
            self._pause()
            self._resumption = self._loop.call_at(until, self.resume_reading, answer)

    def on_message_begin(self) -> None:
        if self._answer is None or self._answer.has_head:
            # More than was asked for; nothing may take it for its answer.
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._answer is not None and not self._answer.has_head:
            self._answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        answer = self._answer
        if answer is None:
            return
        status = self._parser.get_status_code()
        if status < 200:
            # Only an announcement; the answer follows.
            answer.headers.clear()
            return
        answer.status = status
        answer.has_head = True
        headers = answer.headers
        self._until_close = not (
            "content-length" in headers or "transfer-encoding" in headers or status in _BODILESS
        )
        # It was asked to send it as it is.
        if headers.get("content-encoding") in _COMPRESSED:
            self._inflate = zlib.decompressobj(_INFLATE_ANY)

    def _take_pieces(self, answer: DirectAnswer) -> None:
        """Hand on what the parser has found of the body."""
        pieces = self._pieces
        if not pieces:
            return
        if answer.has_whole or answer.failure is not None:
            pieces.clear()
            return
        if self._inflate is not None:
            pieces[:] = [self._inflated(piece, answer) for piece in pieces]
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if body:
            answer.pieces.append(body)
            answer.unread_bytes += len(body)

    def _inflated(self, piece: bytes, answer: DirectAnswer) -> bytes:
        if answer.failure is not None:
            return b""
        try:
            body: bytes = self._inflate.decompress(piece, _MOST_UNREAD_BYTES)
            is_good = not self._inflate.unconsumed_tail
        except zlib.error:
            is_good = False
        if is_good:
            return body
        answer.fail(TransferFailed("finish", "its compressed body cannot be read"))
        self.abort()
        return b""

    def on_message_complete(self) -> None:
        answer = self._answer
        if answer is None or not answer.has_head:
            return
        if not (self._has_sent and self._parser.should_keep_alive()):
            self.abort()
        self._take_pieces(answer)
        answer.end()

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)


def _end_with(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
