"""The network of a command under attack: a proxy as the server has it, with traps behind it."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

import msgspec

from nanobot.core.clock import SystemClock
from nanobot.reading.hosts import HostRules
from nanobot.tools.network.networks import CommandNetworks
from nanobot.tools.network.rules import NetworkBounds, NetworkRules, parse_allowed
from tests.escape.arena import CANARY

OPEN = "open.test"
"""A host that may be reached. It tells the canary to who asks it in another host's name, or for /secret."""
TRAPS = {
    "to-loopback.trap.test": "127.0.0.1",
    "to-any.trap.test": "0.0.0.0",
    "to-six.trap.test": "::1",
    "mapped.trap.test": "::ffff:127.0.0.1",
    "compatible.trap.test": "::7f00:1",
    "translated.trap.test": "64:ff9b::7f00:1",
    "six-to-four.trap.test": "2002:7f00:1::",
    "metadata.trap.test": "169.254.169.254",
}
"""Names below a domain that is allowed, whose owner lets them lead into this machine."""


class Site(msgspec.Struct, frozen=True):
    """`port` is that of OPEN; the ports of the traps have to be allowed, too."""

    port: int


def answer_to(head: bytes) -> bytes:
    """Return what OPEN says to the requests that it was sent at once."""
    requests = [each for each in head.split(b"\r\n\r\n") if b"HTTP/1.1" in each]
    told = b""
    for request in requests:
        lines = request.split(b"\r\n")
        hosts = [line for line in lines if line.lower().startswith(b"host:")]
        is_secret = b"/secret" in lines[0] or any(OPEN.encode() not in host for host in hosts)
        body = CANARY.encode() if is_secret else b"ok"
        told += b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    return told or b"HTTP/1.1 400 Bad\r\n\r\n"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer), contextlib.suppress(OSError, TimeoutError):
        heard = b""
        # All that comes within a moment is one try to say more than one request.
        while True:
            try:
                async with asyncio.timeout(0.3):
                    data = await reader.read(65_536)
            except TimeoutError:
                break
            if not data:
                break
            heard += data
        writer.write(answer_to(heard))
        await writer.drain()


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """Yield the host that may be reached."""
    with _loop() as loop:
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(_serve, "127.0.0.1", 0), loop).result()
        try:
            yield Site(server.sockets[0].getsockname()[1])
        finally:
            loop.call_soon_threadsafe(server.close)


@contextlib.contextmanager
def proxy(handed: socket.socket, port: int, ports: Sequence[int]) -> Iterator[None]:
    """Serve the socket that will come from `handed` as the server does: OPEN at `port`, and the traps at it
    and at `ports`, are allowed.
    """

    async def resolve(name: str, port: int) -> Sequence[str]:
        if name == OPEN:
            return ("127.0.0.1",)
        if name in TRAPS:
            return (TRAPS[name],)
        raise OSError("no such name")

    async def serve() -> None:
        with handed:
            handed.setblocking(True)
            received = await asyncio.to_thread(socket.recv_fds, handed, 1, 1)
        if not received[1]:
            return
        names = [f"{OPEN}:{port}", *(f"*.trap.test:{each}" for each in (port, *ports))]
        rules = NetworkRules(
            tuple(host for name in names if (host := parse_allowed(name))), HostRules(private=(OPEN,))
        )
        networks = CommandNetworks(
            rules, NetworkBounds(), lambda key, connection: None, SystemClock(), resolve=resolve
        )
        with socket.socket(fileno=received[1][0]) as listener:
            async with networks.of("k")(listener):
                await asyncio.Event().wait()

    with _loop() as loop:
        serving = asyncio.run_coroutine_threadsafe(serve(), loop)
        try:
            yield
        finally:
            serving.cancel()


@contextlib.contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Yield an event loop that runs in a thread; what runs in it ends with it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:

        async def end() -> None:
            tasks = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
