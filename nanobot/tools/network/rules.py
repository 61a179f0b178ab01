"""Which hosts commands may reach, and how much of them."""

import re

import msgspec

from nanobot.reading.addresses import is_public
from nanobot.reading.hosts import HostRules, Permit

PORTS = frozenset({80, 443})
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*", re.ASCII)
_ENTRY = re.compile(r"(?P<host>(?:\*\.)?[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_AUTHORITY = re.compile(rb"([A-Za-z0-9_.-]{1,254}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")


class NetworkBounds(msgspec.Struct, frozen=True):
    """What a command may use: `max_bytes` in both directions together, and so many connections in all, and so
    many that are refused.
    `max_parallel`: connections at once of all commands, of one session a quarter of it.
    """

    max_bytes: int = 1 << 30
    connections: int = 1_000
    max_parallel: int = 64


class AllowedHost(msgspec.Struct, frozen=True):
    """A host by its name, or with `is_below` all hosts below a domain; `port` None: those of the web."""

    name: str
    is_below: bool = False
    port: int | None = None

    def allows(self, host: str, port: int) -> bool:
        """Return whether this allows that port of `host`."""
        if port != self.port if self.port is not None else port not in PORTS:
            return False
        return host.endswith(f".{self.name}") if self.is_below else host == self.name


def parse_allowed(entry: str) -> AllowedHost | None:
    """Return what an entry of a list of hosts allows: `example.org`, `*.example.org`, either with a port;
    None where it is no such entry.
    """
    match = _ENTRY.fullmatch(entry)
    if match is None:
        return None
    name = match["host"].lower().strip("[]").rstrip(".")
    port = int(match["port"]) if match["port"] else None
    is_below = name.startswith("*.")
    name = name.removeprefix("*.")
    if port is not None and not 0 < port < 65536:
        return None
    if ":" not in name and not _NAME.fullmatch(name):
        return None
    return AllowedHost(name, is_below, port)


def parse_authority(text: bytes, default_port: int | None) -> tuple[str, int] | None:
    """Return the host, in lower case and without brackets, and the port of `HOST:PORT`; None where it is
    none.
    """
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    host = match[1].decode("ascii").lower().strip("[]").rstrip(".")
    port = int(match[2]) if match[2] else default_port
    if port is None or not 0 < port < 65536 or not host:
        return None
    return host, port


class NetworkRules(msgspec.Struct, frozen=True):
    """`allowed`: the only hosts that are reached. Of `web`, which hosts are blocked all the same, and which
    may have addresses in a private network.
    """

    allowed: tuple[AllowedHost, ...] = ()
    web: HostRules = HostRules()

    def refusal(self, host: str, port: int) -> str | None:
        """Return why that port of `host` may not be reached, None where it may."""
        if not any(each.allows(host, port) for each in self.allowed):
            return f"{host}:{port} is not among what commands may reach (shell.allowed_hosts)"
        if self.web.refusal(host):
            return f"{host} is among the hosts that this server does not reach (web.blocked_hosts)"
        return None

    def permit(self, host: str, otherwise: Permit = is_public) -> Permit:
        """Return which addresses `host` may have; `otherwise`: those of a host that is not private."""
        return self.web.permit(host, otherwise)

    def names(self) -> tuple[str, ...]:
        """Return the allowed hosts as they are written."""
        return tuple(
            f"{'*.' if each.is_below else ''}{each.name}{'' if each.port is None else f':{each.port}'}"
            for each in self.allowed
        )
