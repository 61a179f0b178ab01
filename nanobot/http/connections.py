"""Connections: how much a client may send around and beyond a request, how long it may take to do so, and how
long it may leave an answer unread.
"""

import asyncio
import re
import select
from typing import ClassVar, NoReturn

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from nanobot.core.errors import HeadTooLarge, InvalidHttp
from nanobot.core.late_pattern import LatePattern
from nanobot.http.arrivals import Arrivals
from nanobot.http.connected import HUNG_UP
from nanobot.http.errors import Failure, failure
from nanobot.http.guard import MAX_HEAD_BYTES
from nanobot.http.joined_writes import joined
from nanobot.http.network import network_of

HEAD_TIMEOUT_S = 20.0
STALLED_TIMEOUT_S = 60.0
REST_TIMEOUT_S = 5.0
MAX_REST_BYTES = 1024 * 1024
"""How long, and how much, a client may go on sending a body after the answer: closing at once would make its
system throw the answer away unread.
"""
CUT_AFTER_S = 0.5
"""How long a connection stays unread on which too much has come: who sends without end would begin again."""
MAX_HEADER_LINES = 256
"""How many headers a head may have: each takes as long to read, and as much memory, however short it is."""
MAX_UNREAD_BYTES = 64 * 1024
"""How large a body may be that comes with a method for which no operation reads one."""
FRAMING_BYTES = 8
"""How many bytes of chunked framing each byte of a body may have; chunks of one byte have five."""
MAX_PIPELINED = 64
"""How many requests a client may send while it waits for the answer to an earlier one."""
FEW_CHUNKS = 2_000
LEAST_CHUNK_BYTES = 64
"""So many chunks of a body may have any size; beyond them they must have so many bytes on average: each takes
as long to parse, however small it is.
"""
_ABSOLUTE = LatePattern(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)(.*)", re.DOTALL)
"""A target such as proxies are asked for: the authority, and what comes after it."""
_PEER_CLOSED = getattr(select, "POLLRDHUP", 0)
"""What tells of it is in Linux alone."""
_CONNECT = b"CONNECT"
_TOO_LARGE_REASON = b"Request Header Fields Too Large"
_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})

_TOO_LARGE = failure(HeadTooLarge(f"request head over {MAX_HEAD_BYTES} bytes: send shorter headers"))
_TOO_MANY = failure(HeadTooLarge(f"request with over {MAX_HEADER_LINES} headers: send fewer"))
_NO_HTTP = failure(InvalidHttp("this is no HTTP request that can be understood"))


# Written by hand: uvicorn has no ASGI request yet that could be answered.
def _final_answer(problem: Failure, reason: bytes) -> bytes:
    head = (
        b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    )
    return head % (problem.status, reason, len(problem.body)) + problem.body


class _HungUp(Exception):
    """The connection is aborted: nothing more of what came is parsed."""


class _TooManyHeaders(Exception):
    """The rest of the head is not parsed."""


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's connection with bounds: on the size of a head and the time it may take, on what comes after a
    head besides the body, on the number of chunks, on a body that is not read, on requests that are sent
    ahead of answers, and on how long an answer may stay unread.

    Trailers are ignored (RFC 9110, 6.5.1): they must not change what the head has said. So is a wish for
    another protocol (7.8): some clients (Java's, curl with `--http2`) send it with a first request.
    """

    # A head has begun, or a connection; the timer only runs where not all of it came at once.
    _awaits_head = False
    _head_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _rest_timer: asyncio.TimerHandle | None = None
    _cut_timer: asyncio.TimerHandle | None = None
    # Of all connections of the process: those of one address are let in evenly.
    _arrivals: ClassVar[Arrivals] = Arrivals()
    _entry_timer: asyncio.TimerHandle | None = None
    _early = b""
    _head_bytes = 0
    # Of the current request, after its head: all bytes, those of its body, and how many came since the last
    # of these. And how many had come when its answer began; None before.
    _received = 0
    _body_bytes = 0
    _since_body = 0
    _chunks = 0
    _before_answer: int | None = None
    _is_in_body = False
    # The last answer is sent; what still comes is thrown away.
    _has_ended = False
    _is_lost = False
    # The request that is being answered; `cycle` is the last one that came.
    _answered: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(joined(transport, self.loop))
        self._await_head()
        self._time_head()
        if self.client is not None:
            wait_s = self._arrivals.wait_s(network_of(self.client[0]), self.loop.time())
            if wait_s:
                self._entry_timer = self.loop.call_later(wait_s, self._enter)
                self.transport.pause_reading()

    def _enter(self) -> None:
        """Read what has come, unless the client has given up meanwhile."""
        self._entry_timer = None
        if self.transport.is_closing():
            return
        if self._has_hung_up():
            self.transport.abort()
            return
        early, self._early = self._early, b""
        self.transport.resume_reading()
        if early:
            self.data_received(early)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        self._rest_arrived()
        self.resume_stalled()
        for timer in (self._cut_timer, self._entry_timer):
            if timer is not None:
                timer.cancel()
        # uvicorn tells the last request alone that the client is gone, and keeps those that wait.
        self.pipeline.clear()
        answered = self._answered
        if answered is not None and not answered.response_complete:
            answered.disconnected = True
            answered.message_event.set()
        super().connection_lost(exc)
        # uvicorn leaves its timer running where a client has cut the connection.
        self._unset_keepalive_if_required()
        self._let_go()

    def _let_go(self) -> None:
        """Forget the requests that came, which know this connection: what refers to itself is kept until the
        collector comes by, seldom, and who opens thousands of connections would fill the memory.
        """
        self._is_lost = True
        self._answered = None
        self.cycle = self.scope = self.headers = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._entry_timer is not None:
            # It was being read already as it was to wait.
            self._early += data
            self.transport.pause_reading()
            return
        if self._cut_timer is not None:
            # uvicorn reads on where a body is waited for.
            self.transport.pause_reading()
            return
        if self._has_ended:
            self._received += len(data)
            if self._received > MAX_REST_BYTES:
                self.transport.abort()
            return
        body_bytes = self._body_bytes
        if self._awaits_head:
            self._head_bytes += len(data)
        elif self._is_in_body:
            self._received += len(data)
            self._since_body += len(data)
        self._parse(data)
        # Only now is it known whether the head ended in these bytes.
        if self._awaits_head:
            if self._head_bytes > MAX_HEAD_BYTES:
                self._end(_final_answer(_TOO_LARGE, _TOO_LARGE_REASON))
            else:
                self._time_head()
        elif self._is_in_body:
            if self._body_bytes != body_bytes:
                self._since_body = 0
            if self._is_too_much():
                # No answer: one is under way, or the client is not going to read any.
                self._cut()

    def _cut(self) -> None:
        """Read no more, and close in a moment."""
        if self._cut_timer is None and not self.transport.is_closing():
            self.transport.pause_reading()
            self._cut_timer = self.loop.call_later(CUT_AFTER_S, self.transport.abort)

    def _parse(self, data: bytes) -> None:
        """Do what uvicorn does with `data`, and read requests that wish for another protocol as others."""
        self._unset_keepalive_if_required()
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_upgrade(data[upgrade.args[0] :])
            except httptools.HttpParserError:
                if self._awaits_head and len(self.headers) > MAX_HEADER_LINES:
                    self._end(_final_answer(_TOO_MANY, _TOO_LARGE_REASON))
                    return
                msg = "Invalid HTTP request received."
                self.logger.warning(msg)
                self.send_400_response(msg)
                return

    def _without_upgrade(self, rest: bytes) -> bytes:
        """Return the request whose head has come without its wish for another protocol, and `rest` behind it.

        The parser takes all that comes after such a head for the other protocol.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        self.parser = httptools.HttpRequestParser(self)
        if method == _CONNECT:
            return b""
        fields = b"".join(b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade")
        return b"%b %b HTTP/%b\r\n%b\r\n%b" % (method, self.url, version, fields, rest)

    def _wishes_upgrade(self) -> bool:
        return bool(self.parser.should_upgrade()) and self.parser.get_method() != _CONNECT

    def _is_too_much(self) -> bool:
        """Return whether more came after the head than a body needs, or than anything reads."""
        if self._since_body > MAX_HEAD_BYTES:
            return True
        if self._received > MAX_HEAD_BYTES + (1 + FRAMING_BYTES) * self._body_bytes:
            return True
        if not self.cycle.response_started:
            return self._body_bytes > MAX_UNREAD_BYTES and self.scope["method"] in _BODILESS
        if self._before_answer is None:
            self._before_answer = self._received
        return self._received - self._before_answer > MAX_REST_BYTES

    # uvicorn would answer in plain text; errors are JSON on every route.
    def send_400_response(self, msg: str) -> None:
        cycle = self.cycle
        if self.transport.is_closing():
            return
        answer = _final_answer(_NO_HTTP, b"Bad Request")
        if cycle is None or cycle.response_complete:
            self._end(answer)
            return
        if not cycle.response_started:
            self.transport.write(answer)
        self.transport.close()

    def _end(self, answer: bytes) -> None:
        """Send the last answer, and close once the client has read it, or after a moment."""
        self._head_arrived()
        self._has_ended = True
        self._received = 0
        self.transport.write(answer)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._rest_timer = self.loop.call_later(REST_TIMEOUT_S, self.transport.abort)

    def on_message_begin(self) -> None:
        # The timer of the first request runs since the connection was opened. Between requests uvicorn's own
        # keep-alive timeout applies.
        if not self._awaits_head:
            self._await_head()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_in_body:
            return
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADER_LINES:
            raise _TooManyHeaders

    def on_headers_complete(self) -> None:
        if self._wishes_upgrade():
            return
        self._head_arrived()
        if self.url[:1] != b"/" and (absolute := _ABSOLUTE.fullmatch(self.url)):
            self._take_target(*absolute.groups())
        if _PEER_CLOSED:
            self.scope[HUNG_UP] = self._has_hung_up  # type: ignore[literal-required]
        self._received = self._body_bytes = self._since_body = self._chunks = 0
        self._before_answer = None
        # Refuses some targets.
        super().on_headers_complete()
        self._is_in_body = True
        if self.scope["method"] == "CONNECT":
            # What follows would not be HTTP.
            self.cycle.keep_alive = False
        if len(self.pipeline) > MAX_PIPELINED:
            self._hang_up()

    def _has_hung_up(self) -> bool:
        """Return whether the client has closed the connection, also where the loop was not told of it yet."""
        connected = self.transport.get_extra_info("socket")
        if connected is None or self.transport.is_closing() or (descriptor := connected.fileno()) < 0:
            return True
        poll = select.poll()
        poll.register(descriptor, _PEER_CLOSED)
        return bool(poll.poll(0))

    def _take_target(self, authority: bytes, target: bytes) -> None:
        """Read a target in absolute form: its host counts, and not the header's (RFC 9112, 3.2.2)."""
        host = authority.rpartition(b"@")[2]
        # In place: the scope has the list already.
        self.headers[:] = [(name, host if name == b"host" else value) for name, value in self.headers]
        self.url = target if target.startswith(b"/") else b"/" + target

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _hang_up(self) -> NoReturn:
        self.transport.abort()
        raise _HungUp

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._chunks += 1
        if self._chunks > FEW_CHUNKS + self._body_bytes // LEAST_CHUNK_BYTES:
            self._hang_up()
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._wishes_upgrade():
            return
        self._is_in_body = False
        self._rest_arrived()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._is_lost:
            self.server_state.total_requests += 1
            return
        super().on_response_complete()
        if self.pipeline:
            # uvicorn goes on reading, however many requests wait already.
            self.flow.pause_reading()
        # An earlier request may end while the body of a pipelined one comes.
        if self._is_in_body and self.cycle.response_complete and not self.transport.is_closing():
            self._rest_timer = self.loop.call_later(REST_TIMEOUT_S, self.transport.abort)

    def _await_head(self) -> None:
        self._awaits_head = True
        self._head_bytes = 0

    def _time_head(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _head_arrived(self) -> None:
        self._awaits_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _rest_arrived(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

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
