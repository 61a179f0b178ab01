"""Which proxy the environment names for an address: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def find_proxy(url: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the proxy for requests to `url`, and the variable that names it; None where none does.

    Names in lower case come first, as curl has it. Addresses of this machine are reached directly, and so are
    those that `NO_PROXY` lists.
    """
    parts = urlsplit(url)
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            value = environment.get(variable, "").strip()
            if not value:
                continue
            excepted = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
            port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
            if _is_direct(parts.hostname or "", port, excepted):
                return None
            return value if "://" in value else f"http://{value}", variable
    return None


def _is_direct(host: str, port: int, excepted: str) -> bool:
    if host == "localhost" or _is_loopback(host):
        return True
    return any(_matches(host, port, entry.strip().lower()) for entry in excepted.split(",") if entry.strip())


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _matches(host: str, port: int, entry: str) -> bool:
    """Return whether an entry of `NO_PROXY` means the host: `*`, a domain and what is below it, an address, a
    network; the last two and domains may have a port.
    """
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass
    name, colon, number = entry.rpartition(":")
    if colon and number.isdecimal():
        if int(number) != port:
            return False
        entry = name
    domain = entry.removeprefix("*").removeprefix(".").strip("[]")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))
