"""Which addresses are asked on behalf of an MCP server: its own, and what it names for a login, by https."""

import ipaddress

import httpx2

_LOOPBACK_NAMES = ("localhost", "localhost.localdomain")


class ForbiddenAddress(Exception):
    """A server leads to an address that is not asked."""


def check(own: httpx2.URL, wanted: httpx2.URL) -> None:
    """Return where an address may be asked for the server at `own`: on its own host and port; another one by
    https only, and where that is written as a number, only a public one. Where the server is on this machine,
    others on it count, too.

    Raises:
        ForbiddenAddress
    """
    if (own.scheme, own.host, own.port) == (wanted.scheme, wanted.host, wanted.port):
        return
    if _is_loopback(own.host) and _is_loopback(wanted.host):
        return
    if wanted.scheme != "https" or wanted.userinfo or not _is_public(wanted.host):
        raise ForbiddenAddress(
            f"the server leads to {wanted.scheme}://{wanted.host}, which is neither its own address nor a"
            " public one of https: it is not asked"
        )


def _is_loopback(host: str) -> bool:
    if host in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_public(host: str) -> bool:
    if host in _LOOPBACK_NAMES or host.endswith((".localhost", ".internal", ".local")):
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # A name: what it stands for has to prove its name by a certificate.
        return "." in host and not host.replace(".", "").isdigit()
    return address.is_global
