"""HTTP to one provider: one long-lived session, answers read within deadlines, failures told in our own
words.
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
from nanobot.models.refusals import ErrorSource, Failed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    import aiohttp

_MAX_ERROR_BYTES = 64 * 1024
_MAX_PLAIN_BODY_BYTES = 1024 * 1024
_LINGER_S = 1.0


class Timeouts(msgspec.Struct, frozen=True):
    """How long a provider is waited for, in seconds.

    `connect_s` until the connection stands; `first_chunk_s` from the request to the first chunk of its
    answer, keep-alive comments or not; `idle_s` between two pieces of an answer that has begun; `check_s` for
    the whole of a check.
    """

    connect_s: float = 10.0
    first_chunk_s: float = 300.0
    idle_s: float = 120.0
    check_s: float = 5.0


class Address:
    """Where the API is: `base_url` taken apart once, with the paths that are asked for."""

    def __init__(self, base_url: str) -> None:
        """Read `base_url`.

        Raises:
            ConfigError: it is no http(s) URL, or has a user or password in it.
        """
        try:
            parts = urlsplit(base_url.strip())
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ConfigError(
                "base_url of a provider: not a URL; it looks like https://api.example.com/v1"
            ) from None
        if parts.scheme not in ("http", "https") or not host:
            raise ConfigError(
                "base_url of a provider: not a URL of http or https; it looks like https://api.example.com/v1"
            )
        if "@" in parts.netloc:
            raise ConfigError(
                f"base_url of the provider at {host}: user and password stand in it; set the API key instead"
            )
        path = parts.path.rstrip("/")
        self.host = host
        self.shown = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
        self.chat = urlunsplit((parts.scheme, parts.netloc, f"{path}/chat/completions", parts.query, ""))
        self.models = urlunsplit((parts.scheme, parts.netloc, f"{path}/models", parts.query, ""))


class Incoming:
    """An answer whose head has come;

    `finish` or `close` it in any case. `late`: what to say when a deadline has passed.
    """

    __slots__ = (
        "_armed_for",
        "_content",
        "_deadline",
        "_expired",
        "_line",
        "_loop",
        "_response",
        "_timer",
        "headers",
        "late",
        "status",
    )

    def __init__(
        self, line: ProviderConnection, response: aiohttp.ClientResponse, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self.late = "nothing came in time"
        self._expired = False
        self._line = line
        self._response = response
        self._content = response.content
        self._loop = loop
        self._deadline: float | None = None
        self._armed_for = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, deadline: float) -> bytes:
        """Return what has come since the last read; empty at the end. `deadline` is on the loop's clock.

        Raises:
            Failed: `ModelTimeout`, or `ModelBadAnswer` where the connection broke.
        """
        # One timer serves all reads: it looks at the deadline when it fires. To arm one for each read would
        # cost more than the read.
        self._deadline = deadline
        if self._timer is None or deadline < self._armed_for:
            self._arm(deadline)
        try:
            return await self._content.readany()
        except (self._line.http.ClientError, OSError) as error:
            raise self._line.broken(error, self.late if self._expired else None) from None
        finally:
            self._deadline = None

    async def read_error(self, seconds: float) -> bytes:
        """Return the beginning of the body, as far as it comes within `seconds`, and close: an error is told
        also where its text breaks off.
        """
        body = bytearray()
        deadline = self._loop.time() + seconds
        try:
            while len(body) < _MAX_ERROR_BYTES and (piece := await self.read(deadline)):
                body += piece
        except Failed:
            pass
        finally:
            self.close()
        return bytes(body[:_MAX_ERROR_BYTES])

    def finish(self) -> None:
        """Keep the connection for the next request, once the server has ended the answer; it has a moment for
        that.
        """
        self._disarm()
        if self._content.at_eof():
            self._line.forget(self)
            return
        self._timer = self._loop.call_later(_LINGER_S, self.close)
        self._content.on_eof(self._ended)

    def close(self) -> None:
        """Cut the connection, now; nothing where the answer has ended."""
        self._disarm()
        self._response.close()
        self._line.forget(self)

    def _ended(self) -> None:
        self._disarm()
        self._line.forget(self)

    def _arm(self, when: float) -> None:
        self._disarm()
        self._armed_for = when
        self._timer = self._loop.call_at(when, self._look)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self._loop.time() < self._deadline:
            self._arm(self._deadline)
            return
        self._expired = True
        self._response.close()


class ProviderConnection:
    """The connections to one provider. Belongs to the event loop of its first use."""

    def __init__(
        self, source: ErrorSource, address: Address, timeouts: Timeouts, socket_path: str | None
    ) -> None:
        self._source = source
        self._address = address
        self._timeouts = timeouts
        self._socket_path = socket_path
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "nanobot"}
        if source.secret:
            self._headers["Authorization"] = f"Bearer {source.secret}"
        self._module: ModuleType | None = None
        self._session: aiohttp.ClientSession | None = None
        self._incoming: set[Incoming] = set()
        self._closed = False

    @property
    def http(self) -> Any:
        """The module aiohttp, for its exceptions; there once the line is warm."""
        return self._module

    async def warm(self) -> None:
        """Do now what the first request would wait for. No connection is made.

        Raises:
            Failed: the line was closed.
        """
        if self._session is not None:
            return
        # aiohttp takes 150 ms to import, on any loop that does it itself, and a server with a local model
        # never needs it.
        module = await asyncio.to_thread(importlib.import_module, "aiohttp")
        if self._closed:
            raise self._gone()
        if self._session is None:
            self._module = module
            self._session = self._open()

    async def post(self, body: bytes, deadline: float) -> Incoming:
        """Send `body` as a chat request and return the answer's head, by `deadline` on the loop's clock.

        Raises:
            Failed: `ModelUnreachable`, `ModelTimeout` or `ModelBadAnswer`.
        """
        session = await self._ready()
        # aiohttp writes plain bytes in one go; a large body goes in pieces, so that other turns are not held
        # up.
        data = body if len(body) <= _MAX_PLAIN_BODY_BYTES else io.BytesIO(body)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(deadline):
                response = await session.post(
                    self._address.chat,
                    data=data,
                    headers={"Content-Type": "application/json"},
                    allow_redirects=False,
                )
        except (self.http.ClientError, OSError) as error:
            raise self._unanswered(
                error, f"no answer began within {self._timeouts.first_chunk_s:g} s"
            ) from None
        return self._answered(response, loop)

    async def get_models(self) -> Incoming:
        """Ask for the list of models and return the answer's head, within `check_s`.

        Raises:
            Failed: as `post`.
        """
        session = await self._ready()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeouts.check_s):
                response = await session.get(self._address.models, allow_redirects=False)
        except (self.http.ClientError, OSError) as error:
            raise self._unanswered(error, f"no answer within {self._timeouts.check_s:g} s") from None
        return self._answered(response, loop)

    def forget(self, incoming: Incoming) -> None:
        """Drop an answer that has ended."""
        self._incoming.discard(incoming)

    async def close(self) -> None:
        """Cut all connections; whoever reads from one is told."""
        self._closed = True
        for incoming in tuple(self._incoming):
            incoming.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def broken(self, error: Exception, late: str | None) -> Failed:
        """Return what `error` means in the middle of an answer; `late`: the deadline had passed."""
        name = self._source.name
        if late is not None:
            return Failed(ModelTimeout(f"{name}: {late}"))
        if self._closed:
            return self._gone()
        return Failed(ModelBadAnswer(f"{name} broke off its answer: {_reason(error)}"), again=True)

    def _answered(self, response: aiohttp.ClientResponse, loop: asyncio.AbstractEventLoop) -> Incoming:
        if self._closed:
            response.close()
            raise self._gone()
        incoming = Incoming(self, response, loop)
        self._incoming.add(incoming)
        return incoming

    async def _ready(self) -> aiohttp.ClientSession:
        if self._session is None:
            await self.warm()
        session = self._session
        if session is None:
            raise self._gone()
        return session

    def _gone(self) -> Failed:
        return Failed(ModelUnreachable(f"{self._source.name} is closed: the server is stopping"))

    def _open(self) -> aiohttp.ClientSession:
        http = self.http
        timeout = http.ClientTimeout(
            total=None, connect=self._timeouts.connect_s, sock_connect=None, sock_read=None
        )
        connector: aiohttp.BaseConnector
        if self._socket_path is not None:
            connector = http.UnixConnector(self._socket_path, limit=0)
        else:
            connector = http.TCPConnector(limit=0, ttl_dns_cache=60)
        session: aiohttp.ClientSession = http.ClientSession(
            connector=connector,
            cookie_jar=http.DummyCookieJar(),
            headers=self._headers,
            timeout=timeout,
            trust_env=False,
        )
        return session

    def _unanswered(self, error: Exception, late: str) -> Failed:
        http, name, shown = self.http, self._source.name, self._address.shown
        where = self._socket_path or shown
        if isinstance(error, http.ConnectionTimeoutError):
            connect_s = self._timeouts.connect_s
            return Failed(
                ModelUnreachable(f"{name}: no connection to {where} within {connect_s:g} s"), again=True
            )
        if isinstance(error, http.ClientConnectorCertificateError):
            return Failed(
                ModelUnreachable(f"{name}: the certificate of {where} is not trusted: {_reason(error)}")
            )
        if isinstance(error, http.ClientConnectorError):
            return Failed(ModelUnreachable(f"{name}: no connection to {where}: {_reason(error)}"), again=True)
        if isinstance(error, http.ClientConnectionError):
            if self._closed:
                return self._gone()
            return Failed(
                ModelUnreachable(f"{name}: {where} closed the connection before it answered"), again=True
            )
        if isinstance(error, TimeoutError):
            return Failed(ModelTimeout(f"{name}: {late}"))
        failure: ModelError = ModelBadAnswer(f"{name}: {where} does not speak HTTP as it should")
        return Failed(failure)


def _reason(error: Exception) -> str:
    """Return the short word of the system for `error`, without what aiohttp puts around it."""
    cause: object = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    # TLS has words of its own; its errno is no number of the system's.
    words = getattr(cause, "verify_message", None) or getattr(cause, "reason", None)
    number = getattr(cause, "errno", None)
    if not words and isinstance(number, int) and number > 0:
        return os.strerror(number)
    return str(words or getattr(cause, "strerror", None) or "the connection was closed")
