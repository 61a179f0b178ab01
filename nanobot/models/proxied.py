"""Requests to a provider behind a proxy: on aiohttp, which knows proxies.

aiohttp's own time-outs serve for the connection alone. Its `sock_read` also runs while the caller is slow,
and keep-alive comments restart it, so that it cannot bound the wait for the first chunk.
"""

from __future__ import annotations

import asyncio
import io
import os
from typing import TYPE_CHECKING

import aiohttp

from nanobot.models.transfer import TransferFailed

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from nanobot.core.audience import Audience

_MAX_PLAIN_BODY_BYTES = 1024 * 1024


class ProxiedPool:
    """Connections through the HTTP proxy at the URL `proxy`. `tls`: how to connect to https."""

    def __init__(self, proxy: str, *, connect_s: float, tls: ssl.SSLContext | None = None) -> None:
        timeout = aiohttp.ClientTimeout(total=None, connect=connect_s, sock_connect=None, sock_read=None)
        self._session = aiohttp.ClientSession(
            # No limit: the engine bounds how many turns run, and with them the requests.
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, ssl=True if tls is None else tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=timeout,
            trust_env=False,
            proxy=proxy,
        )

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> ProxiedAnswer:
        # aiohttp writes bytes in one go. A large body goes in pieces, so that other turns need not wait for
        # it.
        data = body if len(body) <= _MAX_PLAIN_BODY_BYTES else io.BytesIO(body)
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._session.request(
                    method, url, data=data or None, headers=headers, allow_redirects=False
                )
        except (aiohttp.ClientError, OSError) as error:
            raise _failure(error) from None
        return ProxiedAnswer(response)

    async def close(self) -> None:
        await self._session.close()


class ProxiedAnswer:
    """An answer that came through a proxy; the `transfer.Received` of aiohttp."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._content = response.content

    async def read(self) -> bytes:
        try:
            return await self._content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise TransferFailed("finish", _reason(error)) from None

    async def gather(self, until: float, audience: Audience) -> None:
        """Return at once: what is not read at once would be lost where the connection breaks."""

    def buffered(self) -> bytes:
        return b"" if self._content.exception() is not None else self._content.read_nowait()

    @property
    def has_ended(self) -> bool:
        return self._content.at_eof()

    def on_end(self, call: Callable[[], None]) -> None:
        self._content.on_eof(call)

    def close(self) -> None:
        self._response.close()


def _failure(error: Exception) -> Exception:
    """Return what `error` means before the head has come."""
    # From the special to the general: most of these classes derive from each other.
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return TransferFailed("pass the proxy", str(error.status))
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return TransferFailed("reach the proxy", _reason(error))
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return TransferFailed("connect in time")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return TransferFailed("trust", _reason(error))
    if isinstance(error, aiohttp.ClientConnectorError):
        return TransferFailed("connect", _reason(error))
    if isinstance(error, aiohttp.ClientConnectionError):
        return TransferFailed("begin", _reason(error))
    if isinstance(error, TimeoutError):
        return error
    return TransferFailed("understand", _reason(error))


def _reason(error: Exception) -> str:
    """Return the system's short message for `error`, without what aiohttp puts around it."""
    cause: object = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    # TLS errors have messages of their own, and an errno that is not the system's.
    words = getattr(cause, "verify_message", None) or getattr(cause, "reason", None)
    number = getattr(cause, "errno", None)
    if not words and isinstance(number, int) and number > 0:
        return os.strerror(number)
    return str(words or getattr(cause, "strerror", None) or "the connection was closed")
