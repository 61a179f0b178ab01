"""The network of a client, for which its requests are counted where it has no API key."""

import socket
from functools import lru_cache
from typing import Final

_NETWORK_BYTES: Final = 8
_MAPPED: Final = bytes(10) + b"\xff\xff"


@lru_cache(maxsize=1024)
def network_of(address: str) -> str:
    """Return what one client cannot choose of its address: of one of IPv6 the network, of which a household
    has at least one with all its addresses; others as they are.
    """
    if ":" not in address:
        return address
    try:
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except OSError:
        return address
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[len(_MAPPED) :])
    return socket.inet_ntop(socket.AF_INET6, packed[:_NETWORK_BYTES] + bytes(_NETWORK_BYTES)) + "/64"
