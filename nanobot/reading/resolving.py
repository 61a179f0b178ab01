"""The addresses of a host, resolved once and checked: connections then go to one of exactly these."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from nanobot.core.errors import UrlRefused, UrlUnreadable
from nanobot.reading.addresses import Address, parse_address
from nanobot.reading.hosts import Permit
from nanobot.workers.slots import FairSlots

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host name, for a port. Raises OSError where it has none."""


def system_resolver(threads: int) -> Resolve:
    """Return what asks this machine's resolver, in so many threads of its own: one that does not answer would
    hold up all others.
    """
    resolvers = ThreadPoolExecutor(threads, thread_name_prefix="resolve")

    async def resolve(host: str, port: int) -> Sequence[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            resolvers, partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    return resolve


MOST_LOOKUPS, _MOST_EACH = 8, 2
resolve_with_system = system_resolver(MOST_LOOKUPS)
"""For what the server itself fetches."""


class FairLookups:
    """Looks names up, so many at once, and of one owner at most `most_each`.

    A resolver that does not answer keeps its place, also when nobody waits for it any more.
    """

    def __init__(self, resolve: Resolve, *, most: int = MOST_LOOKUPS, most_each: int = _MOST_EACH) -> None:
        self._resolve = resolve
        self._slots = FairSlots(most, most_each=most_each)

    async def look_up(self, owner: str, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host name. Raises OSError where it has none."""
        await self._slots.take(owner)

        async def look_up() -> Sequence[str]:
            try:
                return await self._resolve(host, port)
            finally:
                self._slots.give_back(owner)

        looking = asyncio.ensure_future(look_up())
        looking.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(looking)


async def permitted_addresses(host: str, port: int, resolve: Resolve, permit: Permit) -> list[Address]:
    """Return all addresses of a host, which may be an address itself.

    Raises:
        UrlRefused: one of them is not permitted.
        UrlUnreadable: there are none.
    """
    literal = parse_address(host)
    if literal is not None:
        addresses = [literal]
    else:
        try:
            texts = await resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise UrlUnreadable(f"there is no host {host!r}") from error
        addresses = [address for text in texts if (address := parse_address(text)) is not None]
    if not addresses or not all(permit(address) for address in addresses):
        raise UrlRefused(f"{host!r} is not on the public internet: the server does not go there")
    return addresses
