"""The suite runs on both ways to a provider: directly, and through a proxy."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from nanobot.models.direct import DirectPool
from nanobot.models.proxied import ProxiedPool
from nanobot.models.transfer import Pool, Received
from tests.asgi import BOUND_S
from tests.upstream import Upstream


class Way:
    """A way to an upstream; `url` is the upstream's, as this way asks for it."""

    def __init__(self, upstream: Upstream, pool: Pool, url: str) -> None:
        self.upstream = upstream
        self.pool = pool
        self.url = url

    async def ask(
        self, body: bytes = b"{}", *, url: str | None = None, within_s: float = BOUND_S
    ) -> Received:
        deadline = asyncio.get_running_loop().time() + within_s
        headers = {"User-Agent": "test", "Content-Type": "application/json"}
        return await self.pool.send("POST", url or f"{self.url}/chat/completions", headers, body, deadline)


async def whole(answer: Received) -> bytes:
    """Return the whole body, and give the connection back."""
    body = b""
    while piece := await answer.read():
        body += piece
    answer.close()
    return body


@pytest.fixture(params=["direct", "proxied"])
async def way(request: pytest.FixtureRequest) -> AsyncIterator[Way]:
    async with contextlib.AsyncExitStack() as stack:
        # A proxy is sent the whole URL of a request; the upstream answers whatever it is asked for.
        upstream = await stack.enter_async_context(Upstream())
        pool: Pool
        if request.param == "direct":
            pool, url = DirectPool(connect_s=5.0), upstream.url
        else:
            proxy = upstream.url.removesuffix("/v1")
            pool, url = ProxiedPool(proxy, connect_s=5.0), "http://provider.example/v1"
        stack.push_async_callback(pool.close)
        yield Way(upstream, pool, url)
