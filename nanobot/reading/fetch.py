"""The guarded fetcher: fetches a client's URL from the public web, never from this machine or its network.

A host name is resolved once for each hop; all of its addresses must be public, and the connection goes to one
of exactly these. Each redirect is checked again. No cookies, proxies or credentials are used, and no more
bytes or seconds than the bounds allow.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import ssl
import zlib
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from nanobot.core.errors import UrlRefused, UrlUnreadable
from nanobot.reading.addresses import Address, is_public, parse_address
from nanobot.reading.hosts import EVERY_PUBLIC_HOST, HostRules, Permit
from nanobot.reading.resolving import FairLookups, Resolve, permitted_addresses, resolve_with_system

if TYPE_CHECKING:
    from types import ModuleType

    import aiohttp
    from yarl import URL

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_URL_ERRORS = (ValueError, IndexError)
"""What yarl raises for a text that is not a URL; IndexError where nothing follows an @."""
_MAX_SHOWN_CHARS = 80
_MAX_URL_CHARS = 8_192
_CHUNK_BYTES = 64 * 1024


class FetchBounds(msgspec.Struct, frozen=True):
    """The limits of a fetch: `max_bytes` of decompressed content, `total_s` for all hops together."""

    max_bytes: int = 10 * 1024 * 1024
    total_s: float = 20.0
    max_redirects: int = 5
    ports: frozenset[int] = frozenset({80, 443, 8080, 8443})


class Fetched(msgspec.Struct, frozen=True):
    """A response. `content_type`: in lower case, without parameters. `url`: that of the last redirect."""

    content: bytes
    content_type: str
    charset: str | None
    url: str


class Fetcher:
    """Fetches from the public web.

    `hosts`: which hosts may be asked, and which of them may be in a private network.

    `permit`: which addresses may be connected to. `tls`: which certificates are trusted. Neither is a
    setting: they are for tests, whose server is on this machine.
    """

    def __init__(
        self,
        bounds: FetchBounds | None = None,
        *,
        resolve: Resolve = resolve_with_system,
        permit: Permit = is_public,
        tls: ssl.SSLContext | bool = True,
        hosts: HostRules = EVERY_PUBLIC_HOST,
    ) -> None:
        self._bounds = bounds or FetchBounds()
        self._hosts = hosts
        self._lookups = FairLookups(resolve)
        self._permit = permit
        self._tls = tls
        self._module: ModuleType | None = None

    async def fetch(self, url: str, *, accept: str = "*/*", owner: str = "") -> Fetched:
        """Return what is at `url`. `owner`: for whom; names that do not answer hold up nobody else.

        Raises:
            UrlRefused: the URL, or one that it redirects to, is not http or https at a public address and an
                allowed port.
            UrlUnreadable: it could not be reached, did not answer 200, is too large, or took too long.
        """
        bounds = self._bounds
        if self._module is None:
            self._module = await asyncio.to_thread(importlib.import_module, "aiohttp")
        try:
            async with asyncio.timeout(bounds.total_s):
                return await self._follow(url, accept, owner)
        except TimeoutError:
            raise UrlUnreadable(
                f"{_shown(url)} did not answer completely within {bounds.total_s:g} s"
            ) from None

    async def _follow(self, url: str, accept: str, owner: str) -> Fetched:
        target = self._parse(url)
        for _ in range(self._bounds.max_redirects + 1):
            result = await self._hop(target, accept, owner)
            if isinstance(result, Fetched):
                return result
            target = self._parse(result)
        raise UrlUnreadable(f"{_shown(url)} redirects more than {self._bounds.max_redirects} times")

    def _parse(self, text: str) -> URL:
        """Parse the URL with the parser that aiohttp uses, so that both see the same host."""
        # Part of aiohttp, and loaded as late.
        from yarl import URL

        if len(text) > _MAX_URL_CHARS:
            raise UrlRefused(f"URL of {len(text)} characters: at most {_MAX_URL_CHARS} are allowed")
        try:
            url = URL(text).with_fragment(None)
            host, port = url.host, url.port
        except _URL_ERRORS:
            raise UrlRefused(f"{_shown(text)} is not a URL") from None
        if url.scheme not in ("http", "https") or not host:
            raise UrlRefused(f"{_shown(text)} is not a URL of http or https")
        if url.user is not None or url.password is not None:
            raise UrlRefused(f"a URL of {host!r} has a user or password in it: leave them out")
        if refusal := self._hosts.refusal(url.raw_host or ""):
            raise UrlRefused(refusal)
        if port not in self._bounds.ports and not self._hosts.opens(url.raw_host or "", port or 0):
            allowed = ", ".join(map(str, sorted(self._bounds.ports)))
            raise UrlRefused(f"{_shown(text)} has the port {port}: only {allowed} are allowed")
        return url

    async def _hop(self, url: URL, accept: str, owner: str) -> Fetched | str:
        """Return the response of `url`, or the URL that it redirects to."""
        http: Any = self._module
        permit = self._permit_for(url)
        connector = http.TCPConnector(
            resolver=_Pinned(url.raw_host or "", await self._addresses(url, permit, owner)),
            use_dns_cache=False,
            force_close=True,
            ssl=self._tls,
            socket_factory=partial(_open_socket, permit),
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
        # It is an OSError, too, but `fetch` has the words for it.
        except TimeoutError:
            raise
        except (http.ClientError, OSError, *_URL_ERRORS) as error:
            raise UrlUnreadable(
                f"{_shown(str(url))} could not be read: the connection failed, or it does not speak HTTP"
            ) from error

    def _permit_for(self, url: URL) -> Permit:
        """Return which addresses the URL's host may have."""
        return self._hosts.permit(url.raw_host or "", self._permit)

    async def _addresses(self, url: URL, permit: Permit, owner: str) -> list[Address]:
        """Return all addresses of the URL's host. They are resolved only here, so that the connection goes to
        an address that was checked.

        Raises:
            UrlRefused: one of them is not public.
            UrlUnreadable: there are none.
        """
        # In the form that aiohttp asks its resolver for: ASCII, whatever the script of the name.
        return await permitted_addresses(
            url.raw_host or "", url.port or 0, partial(self._lookups.look_up, owner), permit
        )

    async def _read(self, response: aiohttp.ClientResponse, url: URL) -> bytes:
        most = self._bounds.max_bytes
        if (response.content_length or 0) > most:
            raise UrlUnreadable(
                f"{_shown(str(url))} has {response.content_length} bytes: at most {most} are allowed"
            )
        decompressor = _decompressor(
            response.headers.get("Content-Encoding", "identity").strip().lower(), url
        )
        content = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            # One byte more than allowed is enough to see that it is too large.
            content += (
                chunk
                if decompressor is None
                else _decompressed(decompressor, chunk, most + 1 - len(content), url)
            )
            if len(content) > most:
                raise UrlUnreadable(
                    f"{_shown(str(url))} is larger than {most} bytes, the most that is allowed"
                )
        return bytes(content)


def _open_socket(permit: Permit, address_info: Any) -> socket.socket:
    """Return a socket, if the address is permitted: checked once more just before each connection."""
    family, kind, protocol, _, address = address_info
    parsed = parse_address(address[0])
    if parsed is None or not permit(parsed):
        raise OSError("not a public address")
    return socket.socket(family, kind, protocol)


class _Pinned:
    """A resolver for aiohttp that knows one host, with the addresses that were checked."""

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
        """Holds nothing."""


def _decompressor(encoding: str, url: URL) -> Any:
    """Return a decompressor for servers that compress unasked, None where the body is not compressed."""
    if encoding in ("", "identity"):
        return None
    if encoding in ("gzip", "x-gzip", "deflate"):
        # 32: by its own header, whether that is of gzip or of zlib.
        return zlib.decompressobj(zlib.MAX_WBITS | 32)
    raise UrlUnreadable(f"{_shown(str(url))} came compressed as {encoding[:20]!r}, which was not asked for")


def _decompressed(decompressor: Any, chunk: bytes, most: int, url: URL) -> bytes:
    """Return at most `most` bytes of what `chunk` decompresses to, which may be a thousand times its size."""
    try:
        content: bytes = decompressor.decompress(chunk, max(most, 1))
    except zlib.error as error:
        raise UrlUnreadable(f"{_shown(str(url))} is compressed, and broken") from error
    return content


def _shown(url: str) -> str:
    """Return the URL for an error message: shortened, and without the query, which may hold keys."""
    plain = url.partition("?")[0].partition("#")[0]
    name = plain if "@" not in plain else "the URL"
    return repr(name if len(name) <= _MAX_SHOWN_CHARS else name[:_MAX_SHOWN_CHARS] + "…")
