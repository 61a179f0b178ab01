"""HTTP to one provider: one pool of connections, responses read within deadlines, failures in words of ours.

aiohttp's own time-outs serve for the connection alone. Its `sock_read` also runs while the caller is slow,
and keep-alive comments restart it, so that it cannot bound the wait for the first chunk. `docs/adr/0003` has
the figures.
"""

from __future__ import annotations

import asyncio
import importlib
import io
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from nanobot.core.errors import ConfigError, ModelBadAnswer, ModelError, ModelTimeout, ModelUnreachable
from nanobot.models.address import BEARER, Address, KeyHeader, error_source
from nanobot.models.certificates import trusted
from nanobot.models.refusals import ErrorSource, RequestFailed
from nanobot.models.transport import DIRECT, Transport, put_headers

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from types import ModuleType

    import aiohttp

__all__ = [
    "BEARER",
    "Address",
    "KeyHeader",
    "ProviderConnection",
    "ProviderResponse",
    "Timeouts",
    "error_source",
]

_MAX_ERROR_BYTES = 64 * 1024
_MAX_PLAIN_BODY_BYTES = 1024 * 1024
_LINGER_S = 1.0


class Timeouts(msgspec.Struct, frozen=True):
    """How long to wait for a provider, in seconds.

    `connect_s`: until a connection is open. `first_chunk_s`: from the request to the first chunk of the
    answer; keep-alive comments do not count. `idle_s`: between two pieces of an answer that has begun.
    `check_s`: for the whole of a check. `retry_pause_s`: the longest pause that a provider may ask for before
    a request is sent again; a longer one is left to the caller.
    """

    connect_s: float = 10.0
    first_chunk_s: float = 300.0
    idle_s: float = 120.0
    check_s: float = 5.0
    retry_pause_s: float = 20.0


class ProviderResponse:
    """A response whose head has come; `finish` or `close` it in any case.

    `late`: what the error says when a deadline has passed.
    """

    __slots__ = (
        "_armed_for",
        "_connection",
        "_content",
        "_deadline",
        "_expired",
        "_loop",
        "_response",
        "_timer",
        "headers",
        "late",
        "status",
    )

    def __init__(
        self,
        connection: ProviderConnection,
        response: aiohttp.ClientResponse,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self.late = "nothing came in time"
        self._expired = False
        self._connection = connection
        self._response = response
        self._content = response.content
        self._loop = loop
        self._deadline: float | None = None
        self._armed_for = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, deadline: float) -> bytes:
        """Return what has come since the last read; empty at the end. `deadline` is a time of the loop's
        clock.

        Raises:
            RequestFailed: `ModelTimeout`, or `ModelBadAnswer` where the connection broke.
        """
        # One timer serves all reads: when it fires, it compares the deadline. One for each read would make a
        # streamed answer a third dearer.
        self._deadline = deadline
        if self._timer is None or deadline < self._armed_for:
            self._arm(deadline)
        try:
            return await self._content.readany()
        except (self._connection.http.ClientError, OSError) as error:
            raise self._connection.broken(error, self.late if self._expired else None) from None
        finally:
            self._deadline = None

    async def read_error(self, seconds: float, max_bytes: int = _MAX_ERROR_BYTES) -> bytes:
        """Return the first `max_bytes` of the body, as far as they come within `seconds`, and close.

        Raises nothing: an error is reported even where its text breaks off.
        """
        body = bytearray()
        deadline = self._loop.time() + seconds
        try:
            while len(body) < max_bytes and (piece := await self.read(deadline)):
                body += piece
        except RequestFailed:
            pass
        finally:
            self.close()
        return bytes(body[:max_bytes])

    def finish(self) -> None:
        """Keep the connection for the next request, if the server ends the body within 1 s."""
        self._disarm()
        if self._content.at_eof():
            self._connection.forget(self)
            return
        self._timer = self._loop.call_later(_LINGER_S, self.close)
        self._content.on_eof(self._ended)

    def close(self) -> None:
        """Cut the connection at once. No effect where the body has ended."""
        self._disarm()
        self._response.close()
        self._connection.forget(self)

    def _ended(self) -> None:
        self._disarm()
        self._connection.forget(self)

    def _arm(self, when: float) -> None:
        self._disarm()
        self._armed_for = when
        self._timer = self._loop.call_at(when, self._check_deadline)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check_deadline(self) -> None:
        self._timer = None
        # Nothing is being read; the next read starts the timer again.
        if self._deadline is None:
            return
        if self._loop.time() < self._deadline:
            self._arm(self._deadline)
            return
        self._expired = True
        self._response.close()


class ProviderConnection:
    """The pool of connections to one provider. Belongs to the event loop of its first use.

    `headers` go with each request, and over them those of `transport`, which also has the keys.
    `socket_path`: connect to this Unix socket; URLs then only say the path.
    """

    def __init__(
        self,
        source: ErrorSource,
        *,
        auth: KeyHeader = BEARER,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts,
        socket_path: str | None = None,
        transport: Transport = DIRECT,
    ) -> None:
        self._source = source
        self._timeouts = timeouts
        self._socket_path = socket_path
        self.transport = transport
        self._auth = auth
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "nanobot", **(headers or {})}
        if source.secret:
            self._headers[auth.name] = auth.prefix + source.secret
        # The user's come last: whoever sets a header means it.
        put_headers(self._headers, transport.headers)
        # aiohttp sends the headers of the session to the proxy, too, and the key is among ours.
        each = {} if transport.proxy is None else self._headers
        self._get_headers = dict(each)
        self._post_headers = {**each, "Content-Type": "application/json"}
        self._module: ModuleType | None = None
        self._session: aiohttp.ClientSession | None = None
        self._open_responses: set[ProviderResponse] = set()
        self._closed = False

    @property
    def http(self) -> Any:
        """The module aiohttp, for its exceptions; None until the connection is warm."""
        return self._module

    async def warm(self) -> None:
        """Load the HTTP library, which the first request would otherwise wait for. Opens no connection.

        Raises:
            RequestFailed: the connection was closed.
        """
        if self._session is not None:
            return
        # Importing aiohttp takes 150 ms, in which the loop would stand still; a process that asks no provider
        # never pays for it.
        module = await asyncio.to_thread(importlib.import_module, "aiohttp")
        try:
            trust = await asyncio.to_thread(trusted, self.transport.ca_file)
        except ConfigError as error:
            raise RequestFailed(ModelUnreachable(f"{self._source.name}: {error.message}")) from None
        if self._closed:
            raise self._stopped()
        if self._session is None:
            # Another caller may have been faster during the import.
            self._module = module
            self._session = self._open_session(trust)

    async def post(self, url: str, body: bytes, deadline: float, key: str | None = None) -> ProviderResponse:
        """Send `body`, which is JSON, and return the response's head by `deadline`, a time of the loop's
        clock. `key`: the key of this request, where not all have the same.

        Raises:
            RequestFailed: `ModelUnreachable`, `ModelTimeout` or `ModelBadAnswer`.
        """
        session = await self._ready()
        # aiohttp writes bytes in one go. A large body goes in pieces, so that other turns need not wait for
        # it.
        data = body if len(body) <= _MAX_PLAIN_BODY_BYTES else io.BytesIO(body)
        headers = self._post_headers if key is None else self._with_key(self._post_headers, key)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(deadline):
                response = await session.post(
                    url,
                    data=data,
                    headers=headers,
                    allow_redirects=False,
                )
        except (self.http.ClientError, OSError) as error:
            raise self._failure(error, f"no answer began within {self._timeouts.first_chunk_s:g} s") from None
        return self._received(response, loop)

    async def get(self, url: str, key: str | None = None) -> ProviderResponse:
        """Request `url` and return the response's head, within `check_s`. `key`: as for `post`.

        Raises:
            RequestFailed: as `post`.
        """
        session = await self._ready()
        headers = self._get_headers if key is None else self._with_key(self._get_headers, key)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeouts.check_s):
                response = await session.get(url, headers=headers, allow_redirects=False)
        except (self.http.ClientError, OSError) as error:
            raise self._failure(error, f"no answer within {self._timeouts.check_s:g} s") from None
        return self._received(response, loop)

    def _with_key(self, headers: dict[str, str], key: str) -> dict[str, str]:
        return {**headers, self._auth.name: self._auth.prefix + key}

    def forget(self, response: ProviderResponse) -> None:
        """Drop a response that has ended."""
        self._open_responses.discard(response)

    async def close(self) -> None:
        """Cut all connections; running reads fail. Safe to call twice."""
        self._closed = True
        # A copy, since each response takes itself out of the set.
        for response in tuple(self._open_responses):
            response.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def broken(self, error: Exception, late: str | None) -> RequestFailed:
        """Return what `error` means in the middle of a response.

        `late`: what to say of the deadline, where it was that which cut the connection.
        """
        name = self._source.name
        if late is not None:
            return RequestFailed(ModelTimeout(f"{name}: {late}"))
        if self._closed:
            return self._stopped()
        return RequestFailed(ModelBadAnswer(f"{name} broke off its answer: {_reason(error)}"), may_retry=True)

    def _received(
        self, response: aiohttp.ClientResponse, loop: asyncio.AbstractEventLoop
    ) -> ProviderResponse:
        if self._closed:
            response.close()
            raise self._stopped()
        received = ProviderResponse(self, response, loop)
        self._open_responses.add(received)
        return received

    async def _ready(self) -> aiohttp.ClientSession:
        if self._session is None:
            await self.warm()
        session = self._session
        if session is None:
            raise self._stopped()
        return session

    def _stopped(self) -> RequestFailed:
        return RequestFailed(ModelUnreachable(f"{self._source.name} is closed: the server is stopping"))

    def _open_session(self, trust: ssl.SSLContext | None) -> aiohttp.ClientSession:
        http = self.http
        timeout = http.ClientTimeout(
            total=None, connect=self._timeouts.connect_s, sock_connect=None, sock_read=None
        )
        # No limit: the engine bounds how many turns run, and with them the requests.
        connector: aiohttp.BaseConnector
        if self._socket_path is not None:
            connector = http.UnixConnector(self._socket_path, limit=0)
        else:
            connector = http.TCPConnector(limit=0, ttl_dns_cache=60, ssl=True if trust is None else trust)
        session: aiohttp.ClientSession = http.ClientSession(
            connector=connector,
            cookie_jar=http.DummyCookieJar(),
            headers=self._headers if self.transport.proxy is None else None,
            timeout=timeout,
            trust_env=False,
            proxy=self.transport.proxy,
        )
        return session

    @property
    def _proxy(self) -> str:
        """The proxy's address, without the user and the password in it."""
        parts = urlsplit(self.transport.proxy or "")
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def _failure(self, error: Exception, late: str) -> RequestFailed:
        http, name = self.http, self._source.name
        where = self._socket_path or self._source.address
        if isinstance(error, http.ClientHttpProxyError):
            return RequestFailed(
                ModelUnreachable(f"{name}: the proxy {self._proxy} answered {error.status} to {where}")
            )
        if isinstance(error, http.ClientProxyConnectionError):
            where = f"the proxy {self._proxy}"
        # From the special to the general: most of these classes derive from each other.
        if isinstance(error, http.ConnectionTimeoutError):
            connect_s = self._timeouts.connect_s
            return RequestFailed(
                ModelUnreachable(f"{name}: no connection to {where} within {connect_s:g} s"), may_retry=True
            )
        if isinstance(error, http.ClientConnectorCertificateError):
            return RequestFailed(
                ModelUnreachable(f"{name}: the certificate of {where} is not trusted: {_reason(error)}")
            )
        if isinstance(error, http.ClientConnectorError):
            return RequestFailed(
                ModelUnreachable(f"{name}: no connection to {where}: {_reason(error)}"), may_retry=True
            )
        if isinstance(error, http.ClientConnectionError):
            if self._closed:
                return self._stopped()
            return RequestFailed(
                ModelUnreachable(f"{name}: {where} closed the connection before it answered"), may_retry=True
            )
        if isinstance(error, TimeoutError):
            return RequestFailed(ModelTimeout(f"{name}: {late}"))
        failure: ModelError = ModelBadAnswer(f"{name}: {where} does not speak HTTP as it should")
        return RequestFailed(failure)


def _reason(error: Exception) -> str:
    """Return the system's short message for `error`, without what aiohttp puts around it."""
    cause: object = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    # TLS errors have messages of their own, and an errno that is not the system's.
    words = getattr(cause, "verify_message", None) or getattr(cause, "reason", None)
    number = getattr(cause, "errno", None)
    if not words and isinstance(number, int) and number > 0:
        return os.strerror(number)
    return str(words or getattr(cause, "strerror", None) or "the connection was closed")
