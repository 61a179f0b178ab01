"""`nanobot serve`"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import click
import uvicorn

from nanobot import __version__
from nanobot.app import (
    App,
    DefaultModel,
    SettingsSource,
    better_weights,
    check_models,
    choose_model,
    is_loopback,
    make_models,
    missing_openmp,
    missing_weights,
    open_app,
    reads_examples_first,
)
from nanobot.cli.allocator import give_large_blocks_back
from nanobot.cli.listener import BACKLOG, bind, check_tls, refuse_unprotected_host, refuse_weak_key
from nanobot.cli.next_steps import next_steps
from nanobot.cli.options import CONFIG, DATA, MODEL, settings
from nanobot.cli.running import announce, local_url
from nanobot.cli.terminal import size
from nanobot.cli.tracing import tracing
from nanobot.cli.unused_keys import tell_unused
from nanobot.config import FILE, Config, log_format, sets_nothing
from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError
from nanobot.core.tool import Tool
from nanobot.http.connections import BoundedConnection
from nanobot.telemetry.logs import SessionNames, configure, configure_without_settings
from nanobot.telemetry.stderr import log_line

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
    read = partial(
        settings,
        config_file,
        server={"host": host, "port": port, "data": data, "tls_cert": tls_cert, "tls_key": tls_key},
        model={"name": model},
        api={"stream": False if no_stream else None},
        engine={"turn_timeout_s": timeout},
        log={"level": "info" if verbose else None},
    )
    try:
        config = read()
    except ConfigError:
        if log_format(config_file, os.environ) == "json":
            configure_without_settings()
        raise
    configure(config.log.level, config.log.format, SessionNames(config.data, plain=config.log.session_keys))
    refuse_unprotected_host(config)
    refuse_weak_key(config)
    check_tls(config)
    # Before the weights: a key that is missing or a port that is taken should not show only after a
    # long download.
    check_models(config, os.environ, SystemClock())
    with contextlib.closing(bind(config.server.host, config.server.port)) as listener:
        if sets_nothing(config_file):
            click.echo(f"note: {config_file or FILE} has no settings", err=True)
        tell_unused(config, os.environ)
        if missing_weights(config, os.environ) or missing_openmp(config, os.environ):
            # Imports rich, which only a start that downloads something needs.
            from nanobot.cli.progress import ensure_weights

            ensure_weights(config, os.environ)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(config, listener, source=SettingsSource(config_file or Path(FILE), read)))


def loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    """Return the type of the event loop: uvloop's, except on Windows."""
    if sys.platform == "win32":
        return None
    # It has no wheel for Windows.
    import uvloop

    return uvloop.Loop


async def serve(
    config: Config,
    listener: socket.socket,
    tools: Sequence[Tool] = (),
    source: SettingsSource | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then shut down in order. `tools` are added to the agent's own, `source`
    is where the settings of the agents are read again.

    Raises:
        ConfigError, StoreError: the server cannot start.
    """
    choice = choose_model(config, os.environ)
    models = make_models(config, os.environ, SystemClock())
    traced = tracing(config, os.environ)
    try:
        observers = (traced.observer,) if traced else ()
        async with open_app(config, models, tools=tools, observers=observers, source=source) as app:
            server = _Server(app)

            async def when_listening() -> None:
                await asyncio.to_thread(announce, config, app, listener)
                _greet(
                    config,
                    listener,
                    choice,
                    is_key_needed=app.accounts.keys.has_any or not is_loopback(config.server.host),
                )

            server.when_listening = when_listening
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
        self.when_listening: Callable[[], Awaitable[None]] | None = None

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
        if self.when_listening is not None:
            await self.when_listening()
        # What is loaded by now stays loaded, so the collector need not visit it again. Nor now: loading left
        # next to nothing, and to look for it takes as long as a tenth of the start.
        gc.freeze()
        # Nobody runs meanwhile: of the young objects few are looked at at a time, also of hundreds of turns.
        gc.set_threshold(5_000, 5, 40)
        give_large_blocks_back()
        self._warming = asyncio.create_task(self._nanobot.warm())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._warming.cancel()
        await asyncio.gather(self._warming, return_exceptions=True)
        # At the same time: uvicorn waits for the requests, and they wait for their turns.
        async with asyncio.TaskGroup() as group:
            group.create_task(self._nanobot.drain())
            group.create_task(super().shutdown(sockets))


def _greet(config: Config, listener: socket.socket, model: DefaultModel, *, is_key_needed: bool) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    url = f"{'https' if config.server.tls_cert else 'http'}://{shown}:{port}"
    if log_line(
        logging.INFO,
        f"nanobot {__version__} listens on {url}, answers with {model.name}, keeps data in {config.data}",
    ):
        return
    click.echo(f"nanobot {__version__}")
    click.echo(f"  listens on    {url}")
    click.echo(f"  answers with  {model.name} ({model.why})")
    click.echo(f"  keeps data in {config.data}")
    if reads_examples_first(config, str(model.name)):
        click.echo("the first answer takes about half a minute, this once: the model reads its examples")
    better = better_weights(config, model.name)
    if better is not None:
        click.echo(
            f"this machine could run {better.name} ({better.title}, {size(better.size_bytes)}), which "
            f"answers better: nanobot model pull {better.name}, then nanobot serve --model {better.name}"
        )
    click.echo(next_steps(config, local_url(config, listener), is_key_needed=is_key_needed))
    sys.stdout.flush()
