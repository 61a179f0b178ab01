"""The whole app in process on a data directory of its own, and on a real port where sockets matter."""

import asyncio
import contextlib
import functools
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import uvicorn
from starlette.types import ASGIApp

from nanobot.app import App
from nanobot.config import Config
from nanobot.core.clock import Clock
from nanobot.core.model import Model
from nanobot.core.tool import Tool
from nanobot.http.connections import BoundedConnection
from nanobot.reading.fetch import Fetcher
from nanobot.stores.sqlite.opening import DATABASE, make_directory, open_writer
from tests.asgi import BOUND_S, Door


class Harness:
    """The app, open on a data directory; `door` sends it requests."""

    def __init__(self, app: App, data: Path, stack: contextlib.AsyncExitStack) -> None:
        self.app = app
        self.data = data
        self.door = Door(app.asgi)
        self._stack = stack

    async def close(self) -> None:
        """Stop as SIGTERM does; requests under way end with it."""
        await self._stack.aclose()
        await self.door.close()


class OpenHarness(Protocol):
    async def __call__(
        self,
        model: Model | None = None,
        *,
        data: Path | None = None,
        clock: Clock | None = None,
        presets: Mapping[str, Model] | None = None,
        seed: int | None = None,
        fetcher: Fetcher | None = None,
        tools: Sequence[Tool] = (),
        **tables: dict[str, Any] | list[dict[str, Any]],
    ) -> Harness:
        """Open the app on `data` (a new directory) with `model` (one that says ok) and the settings in
        `tables`.
        """
        ...


def configured(data: Path, tables: Mapping[str, Mapping[str, Any] | list[dict[str, Any]]]) -> Config:
    """Return settings for tests: a stop waits for no turn, a commit not for the disk, and models are told of
    no skills.
    """
    given: dict[str, Any] = {
        "server": {"data": str(data), "shutdown_grace_s": 0},
        "store": {"synchronous": "normal"},
        "skills": {"own": False},
    }
    for table, values in tables.items():
        given[table] = {**given.get(table, {}), **values} if isinstance(values, Mapping) else values
    return msgspec.convert(given, Config)


def with_new_database(data: Path) -> Path:
    """Make a data directory that has a new database in it, as a first start leaves one; return it.

    The migrations that make one take longer than the rest of a start. Tests of servers in processes of their
    own, and of opening a data directory, start without.
    """
    make_directory(data)
    (data / DATABASE).write_bytes(_new_database())
    return data


@functools.cache
def _new_database() -> bytes:
    with tempfile.TemporaryDirectory() as made:
        open_writer(Path(made), "normal").close()
        return Path(made, DATABASE).read_bytes()


class Listener(uvicorn.Server):
    """The app on a port of this machine, in this event loop."""

    @property
    def port(self) -> int:
        return int(self.servers[0].sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[Listener]:
    """Serve `app` on a free port of 127.0.0.1, with the connections that the server itself uses."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http=BoundedConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    config.load()
    server = Listener(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server
    finally:
        for listener in server.servers:
            listener.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        async with asyncio.timeout(BOUND_S):
            while server.server_state.connections or server.server_state.tasks:
                await asyncio.sleep(0.001)
