"""Requests to a provider without a proxy between, over connections that are kept."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Hashable, Mapping
from functools import lru_cache, partial
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import aiohappyeyeballs

from nanobot.models.http11 import DirectConnection
from nanobot.models.http11_answer import DirectAnswer
from nanobot.models.transfer import TransferFailed

_IDLE_S = 15.0
"""How long a connection is kept that nothing is asked of; most servers close it after a minute or more."""
_HAPPY_EYEBALLS_S = 0.25


class _Origin(NamedTuple):
    host: str
    port: int
    is_secure: bool


class _Place(NamedTuple):
    """Where a URL points: `begin` is the first line of a request without its method, and the Host header."""

    origin: _Origin
    begin: bytes


@lru_cache(64)
def _place(url: str) -> _Place:
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    host = parts.hostname or ""
    path = quote(f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", safe="/%?:@!$&'()*+,;=~-._")
    name = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    begin = f" {path} HTTP/1.1\r\nHost: {name}\r\n".encode("ascii")
    return _Place(_Origin(host, parts.port or (443 if is_secure else 80), is_secure), begin)


def trusting_system() -> ssl.SSLContext:
    """Return how to connect where the system's certificates are trusted. Blocks."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(("http/1.1",))
    return context


class DirectPool:
    """Connections to the hosts of the URLs that are asked for, opened as needed: how many turns run bounds
    how many there are.

    `socket_path`: connect to this Unix socket, whatever the URL says. `tls`: how to connect to https.
    """

    def __init__(
        self, *, connect_s: float, tls: ssl.SSLContext | None = None, socket_path: str | None = None
    ) -> None:
        self._connect_s = connect_s
        self._tls = tls
        self._socket_path = socket_path
        self._loop = asyncio.get_running_loop()
        self._open_ones: set[DirectConnection] = set()
        self._idle: dict[Hashable, list[tuple[DirectConnection, float]]] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._is_closed = False
        # Of the last request: nearly all have the same.
        self._headers: Mapping[str, str] | None = None
        self._lines = b""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> DirectAnswer:
        place = _place(url)
        if headers is not self._headers:
            self._headers = headers
            self._lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode()
        head = b"%b%b%bContent-Length: %d\r\n\r\n" % (method.encode(), place.begin, self._lines, len(body))
        connection = self._reused(place.origin) or await self._open(place.origin, deadline)
        try:
            return await connection.ask(head, body, deadline)
        except BaseException:
            connection.abort()
            raise

    def keep(self, connection: DirectConnection) -> None:
        """Keep a connection whose answer has ended for the next request."""
        if self._is_closed:
            connection.abort()
            return
        self._idle.setdefault(connection.place, []).append((connection, self._loop.time()))
        if self._sweep is None:
            self._sweep = self._loop.call_later(_IDLE_S, self._drop_old)

    def opened(self, connection: DirectConnection) -> None:
        """Note a connection that must be cut when the pool is closed."""
        self._open_ones.add(connection)
        if self._is_closed:
            connection.abort()

    def forget(self, connection: DirectConnection) -> None:
        """Drop a connection that has ended."""
        self._open_ones.discard(connection)
        # Those that are kept are passed over once they are due: many may end at once.

    async def close(self) -> None:
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in tuple(self._open_ones):
            connection.abort()

    def _reused(self, origin: _Origin) -> DirectConnection | None:
        # The newest: the others grow old, and are dropped.
        idle = self._idle.get(origin)
        while idle:
            connection, since = idle.pop()
            if connection.is_open and self._loop.time() - since < _IDLE_S:
                return connection
            connection.abort()
        return None

    def _drop_old(self) -> None:
        self._sweep = None
        before = self._loop.time() - _IDLE_S
        for origin, idle in tuple(self._idle.items()):
            for connection, since in idle:
                if since <= before:
                    connection.abort()
            kept = [known for known in idle if known[1] > before]
            if kept:
                self._idle[origin] = kept
            else:
                del self._idle[origin]
        if self._idle:
            self._sweep = self._loop.call_later(_IDLE_S, self._drop_old)

    async def _open(self, origin: _Origin, deadline: float) -> DirectConnection:
        until = min(deadline, self._loop.time() + self._connect_s)
        try:
            async with asyncio.timeout_at(until):
                return await self._connect(origin)
        except TimeoutError as error:
            if error.errno is not None:
                raise TransferFailed("connect", _reason(error)) from None
            if until == deadline:
                raise
            raise TransferFailed("connect in time") from None
        except ssl.SSLCertVerificationError as error:
            raise TransferFailed("trust", error.verify_message) from None
        except ssl.SSLError as error:
            raise TransferFailed("connect", error.reason or "no TLS") from None
        except (OSError, UnicodeError) as error:
            raise TransferFailed("connect", _reason(error)) from None

    async def _connect(self, origin: _Origin) -> DirectConnection:
        make = partial(DirectConnection, self, origin, self._loop)
        if self._socket_path is not None:
            _, connection = await self._loop.create_unix_connection(make, self._socket_path)
            return connection
        addresses = await self._loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        # A host with a dead IPv6 address is reached at its other one.
        connected = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS_S, interleave=1, loop=self._loop
        )
        # A provider may be silent for minutes while it thinks; routers forget connections sooner.
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        try:
            _, connection = await self._loop.create_connection(
                make,
                sock=connected,
                ssl=self._tls if origin.is_secure else None,
                server_hostname=origin.host if origin.is_secure else None,
            )
        except BaseException:
            connected.close()
            raise
        return connection


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    return str(getattr(error, "strerror", None) or error)
