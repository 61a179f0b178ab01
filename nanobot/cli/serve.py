"""`nanobot serve`"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import uvicorn

from nanobot import __version__
from nanobot.app import (
    App,
    DefaultModel,
    better_weights,
    choose_model,
    make_models,
    missing_openmp,
    missing_weights,
    open_app,
)
from nanobot.cli.listener import BACKLOG, bind, check_tls, refuse_unprotected_host
from nanobot.cli.memory import give_large_blocks_back
from nanobot.cli.options import CONFIG, DATA, MODEL, settings
from nanobot.cli.terminal import size
from nanobot.cli.tracing import tracing
from nanobot.cli.unused_keys import tell_unused
from nanobot.config import Config
from nanobot.core.clock import SystemClock
from nanobot.core.tool import Tool
from nanobot.http.connections import BoundedConnection
from nanobot.telemetry.logs import SessionNames, configure

_KEEP_ALIVE_S = 75


@click.command("serve")
@click.option("--host", metavar="HOST", help="Address to listen on [127.0.0.1].")
@click.option("--port", metavar="PORT", help="Port to listen on [8900].")
@CONFIG
@DATA
@MODEL
@click.option("--tls-cert", metavar="FILE", help="Certificate chain (PEM): serve HTTPS.")
@click.option(
    "--tls-key", metavar="FILE", help="Private key of the certificate (PEM) [in the certificate's file]."
)
@click.option("--no-stream", is_flag=True, help="Refuse requests that ask for a stream.")
@click.option("--timeout", metavar="S", help="Seconds that a turn may take [no limit].")
@click.option("--verbose", is_flag=True, help="Log what happens.")
def command(
    host: str | None,
    port: str | None,
    config_file: Path | None,
    data: str | None,
    model: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    no_stream: bool,
    timeout: str | None,
    verbose: bool,
) -> None:
    """Serve the agent over HTTP, as OpenAI's API."""
    config = settings(
        config_file,
        server={"host": host, "port": port, "data": data, "tls_cert": tls_cert, "tls_key": tls_key},
        model={"name": model},
        api={"stream": False if no_stream else None},
        engine={"turn_timeout_s": timeout},
        log={"level": "info" if verbose else None},
    )
    configure(config.log.level, config.log.format, SessionNames(config.data, plain=config.log.session_keys))
    refuse_unprotected_host(config)
    check_tls(config)
    # Before the weights: a port that is taken should not show only after a long download.
    listener = bind(config.server.host, config.server.port)
    tell_unused(config, os.environ)
    if missing_weights(config, os.environ) or missing_openmp(config, os.environ):
        # Imports rich, which only a start that downloads something needs.
        from nanobot.cli.progress import ensure_weights

        ensure_weights(config, os.environ)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(config, listener))


def loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    """Return the type of the event loop: uvloop's, except on Windows."""
    if sys.platform == "win32":
        return None
    # It has no wheel for Windows.
    import uvloop

    return uvloop.Loop


async def serve(config: Config, listener: socket.socket, tools: Sequence[Tool] = ()) -> None:
    """Serve until SIGTERM or SIGINT, then shut down in order. `tools` are added to the agent's own.

    Raises:
        ConfigError, StoreError: the server cannot start.
    """
    choice = choose_model(config, os.environ)
    models = make_models(config, os.environ, SystemClock())
    traced = tracing(config, os.environ)
    try:
        async with open_app(
            config, models, tools=tools, observers=(traced.observer,) if traced else ()
        ) as app:
            server = _Server(app)
            server.when_listening = lambda: _greet(config, listener, choice)
            await server.serve(sockets=[listener])
    finally:
        if traced:
            await asyncio.to_thread(traced.close)


class _Server(uvicorn.Server):
    """uvicorn's server, which also lets the engine's turns end while it shuts down."""

    def __init__(self, app: App) -> None:
        grace_s = app.config.server.shutdown_grace_s
        super().__init__(
            uvicorn.Config(
                app.asgi,
                http=BoundedConnection,
                ws="none",
                lifespan="off",
                # The log is set up already, and the guard writes a line for each request.
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=bool(app.config.server.forwarded_allow_ips),
                forwarded_allow_ips=list(app.config.server.forwarded_allow_ips),
                ssl_certfile=app.config.server.tls_cert,
                ssl_keyfile=app.config.server.tls_key,
                timeout_keep_alive=_KEEP_ALIVE_S,
                # Longer than the drain: the requests that follow turns end with them.
                timeout_graceful_shutdown=int(grace_s) + 5,
                backlog=BACKLOG,
            )
        )
        self._nanobot = app
        self.when_listening: Callable[[], None] = lambda: None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Shut down at SIGTERM and SIGINT. uvicorn's own version raises the signal again at the end, before
        the store is closed.
        """
        previous = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, action in previous.items():
                signal.signal(number, action)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.when_listening()
        gc.collect()
        # What is loaded by now stays loaded, so the collector need not visit it again.
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        # A thread of the store that comes back from the disk gets the interpreter sooner.
        sys.setswitchinterval(0.0005)
        give_large_blocks_back()
        self._warming = asyncio.create_task(self._nanobot.models.warm())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._warming.cancel()
        await asyncio.gather(self._warming, return_exceptions=True)
        # At the same time: uvicorn waits for the requests, and they wait for their turns.
        async with asyncio.TaskGroup() as group:
            group.create_task(self._nanobot.drain())
            group.create_task(super().shutdown(sockets))


def _greet(config: Config, listener: socket.socket, model: DefaultModel) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"nanobot {__version__}")
    click.echo(f"  listens on    {'https' if config.server.tls_cert else 'http'}://{shown}:{port}")
    click.echo(f"  answers with  {model.name} ({model.why})")
    click.echo(f"  keeps data in {config.data}")
    better = better_weights(config, model.name)
    if better is not None:
        click.echo(
            f"this machine could run {better.name} ({better.title}, {size(better.size_bytes)}), which "
            f"answers better: nanobot model pull {better.name}, then nanobot serve --model {better.name}"
        )
    sys.stdout.flush()
