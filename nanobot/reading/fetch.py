"""The guarded fetcher: what a URL of a stranger says, if it leads to the public web; never to this machine or
its network.

A name is resolved once for each hop; every address that it has must be public, and the connection goes to
exactly these. Each redirect is checked anew. There is no cookie, no proxy, no credential, and no more bytes
or seconds than the bounds allow.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from nanobot.core.errors import UrlRefused, UrlUnreadable
from nanobot.reading.addresses import Address, is_public, parse_address

if TYPE_CHECKING:
    from types import ModuleType

    import aiohttp
    from yarl import URL

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a name, for a port. Raises OSError where it has none."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NO_URL = (ValueError, IndexError)
"""What yarl raises of a text that is no URL; the second where nothing stands behind an @."""
_SHOWN = 80
_LONGEST_URL = 8_192
_PIECE_BYTES = 64 * 1024


class FetchBounds(msgspec.Struct, frozen=True):
    """How far a fetch goes.

    `max_bytes` of the content, unpacked; `total_s` for everything, redirects included.
    """

    max_bytes: int = 10 * 1024 * 1024
    total_s: float = 20.0
    max_redirects: int = 5
    ports: frozenset[int] = frozenset({80, 443, 8080, 8443})


class Fetched(msgspec.Struct, frozen=True):
    """What came.

    `content_type` as the server said it, in lower case and without parameters; `url` is the last one of the
    redirects.
    """

    content: bytes
    content_type: str
    charset: str | None
    url: str


async def resolve_with_system(host: str, port: int) -> Sequence[str]:
    """Return the addresses that this machine's resolver knows."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Fetcher:
    """Fetches from the public web.

    `permit` says which addresses may be connected to, `tls` whose certificates are trusted. Neither is a
    setting: only a test, whose server is on this machine, gives its own.
    """

    def __init__(
        self,
        bounds: FetchBounds | None = None,
        *,
        resolve: Resolve = resolve_with_system,
        permit: Callable[[Address], bool] = is_public,
        tls: ssl.SSLContext | bool = True,
    ) -> None:
        self._bounds = bounds or FetchBounds()
        self._resolve = resolve
        self._permit = permit
        self._tls = tls
        self._module: ModuleType | None = None

    async def fetch(self, url: str, *, accept: str = "*/*") -> Fetched:
        """Return what is at `url`.

        Raises:
            UrlRefused: the URL, or one that it redirects to, is not one of http or https at a public address
                and a usual port.
            UrlUnreadable: it could not be reached, did not answer 200, is too large, or took too long.
        """
        bounds = self._bounds
        if self._module is None:
            self._module = await asyncio.to_thread(importlib.import_module, "aiohttp")
        try:
            async with asyncio.timeout(bounds.total_s):
                return await self._follow(url, accept)
        except TimeoutError:
            raise UrlUnreadable(f"{_shown(url)} did not answer whole within {bounds.total_s:g} s") from None

    async def _follow(self, url: str, accept: str) -> Fetched:
        target = self._parse(url)
        for _ in range(self._bounds.max_redirects + 1):
            found = await self._hop(target, accept)
            if isinstance(found, Fetched):
                return found
            target = self._parse(found)
        raise UrlUnreadable(f"{_shown(url)} redirects more than {self._bounds.max_redirects} times")

    def _parse(self, text: str) -> URL:
        """Return the URL, by the same parser that the connection is made with."""
        # comes with aiohttp, and waits as it does
        from yarl import URL

        if len(text) > _LONGEST_URL:
            raise UrlRefused(f"URL of {len(text)} characters: at most {_LONGEST_URL} are allowed")
        try:
            url = URL(text).with_fragment(None)
            host, port = url.host, url.port
        except _NO_URL:
            raise UrlRefused(f"{_shown(text)} is not a URL") from None
        if url.scheme not in ("http", "https") or not host:
            raise UrlRefused(f"{_shown(text)} is not a URL of http or https")
        if url.user is not None or url.password is not None:
            raise UrlRefused(f"a URL of {host!r} has a user or password in it: leave them out")
        if port not in self._bounds.ports:
            allowed = ", ".join(map(str, sorted(self._bounds.ports)))
            raise UrlRefused(f"{_shown(text)} has the port {port}: only {allowed} are allowed")
        return url

    async def _hop(self, url: URL, accept: str) -> Fetched | str:
        """Return what `url` has, or where it redirects to."""
        http: Any = self._module
        connector = http.TCPConnector(
            resolver=_Pinned(url.raw_host or "", await self._addresses(url)),
            use_dns_cache=False,
            force_close=True,
            ssl=self._tls,
            socket_factory=self._open_socket,
        )
        session = http.ClientSession(
            connector=connector,
            cookie_jar=http.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=http.ClientTimeout(total=None),
            headers={"User-Agent": "nanobot", "Accept": accept, "Accept-Encoding": "identity"},
        )
        try:
            async with session, session.get(url, allow_redirects=False) as response:
                if response.status in _REDIRECTS and "Location" in response.headers:
                    return str(url.join(type(url)(response.headers["Location"])))
                if response.status != HTTPStatus.OK:
                    raise UrlUnreadable(f"{_shown(str(url))} answered {response.status}, not 200")
                content = await self._read(response, url)
                return Fetched(content, response.content_type.lower(), response.charset, str(url))
        except http.ClientConnectorCertificateError as error:
            raise UrlUnreadable(
                f"the certificate of {url.host} is not valid for it, or not trusted"
            ) from error
        except TimeoutError:
            raise
        except (http.ClientError, OSError, *_NO_URL) as error:
            raise UrlUnreadable(
                f"{_shown(str(url))} could not be read: the connection failed, or it does not speak HTTP"
            ) from error

    async def _addresses(self, url: URL) -> list[Address]:
        """Return all addresses of the URL's host, each public; asked for once, so that what was checked is
        what is connected to.
        """
        # as aiohttp asks for it: names of other scripts are in ASCII by now
        host, port = url.raw_host or "", url.port or 0
        literal = parse_address(host)
        if literal is not None:
            addresses = [literal]
        else:
            try:
                told = await self._resolve(host, port)
            except (OSError, UnicodeError) as error:
                raise UrlUnreadable(f"there is no host {host!r}") from error
            addresses = [address for text in told if (address := parse_address(text)) is not None]
        if not addresses or not all(self._permit(address) for address in addresses):
            raise UrlRefused(f"{host!r} is not on the public internet: the server does not go there")
        return addresses

    def _open_socket(self, found: Any) -> socket.socket:
        """Return a socket for an address that is about to be connected to: the last fence, whatever way led
        here.
        """
        family, kind, protocol, _, address = found
        parsed = parse_address(address[0])
        if parsed is None or not self._permit(parsed):
            raise OSError("not a public address")
        return socket.socket(family, kind, protocol)

    async def _read(self, response: aiohttp.ClientResponse, url: URL) -> bytes:
        most = self._bounds.max_bytes
        if (response.content_length or 0) > most:
            raise UrlUnreadable(
                f"{_shown(str(url))} has {response.content_length} bytes: at most {most} are allowed"
            )
        unpack = _unpacking(response.headers.get("Content-Encoding", "identity").strip().lower(), url)
        content = bytearray()
        async for piece in response.content.iter_chunked(_PIECE_BYTES):
            content += piece if unpack is None else _unpacked(unpack, piece, most + 1 - len(content), url)
            if len(content) > most:
                raise UrlUnreadable(
                    f"{_shown(str(url))} is larger than {most} bytes, the most that is allowed"
                )
        return bytes(content)


class _Pinned:
    """A resolver, as aiohttp takes one, that knows one host and the addresses that were checked."""

    def __init__(self, host: str, addresses: Sequence[Address]) -> None:
        self._host = host
        self._addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[dict[str, object]]:
        if host != self._host:
            raise OSError(f"asked for {host!r}, checked {self._host!r}")
        return [
            {
                "hostname": host,
                "host": str(address),
                "port": port,
                "family": socket.AF_INET if address.version == 4 else socket.AF_INET6,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing to let go of."""


def _unpacking(encoding: str, url: URL) -> Any:
    """Return what unpacks a body that came packed though nobody asked for it; None where it did not."""
    if encoding in ("", "identity"):
        return None
    if encoding in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(zlib.MAX_WBITS | 32)
    raise UrlUnreadable(f"{_shown(str(url))} came packed as {encoding[:20]!r}, which was not asked for")


def _unpacked(unpack: Any, piece: bytes, most: int, url: URL) -> bytes:
    """Return at most `most` bytes of what `piece` unpacks to: a small piece may hold a thousand times its
    size.
    """
    try:
        unpacked: bytes = unpack.decompress(piece, max(most, 1))
    except zlib.error as error:
        raise UrlUnreadable(f"{_shown(str(url))} is packed in a way that is broken") from error
    return unpacked


def _shown(url: str) -> str:
    """Return the URL as errors show it: without the query, where keys stand, and not too long."""
    plain = url.partition("?")[0].partition("#")[0]
    name = plain if "@" not in plain else "the URL"
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")
