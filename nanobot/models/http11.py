"""HTTP/1.1 as a client speaks it, on httptools: a connection that answers come over one after another.

Small on purpose: a request is one write, and what comes is parsed once and put aside until somebody reads it.
`docs/adr/0003` has the figures.
"""

import asyncio
import os
import zlib
from collections.abc import Hashable
from typing import Any, NamedTuple, Protocol

import httptools

from nanobot.core.packed_body import PackedBody
from nanobot.models.http11_answer import MUCH_BYTES, DirectAnswer
from nanobot.models.transfer import Stage, TransferFailed

_MAX_HEAD_BYTES = 64 * 1024
_MOST_UNREAD_BYTES = 256 * 1024
_PIECE_BYTES = 256 * 1024
"""A larger request goes out in pieces, so that other turns need not wait for it."""
_BODILESS = frozenset({204, 304})
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})


class _Ending(NamedTuple):
    """How an answer has ended of which more is to be unpacked."""

    failure: TransferFailed | None


class Keeper(Protocol):
    """Where a connection belongs."""

    def opened(self, connection: "DirectConnection") -> None: ...

    def keep(self, connection: "DirectConnection") -> None:
        """Keep a connection whose answer has ended for the next request."""
        ...

    def forget(self, connection: "DirectConnection") -> None:
        """Drop a connection that has ended."""
        ...


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
        self._packed: PackedBody | None = None
        self._ending: _Ending | None = None
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
        self._packed = self._ending = None
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
        if self._answer is not answer:
            return
        if self._packed is not None and not self._packed.is_empty:
            # Not at once: others have their turn before more is made of it.
            self._loop.call_soon(self._unpack, answer)
        elif self.is_open:
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
            self._end(answer, None)
            answer.wake()
            return
        stage: Stage = "finish" if answer.has_head else "begin"
        number = getattr(error, "errno", None)
        self._end(answer, TransferFailed(stage, os.strerror(number)) if number else TransferFailed(stage))

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None or answer.has_whole or self._ending is not None:
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
            self._end(answer, TransferFailed("finish" if answer.has_head else "understand", str(error)))
            # An answer that came whole before it has not failed, and its reader waits.
            answer.wake()
            self.abort()
            return
        if not answer.has_head:
            if self._head_bytes > _MAX_HEAD_BYTES:
                answer.fail(TransferFailed("understand", f"a head over {_MAX_HEAD_BYTES} bytes"))
                self.abort()
            return
        if not answer.gathers or answer.has_whole or answer.unread_bytes >= MUCH_BYTES:
            answer.wake()
        if not self.is_open:
            return
        if answer.unread_bytes > _MOST_UNREAD_BYTES or not (self._packed is None or self._packed.is_empty):
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
            self._packed = PackedBody()

    def _take_pieces(self, answer: DirectAnswer) -> None:
        """Hand on what the parser has found of the body."""
        pieces = self._pieces
        if not pieces:
            return
        if answer.has_whole or answer.failure is not None:
            pieces.clear()
            return
        if self._packed is not None:
            for piece in pieces:
                self._packed.add(piece)
            pieces.clear()
            self._unpack(answer)
            return
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if body:
            answer.pieces.append(body)
            answer.unread_bytes += len(body)

    def _unpack(self, answer: DirectAnswer) -> None:
        """Hand on what there is room for of a compressed body, and its end once all is unpacked."""
        packed = self._packed
        if self._answer is not answer or packed is None:
            return
        try:
            body = packed.unpack(_MOST_UNREAD_BYTES - answer.unread_bytes)
        except zlib.error:
            self._packed = None
            answer.fail(TransferFailed("finish", "its compressed body cannot be read"))
            self.abort()
            return
        if body:
            answer.pieces.append(body)
            answer.unread_bytes += len(body)
        if packed.is_empty:
            if self._ending is not None:
                self._end(answer, self._ending.failure)
            elif self.is_open and not body:
                # Nobody is about to read, which would go on.
                self._resume()
        if body or self._ending is not None:
            answer.wake()

    def _end(self, answer: DirectAnswer, failure: TransferFailed | None) -> None:
        """End the answer, well or not, once what has come of it is handed on."""
        if self._packed is not None and not self._packed.is_empty:
            # What is known first counts: a connection that is lost behind the end has lost nothing.
            self._ending = self._ending or _Ending(failure)
        elif failure is not None:
            answer.fail(failure)
        else:
            answer.end()

    def on_message_complete(self) -> None:
        answer = self._answer
        if answer is None or not answer.has_head:
            return
        if not (self._has_sent and self._parser.should_keep_alive()):
            self.abort()
        self._take_pieces(answer)
        self._end(answer, None)

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)
