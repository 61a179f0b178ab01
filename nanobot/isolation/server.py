"""The app on a real port of this machine, with the connection class of `nanobot serve`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import uvicorn
from starlette.types import ASGIApp

from nanobot.http.connections import BoundedConnection

_LOOPBACK = "127.0.0.1"
_KEEP_ALIVE_S = 75
"""As `nanobot serve`, and longer than the audit's client keeps an idle connection: where the server ends one
first, a request that is just being sent on it gets no answer, which looks like something that it found out.
"""


@contextlib.asynccontextmanager
async def serve_on_free_port(app: ASGIApp) -> AsyncIterator[str]:
    """Serve `app` on a free port, and yield the URL of its root."""
    config = uvicorn.Config(
        app,
        host=_LOOPBACK,
        port=0,
        http=BoundedConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )
    # `Server.serve` would do this, but it also takes over the signals of the process.
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    main_loop = asyncio.create_task(server.main_loop())
    try:
        yield f"http://{_LOOPBACK}:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await main_loop
        await server.shutdown()
