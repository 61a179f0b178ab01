"""HTTP to one provider: one pool of connections, responses read within deadlines, failures in our words."""

from __future__ import annotations

import asyncio
import importlib
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import msgspec

from nanobot.core.errors import ConfigError, ModelBadAnswer, ModelError, ModelTimeout, ModelUnreachable
from nanobot.models.address import BEARER, KeyHeader
from nanobot.models.certificates import trusted
from nanobot.models.refusals import ErrorSource, RequestFailed
from nanobot.models.transfer import TransferFailed
from nanobot.models.transport import DIRECT, Transport, put_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nanobot.core.audience import Audience
    from nanobot.models.transfer import Pool, Received

_MAX_ERROR_BYTES = 64 * 1024
_LINGER_S = 1.0
_LOOKS = 2
"""So many rounds of a loop until what stands at a socket has been read: the first may end before it looks."""
_GATHER_S = 1.0
"""How long pieces of an answer wait for each other while nobody reads them as they come."""


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
        "_deadline",
        "_expired",
        "_loop",
        "_received",
        "_timer",
        "headers",
        "late",
        "status",
    )

    def __init__(
        self, connection: ProviderConnection, received: Received, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.status: int = received.status
        self.headers: Mapping[str, str] = received.headers
        self.late = "nothing came in time"
        self._expired = False
        self._connection = connection
        self._received = received
        self._loop = loop
        self._deadline: float | None = None
        self._armed_for = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, deadline: float, audience: Audience | None = None) -> bytes:
        """Return what has come since the last read; empty at the end. `deadline` is a time of the loop's
        clock.

        Where the `audience` is given and nobody in it listens, what comes within a second is returned as one.

        Raises:
            RequestFailed: `ModelTimeout`, or `ModelBadAnswer` where the connection broke.
        """
        received = self._received
        if audience is not None and not audience.is_listening:
            await received.gather(min(deadline, self._loop.time() + _GATHER_S), audience)
        if piece := received.buffered():
            return piece
        # One timer serves all reads: when it fires, it compares the deadline. One for each read would make a
        # streamed answer a third dearer.
        self._deadline = deadline
        if self._timer is None or deadline < self._armed_for:
            self._arm(deadline)
        try:
            return await received.read()
        except TransferFailed as failed:
            raise self._connection.broken(failed, self.late if self._expired else None) from None
        finally:
            self._deadline = None

    async def rest(self) -> bytes:
        """Return what has come since the last read, without waiting for more: the loop looks at the socket
        once, which may have been left alone.
        """
        for _ in range(_LOOKS):
            await asyncio.sleep(0)
        return self._received.buffered()

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
        if self._received.has_ended:
            self.close()
            return
        self._timer = self._loop.call_later(_LINGER_S, self.close)
        self._received.on_end(self.close)

    def close(self) -> None:
        """Cut the connection at once; keep it where the body has ended. Safe to call twice."""
        self._disarm()
        if self._connection.forget(self):
            self._received.close()

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
        self._received.close()


class ProviderConnection:
    """The pool of connections to one provider. Belongs to the event loop of its first use.

    `headers` go with each request, and over them those of `transport`, which also has the keys.
    `socket_path`: connect to this Unix socket; URLs then only say the path.

    Raises:
        ConfigError: a header cannot be sent.
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
        self._headers = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": "nanobot",
            **(headers or {}),
        }
        if source.secret:
            self._headers[auth.name] = auth.prefix + source.secret
        # The user's come last: whoever sets a header means it.
        put_headers(self._headers, transport.headers)
        for name, value in self._headers.items():
            if not f"{name}{value}".isprintable():
                raise ConfigError(
                    f"{source.name}: a line break, or another control character, in header {name!r}"
                )
        self._json_headers = {**self._headers, "Content-Type": "application/json"}
        self._pool: Pool | None = None
        self._open_responses: set[ProviderResponse] = set()
        self._closed = False

    async def warm(self) -> None:
        """Load the HTTP library, which the first request would otherwise wait for. Opens no connection.

        Raises:
            RequestFailed: the connection was closed.
        """
        if self._pool is not None:
            return
        # The import and the certificates take some 100 ms, in which the loop would stand still; a process
        # that asks no provider never pays for them.
        try:
            make = await asyncio.to_thread(self._load)
        except ConfigError as error:
            raise RequestFailed(ModelUnreachable(f"{self._source.name}: {error.message}")) from None
        if self._closed:
            raise self._stopped()
        if self._pool is None:
            # Another caller may have been faster during the import.
            self._pool = make()

    async def post(self, url: str, body: bytes, deadline: float, key: str | None = None) -> ProviderResponse:
        """Send `body`, which is JSON, and return the response's head by `deadline`, a time of the loop's
        clock. `key`: the key of this request, where not all have the same.

        Raises:
            RequestFailed: `ModelUnreachable`, `ModelTimeout` or `ModelBadAnswer`.
        """
        pool = self._pool or await self._ready()
        headers = self._json_headers if key is None else self._with_key(self._json_headers, key)
        try:
            received = await pool.send("POST", url, headers, body, deadline)
        except (TransferFailed, TimeoutError) as error:
            raise self._failure(error, f"no answer began within {self._timeouts.first_chunk_s:g} s") from None
        return self._opened(received)

    async def get(self, url: str, key: str | None = None) -> ProviderResponse:
        """Request `url` and return the response's head, within `check_s`. `key`: as for `post`.

        Raises:
            RequestFailed: as `post`.
        """
        pool = self._pool or await self._ready()
        deadline = asyncio.get_running_loop().time() + self._timeouts.check_s
        headers = self._headers if key is None else self._with_key(self._headers, key)
        try:
            received = await pool.send("GET", url, headers, b"", deadline)
        except (TransferFailed, TimeoutError) as error:
            raise self._failure(error, f"no answer within {self._timeouts.check_s:g} s") from None
        return self._opened(received)

    def _with_key(self, headers: dict[str, str], key: str) -> dict[str, str]:
        return {**headers, self._auth.name: self._auth.prefix + key}

    def forget(self, response: ProviderResponse) -> bool:
        """Drop a response that has ended; return whether it was open."""
        was_open = response in self._open_responses
        self._open_responses.discard(response)
        return was_open

    async def close(self) -> None:
        """Cut all connections; running reads fail. Safe to call twice."""
        self._closed = True
        # A copy, since each response takes itself out of the set.
        for response in tuple(self._open_responses):
            response.close()
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    def broken(self, failed: TransferFailed, late: str | None) -> RequestFailed:
        """Return what a failure means in the middle of a response.

        `late`: what to say of the deadline, where it was that which cut the connection.
        """
        name = self._source.name
        if late is not None:
            return RequestFailed(ModelTimeout(f"{name}: {late}"))
        if self._closed:
            return self._stopped()
        return RequestFailed(ModelBadAnswer(f"{name} broke off its answer: {failed.reason}"), may_retry=True)

    def _opened(self, received: Received) -> ProviderResponse:
        if self._closed:
            received.close()
            raise self._stopped()
        response = ProviderResponse(self, received, asyncio.get_running_loop())
        self._open_responses.add(response)
        return response

    async def _ready(self) -> Pool:
        await self.warm()
        if self._pool is None:
            raise self._stopped()
        return self._pool

    def _stopped(self) -> RequestFailed:
        return RequestFailed(ModelUnreachable(f"{self._source.name} is closed: the server is stopping"))

    def _load(self) -> Callable[[], Pool]:
        """Return what makes the pool, on the event loop; blocks.

        Raises:
            ConfigError: the certificates to trust cannot be read.
        """
        connect_s = self._timeouts.connect_s
        tls = trusted(self.transport.ca_file)
        if self.transport.proxy is not None:
            proxied = importlib.import_module("nanobot.models.proxied").ProxiedPool
            return partial(proxied, self.transport.proxy, connect_s=connect_s, tls=tls)
        direct = importlib.import_module("nanobot.models.direct")
        if tls is None and self._source.address.startswith("https:"):
            tls = direct.trusting_system()
        return partial(direct.DirectPool, connect_s=connect_s, tls=tls, socket_path=self._socket_path)

    @property
    def _proxy(self) -> str:
        """The proxy's address, without the user and the password in it."""
        parts = urlsplit(self.transport.proxy or "")
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def _failure(self, error: TransferFailed | TimeoutError, late: str) -> RequestFailed:
        name = self._source.name
        where = self._socket_path or self._source.address
        if isinstance(error, TimeoutError):
            return RequestFailed(ModelTimeout(f"{name}: {late}"))
        stage = error.stage
        if stage == "pass the proxy":
            text = f"the proxy {self._proxy} answered {error.reason} to {where}"
            return RequestFailed(ModelUnreachable(f"{name}: {text}"))
        if stage == "reach the proxy":
            where, stage = f"the proxy {self._proxy}", "connect"
        if stage == "connect in time":
            text = f"no connection to {where} within {self._timeouts.connect_s:g} s"
            return RequestFailed(ModelUnreachable(f"{name}: {text}"), may_retry=True)
        if stage == "trust":
            text = f"the certificate of {where} is not trusted: {error.reason}"
            return RequestFailed(ModelUnreachable(f"{name}: {text}"))
        if stage == "connect":
            text = f"no connection to {where}: {error.reason}"
            return RequestFailed(ModelUnreachable(f"{name}: {text}"), may_retry=True)
        if self._closed:
            return self._stopped()
        if stage == "begin":
            text = f"{where} closed the connection before it answered"
            return RequestFailed(ModelUnreachable(f"{name}: {text}"), may_retry=True)
        failure: ModelError = ModelBadAnswer(f"{name}: {where} does not speak HTTP as it should")
        return RequestFailed(failure)
