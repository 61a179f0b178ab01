"""Which hosts of the web may be asked: those that an operator allows."""

import ipaddress
from collections.abc import Callable

import msgspec

from nanobot.reading.addresses import Address, is_public

Permit = Callable[[Address], bool]
"""Returns whether an address may be connected to."""


class HostRules(msgspec.Struct, frozen=True):
    """Which hosts may be asked.

    An entry is a domain, which stands for itself and all below it, or an address. `allowed`: no others are
    asked; empty: every host. `blocked` takes precedence. `private`: may have addresses in a private network
    or on this machine; with a port (`wiki.lan:3000`), that port is allowed, too. An entry of `private` need
    not be repeated in `allowed`.
    """

    allowed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    private: tuple[str, ...] = ()

    def refusal(self, host: str) -> str | None:
        """Return why `host` may not be asked, None where it may."""
        if any(_matches(host, entry) for entry in self.blocked):
            return f"{host!r} is among the hosts that this server does not read (web.blocked_hosts)"
        if not self.allowed or self._is_private(host):
            return None
        if any(_matches(host, entry) for entry in self.allowed):
            return None
        return f"{host!r} is not among the hosts that this server reads (web.allowed_hosts)"

    def opens(self, host: str, port: int) -> bool:
        """Return whether a port of `host` is allowed by name, beside those that all hosts have."""
        return any(
            number == port and _matches(host, name)
            for name, number in map(_split, self.private)
            if number is not None
        )

    def permit(self, host: str, otherwise: Permit) -> Permit:
        """Return which addresses `host` may have; `otherwise`: those of a host that is not private."""
        return _is_reachable if self._is_private(host) else otherwise

    def _is_private(self, host: str) -> bool:
        return any(_matches(host, name) for name, _ in map(_split, self.private))


EVERY_PUBLIC_HOST = HostRules()


def _is_reachable(address: Address) -> bool:
    """Return whether a private host may have the address: a public one, or one of a private network; not
    where a machine in the cloud is told its secrets, and none that embeds another one.
    """
    if is_public(address):
        return True
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        return False
    return str(address) not in _METADATA and any(
        address.version == network.version and address in network for network in _PRIVATE
    )


_PRIVATE = tuple(
    map(
        ipaddress.ip_network,
        (
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "::1/128",
            "fc00::/7",
        ),
    )
)
_METADATA = frozenset({"fd00:ec2::254", "fd20:ce::254", "100.100.100.200"})
"""Those of them that tell a machine in the cloud its secrets."""


def _split(entry: str) -> tuple[str, int | None]:
    """Return the name of an entry and its port."""
    name, colon, port = entry.rpartition(":")
    if colon and port.isdecimal() and (":" not in name or name.endswith("]")):
        return name.strip("[]"), int(port)
    return entry.strip("[]"), None


def _matches(host: str, entry: str) -> bool:
    host = host.lower().rstrip(".")
    domain = entry.lower().removeprefix("*").removeprefix(".").strip("[]").rstrip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))
