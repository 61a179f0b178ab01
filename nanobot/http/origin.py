"""Host and Origin: under which names the server answers, and for which web pages."""

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from nanobot.core.errors import ForbiddenOrigin
from nanobot.http.cors import Cors

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class OriginCheck:
    """Refuses requests to names that are not the server's, and those that a page of another site makes a
    browser send. `hosts`: the server's names; empty: any. `cors`: the pages of other sites that may use it.

    A page is of this server where its origin is the address that was called (under whichever name of this
    machine), or its host is one of `hosts` that is no name of this machine: under those, any program of the
    machine could serve pages, on a port of its own.
    """

    def __init__(self, hosts: frozenset[str], cors: Cors | None) -> None:
        self._hosts = hosts
        self._cors = cors

    def check(self, headers: Mapping[bytes, bytes], *, is_keyless: bool) -> bool:
        """Return whether a page of another site sent the request, one that may use the server.

        `is_keyless`: the server asks for no API key.

        Raises:
            ForbiddenOrigin
        """
        hosts = self._hosts
        host, origin = headers.get(b"host", b""), headers.get(b"origin", b"")
        # A page whose own name leads to this server (DNS rebinding) sends that name as the host.
        if hosts and _host_name("//" + host.decode("latin-1")) not in hosts:
            raise ForbiddenOrigin(
                f"host {host.decode('latin-1')!r} is not this server: call it as localhost, or list the name "
                "in api.allowed_hosts"
            )
        if origin and self._cors is not None and self._cors.lets(origin, is_keyless=is_keyless):
            return True
        if hosts and origin and not self._is_own(origin, host):
            raise ForbiddenOrigin(
                f"a page of {origin.decode('latin-1')!r} may not use this server: list it in "
                "api.cors_origins, or its host in api.allowed_hosts, to let it"
            )
        if hosts and not origin and _is_part_of_another_page(headers):
            raise ForbiddenOrigin("a page of another site may not use this server: it sent no origin")
        return False

    def _is_own(self, origin: bytes, host: bytes) -> bool:
        _, _, address = origin.partition(b"://")
        if address.lower() == host.lower():
            return True
        name = _host_name(origin.decode("latin-1"))
        if name in LOOPBACK:
            called = _host_name("//" + host.decode("latin-1"))
            return called in LOOPBACK and _port(address) == _port(host)
        return name in self._hosts


def _is_part_of_another_page(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a page of another site has the browser fetch something: a picture, a script, a frame.

    Such a request has no origin. The page does not see what comes, but how long that takes, which tells what
    a search has found. Whoever follows a link to this server opens a page of its own.
    """
    site = headers.get(b"sec-fetch-site", b"none")
    if site in (b"none", b"same-origin"):
        return False
    return (headers.get(b"sec-fetch-mode"), headers.get(b"sec-fetch-dest")) != (b"navigate", b"document")


def _port(address: bytes) -> bytes:
    """Return the port at the end of an address; nothing where it has none."""
    _, colon, port = address.rpartition(b":")
    return port if colon and port.isdigit() else b""


@lru_cache(16)
def _host_name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
