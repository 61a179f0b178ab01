"""The networks of commands: each has a proxy of its own, which ends with it."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from functools import partial
from http import HTTPStatus

from nanobot.core.audit_log import AuditedConnection
from nanobot.core.clock import Clock
from nanobot.reading.addresses import Address, is_public
from nanobot.reading.hosts import Permit
from nanobot.reading.resolving import (
    MOST_LOOKUPS,
    FairLookups,
    Resolve,
    permitted_addresses,
    system_resolver,
)
from nanobot.tools.network.exchange import ProxyExchange, ProxyRefused
from nanobot.tools.network.rules import NetworkBounds, NetworkRules
from nanobot.workers.slots import FairSlots

Note = Callable[[str, AuditedConnection], None]
"""Told of each connection that a command of a session has made, or was refused."""
_MOST_REFUSALS = 100
"""Of one command, that are noted; of each host and port one."""
_PAUSE_S = 0.5
_log = logging.getLogger(__name__)


class CommandNetworks:
    """Serves commands what is their network.

    `permit`: which addresses a host that is not private may have; no setting, but for tests, whose hosts are
    on this machine.
    """

    def __init__(
        self,
        rules: NetworkRules,
        bounds: NetworkBounds,
        note: Note,
        clock: Clock,
        *,
        resolve: Resolve | None = None,
        permit: Permit = is_public,
    ) -> None:
        self.rules = rules
        self.bounds = bounds
        self._note = note
        self._clock = clock
        # Not the server's own: names may be made up forever below a domain that is allowed.
        self._lookups = FairLookups(resolve or system_resolver(MOST_LOOKUPS))
        self._permit = permit
        # One session leaves room for others.
        self._slots = FairSlots(bounds.max_parallel, most_each=max(1, bounds.max_parallel // 4))

    def of(self, session_key: str) -> Callable[[socket.socket], contextlib.AbstractAsyncContextManager[None]]:
        """Return the network of one command of the session."""

        @contextlib.asynccontextmanager
        async def serve(listener: socket.socket) -> AsyncIterator[None]:
            network = _CommandNetwork(self, session_key)
            accepting = asyncio.create_task(network.accept(listener))
            try:
                yield
            finally:
                accepting.cancel()
                await asyncio.wait([accepting])
                await network.close()

        return serve

    async def addresses(self, session_key: str, host: str, port: int) -> list[Address]:
        """Return where `host` is connected to: resolved once, and each address checked.

        Raises:
            ProxyRefused, UrlRefused, UrlUnreadable
        """
        if (why := self.rules.refusal(host, port)) is not None:
            raise ProxyRefused(HTTPStatus.FORBIDDEN, why)
        resolve = partial(self._lookups.look_up, session_key)
        return await permitted_addresses(host, port, resolve, self.rules.permit(host, self._permit))

    def slot(self, session_key: str) -> contextlib.AbstractAsyncContextManager[None]:
        """Hold one of the connections that there may be at once."""
        return self._slots.slot(session_key)

    def note(self, session_key: str, connection: AuditedConnection) -> None:
        self._note(session_key, connection)

    async def pause(self) -> None:
        """Wait a little, where the system has no more descriptors for now."""
        await self._clock.sleep(_PAUSE_S)


class _CommandNetwork:
    """What one command has connected."""

    def __init__(self, networks: CommandNetworks, session_key: str) -> None:
        self._networks = networks
        self._session_key = session_key
        self._bytes = self._connections = self._refused = 0
        self._refusals: set[tuple[str, int]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, listener: socket.socket) -> None:
        """Take what the command connects; what has no slot yet waits in the kernel's queue for this one.

        One that is refused as often as it may connect is not listened to any more: saying no costs, too.
        """
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        while self._refused < self._networks.bounds.connections:
            try:
                accepted, _ = await loop.sock_accept(listener)
            except OSError as error:
                _log.warning("a command's connection cannot be taken: %s", error.strerror or error)
                await self._networks.pause()
                continue
            has_slot = asyncio.Event()
            task = asyncio.create_task(self._served(accepted, has_slot))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await has_slot.wait()
        listener.close()

    async def _served(self, accepted: socket.socket, has_slot: asyncio.Event) -> None:
        async with self._networks.slot(self._session_key):
            has_slot.set()
            reader, writer = await asyncio.open_connection(sock=accepted)
            exchange = ProxyExchange(reader, writer, self._spend)
            try:
                await exchange.run(self._addresses)
            finally:
                writer.transport.abort()
                self._noted(exchange)

    async def _addresses(self, host: str, port: int) -> list[Address]:
        bounds = self._networks.bounds
        if self._connections >= bounds.connections:
            raise ProxyRefused(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"this command has had {bounds.connections} connections (shell.connections)",
            )
        self._spend(0)
        addresses = await self._networks.addresses(self._session_key, host, port)
        self._connections += 1
        return addresses

    def _spend(self, size: int) -> None:
        self._bytes += size
        most = self._networks.bounds.max_bytes
        if self._bytes > most:
            raise ProxyRefused(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"this command has moved {most >> 20} MiB (shell.network_mb)",
            )

    def _noted(self, exchange: ProxyExchange) -> None:
        if exchange.address is None:
            self._refused += 1
            place = exchange.host, exchange.port
            if place in self._refusals or len(self._refusals) >= _MOST_REFUSALS:
                return
            self._refusals.add(place)
        self._networks.note(
            self._session_key,
            AuditedConnection(
                exchange.host,
                exchange.port,
                exchange.address,
                exchange.sent,
                exchange.received,
                exchange.refused,
            ),
        )

    async def close(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
