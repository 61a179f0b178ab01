"""Connections: how large a head may be, how long a client may take to send it, or not read an answer."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nanobot.core.errors import HeadTooLarge, InvalidHttp
from nanobot.http.errors import Failure, failure
from nanobot.http.guard import MAX_HEAD_BYTES

HEAD_TIMEOUT_S = 20.0
STALLED_TIMEOUT_S = 60.0

_TOO_LARGE = failure(HeadTooLarge(f"request head over {MAX_HEAD_BYTES} bytes: send shorter headers"))
_NO_HTTP = failure(InvalidHttp("this is no HTTP request that can be understood"))


# Written by hand: uvicorn has no ASGI request yet that could be answered.
def _final_answer(problem: Failure, reason: bytes) -> bytes:
    head = (
        b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    )
    return head % (problem.status, reason, len(problem.body)) + problem.body


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's connection with three more bounds: on the size of a request's head, on the time it may take
    to arrive, and on how long a client may leave its answer unread.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        self.resume_stalled()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_timer is not None:
            self._head_bytes += len(data)
        # Only now is it known whether the head ended in these bytes; the timer is gone then.
        super().data_received(data)
        if self._head_timer is not None and self._head_bytes > MAX_HEAD_BYTES:
            self.transport.write(_final_answer(_TOO_LARGE, b"Request Header Fields Too Large"))
            self.transport.close()

    # uvicorn would answer in plain text; errors are JSON on every route.
    def send_400_response(self, msg: str) -> None:
        self.transport.write(_final_answer(_NO_HTTP, b"Bad Request"))
        self.transport.close()

    def on_message_begin(self) -> None:
        # The timer of the first request runs since the connection was opened. Between requests uvicorn's own
        # keep-alive timeout applies.
        if self._head_timer is None:
            self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_arrived()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        # Not `close`, which would go on waiting for the client to read what is buffered.
        self._stall_timer = self.loop.call_later(STALLED_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        self.resume_stalled()
        super().resume_writing()

    def resume_stalled(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
