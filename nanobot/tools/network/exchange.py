"""One connection of a command to the proxy: a request, and what is passed on for it.

`CONNECT` opens a tunnel. A plain request of `http://` is read by h11 and rewritten, one on a connection:
what one side could read otherwise than the other does not reach the host.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any, NamedTuple

import h11

from nanobot.core.errors import UrlRefused, UrlUnreadable
from nanobot.reading.addresses import Address
from nanobot.tools.network.rules import parse_authority

Open = Callable[[str, int], Awaitable[list[Address]]]
"""Returns the addresses that a host may be connected to at, for a port.

Raises ProxyRefused, UrlRefused, UrlUnreadable: it may not, or there are none.
"""
Count = Callable[[int], None]
_CHUNK = 65_536
_HEAD_BYTES = 32_768
_HEAD_S, _CONNECT_S, _IDLE_S, _END_S = 20.0, 15.0, 300.0, 10.0
_MOST_ADDRESSES = 4
_HTTP = re.compile(rb"http://([^/?#]*)(/[^#]*|\?[^#]*|)", re.IGNORECASE)
_OF_ONE_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"te", b"upgrade", b"host")
)
_FRAMING = frozenset((b"content-length", b"transfer-encoding"))


class ProxyRefused(Exception):
    """What is asked for is not done; the text says why, in one line of ASCII."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class Target(NamedTuple):
    """Where a request goes. `head`: what the host is sent first; None: a tunnel."""

    host: str
    port: int
    head: h11.Request | None


class ProxyExchange:
    """A connection of a command, by its streams. After `run`: where it wanted to (`host` empty: it did not
    say), at which `address` it was connected, and why it was `refused`; `sent` and `received` are bytes of
    the command's.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, spend: Count) -> None:
        self.host, self.port = "", 0
        self.address: str | None = None
        self.refused: str | None = None
        self.sent = self.received = 0
        self._reader = reader
        self._writer = writer
        self._spend = spend
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)

    async def run(self, addresses: Open) -> None:
        """Do what the command asks for, until either side has ended it. `addresses` decides."""
        try:
            target = await self._target()
            self.host, self.port = target.host, target.port
            reader, writer = await self._connect(target, addresses)
        except ProxyRefused as refusal:
            self.refused = refusal.why
            await self._refuse(refusal)
            return
        try:
            with contextlib.suppress(OSError, TimeoutError, h11.ProtocolError):
                async with asyncio.timeout(_IDLE_S) as idle:
                    if target.head is None:
                        await self._tunnel(reader, writer, idle)
                    else:
                        await self._request(target.head, reader, writer, idle)
                    await asyncio.gather(_flushed(writer), _flushed(self._writer))
        except ProxyRefused as refusal:
            self.refused = refusal.why
        finally:
            writer.transport.abort()

    # The request ----------------------------------------------------------------------------------

    async def _target(self) -> Target:
        try:
            async with asyncio.timeout(_HEAD_S):
                request = await self._event()
        except TimeoutError:
            raise ProxyRefused(HTTPStatus.REQUEST_TIMEOUT, f"no request within {_HEAD_S:g} s") from None
        except (h11.RemoteProtocolError, OSError):
            raise ProxyRefused(HTTPStatus.BAD_REQUEST, "this is no HTTP request to a proxy") from None
        if not isinstance(request, h11.Request):
            raise ProxyRefused(HTTPStatus.BAD_REQUEST, "this is no HTTP request to a proxy")
        if request.method == b"CONNECT":
            place = parse_authority(request.target, None)
            if place is None:
                raise ProxyRefused(HTTPStatus.BAD_REQUEST, "CONNECT needs HOST:PORT")
            return Target(*place, None)
        match = _HTTP.fullmatch(request.target)
        place = parse_authority(match[1], 80) if match else None
        if match is None or place is None:
            raise ProxyRefused(
                HTTPStatus.BAD_REQUEST, "the proxy takes CONNECT, and requests of http://HOST/"
            )
        path = match[2] if match[2].startswith(b"/") else b"/" + match[2]
        return Target(*place, _written_anew(request, match[1], path))

    async def _event(self) -> Any:
        while (event := self._connection.next_event()) is h11.NEED_DATA:
            self._connection.receive_data(await self._reader.read(_CHUNK))
        return event

    async def _connect(
        self, target: Target, addresses: Open
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(_CONNECT_S):
                found = await addresses(target.host, target.port)
                for address in found[:_MOST_ADDRESSES]:
                    with contextlib.suppress(OSError):
                        connected = await _connected(address, target.port)
                        self.address = str(address)
                        return await asyncio.open_connection(sock=connected, limit=_CHUNK)
        except TimeoutError:
            raise ProxyRefused(
                HTTPStatus.GATEWAY_TIMEOUT, f"{target.host} did not answer within {_CONNECT_S:g} s"
            ) from None
        except UrlRefused:
            raise ProxyRefused(
                HTTPStatus.FORBIDDEN, f"{target.host} is not on the public internet: it is not reached"
            ) from None
        except UrlUnreadable:
            raise ProxyRefused(HTTPStatus.BAD_GATEWAY, f"there is no host {target.host}") from None
        raise ProxyRefused(HTTPStatus.BAD_GATEWAY, f"{target.host}:{target.port} takes no connection")

    async def _refuse(self, refusal: ProxyRefused) -> None:
        body = f"{refusal.why}\n".encode()
        # Programs show the first line, few of them what comes after it.
        head = (
            f"HTTP/1.1 {refusal.status.value} {refusal.why}\r\nContent-Type: text/plain\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self._writer.write(head.encode("ascii", "replace") + body)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_END_S):
                await self._writer.drain()
                self._writer.write_eof()
                # What it has sent already would turn the answer into a reset.
                while await self._reader.read(_CHUNK):
                    pass

    # What is passed on ----------------------------------------------------------------------------

    def _count(self, idle: asyncio.Timeout, size: int, *, is_sent: bool) -> None:
        if not idle.expired():
            idle.reschedule(asyncio.get_running_loop().time() + _IDLE_S)
        if is_sent:
            self.sent += size
        else:
            self.received += size
        self._spend(size)

    async def _tunnel(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle: asyncio.Timeout
    ) -> None:
        self._writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        early = self._connection.trailing_data[0]
        self._count(idle, len(early), is_sent=True)
        writer.write(early)
        async with _tasks(
            _pump(self._reader, writer, lambda size: self._count(idle, size, is_sent=True)),
            _pump(reader, self._writer, lambda size: self._count(idle, size, is_sent=False)),
        ) as both:
            await asyncio.gather(*both)

    async def _request(
        self,
        head: h11.Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        idle: asyncio.Timeout,
    ) -> None:
        host = h11.Connection(h11.CLIENT)

        async def send() -> None:
            event: Any = head
            while True:
                data = host.send(event) or b""
                self._count(idle, len(data), is_sent=True)
                writer.write(data)
                await writer.drain()
                if isinstance(event, h11.EndOfMessage):
                    return
                event = await self._event()
                if isinstance(event, h11.EndOfMessage):
                    # Without the headers behind the body, which some take for those before it.
                    event = h11.EndOfMessage()
                elif not isinstance(event, h11.Data):
                    raise ConnectionAbortedError

        # The host ends it: it is asked to close, and nothing else comes on this connection.
        answering = _pump(reader, self._writer, lambda size: self._count(idle, size, is_sent=False))
        async with _tasks(send(), answering) as (sending, answer):
            await asyncio.wait([sending, answer], return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                await sending
            await answer


def _written_anew(request: h11.Request, authority: bytes, path: bytes) -> h11.Request:
    """Return the request as its host is to get it: of this connection only, for this host only."""
    named = {
        name.strip().lower()
        for header, value in request.headers
        if header == b"connection"
        for name in value.split(b",")
    }
    left_out = _OF_ONE_HOP | (named - _FRAMING)
    headers = [(name, value) for name, value in request.headers if name not in left_out]
    if any(name == b"transfer-encoding" for name, _ in headers):
        headers = [(name, value) for name, value in headers if name != b"content-length"]
    return h11.Request(
        method=request.method,
        target=path,
        headers=[(b"Host", authority), *headers, (b"Connection", b"close")],
    )


async def _connected(address: Address, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, (str(address), port))
    except BaseException:
        made.close()
        raise
    return made


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Count) -> None:
    while data := await reader.read(_CHUNK):
        count(len(data))
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


async def _flushed(writer: asyncio.StreamWriter) -> None:
    """Close, and wait until what was written has gone."""
    writer.close()
    async with asyncio.timeout(_END_S):
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def _tasks(*parts: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Yield the parts as tasks, which end with this."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
