"""`nanobot serve`"""

import asyncio
import contextlib
import errno
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
    choose_model,
    configured_keys,
    is_loopback,
    lacks_openmp,
    make_models,
    missing_weights,
    open_app,
)
from nanobot.cli.options import CONFIG, DATA, MODEL, settings
from nanobot.cli.store import offline_store
from nanobot.cli.tracing import tracing
from nanobot.config import Config
from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError
from nanobot.core.tool import Tool
from nanobot.http.connections import BoundedConnection
from nanobot.telemetry.logs import SessionNames, configure

_BACKLOG = 2048


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
    listener = bind(config.server.host, config.server.port)
    if missing_weights(config, os.environ) or lacks_openmp(config, os.environ):
        # brings rich, which a start that fetches nothing does without
        from nanobot.cli.progress import ensure_weights

        ensure_weights(config, os.environ)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(config, listener))


def refuse_unprotected_host(config: Config) -> None:
    """Refuse to listen to other machines without a key.

    Raises:
        ConfigError
    """
    if is_loopback(config.server.host) or config.api.key:
        return
    now = SystemClock().now()
    usable = [
        key for key in (*configured_keys(config), *offline_store(config).api_keys()) if key.revoked_at is None
    ]
    if not any(key.expires_at is None or key.expires_at > now for key in usable):
        raise ConfigError(
            f"host {config.server.host} can be reached from other machines, and no API key is set: make one with `nanobot keys create NAME`"
            f"{f' --data {config.data}' if config.server.data else ''}, or set api.key in the config file or NANOBOT_API_KEY, or listen on 127.0.0.1"
        )


def check_tls(config: Config) -> None:
    """Return where the certificate, if one is configured, can be served.

    Raises:
        ConfigError: a file is missing or is none of its kind, or the two do not belong together.
    """
    cert, key = config.server.tls_cert, config.server.tls_key
    if cert is None:
        if key is not None:
            raise ConfigError(
                f"server.tls_key is {key} and server.tls_cert is not set: name the certificate too, with --tls-cert"
            )
        return
    # only where it is needed: it takes a while to load
    import ssl

    for name, path in (("tls_cert", cert), ("tls_key", key)):
        if path is not None:
            try:
                Path(path).read_bytes()
            except OSError as error:
                raise ConfigError(
                    f"server.{name}: {path} cannot be read ({error.strerror}): name another with --{name.replace('_', '-')}"
                ) from error
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"the private key in {key or cert} is not that of the certificate in {cert}: name the two that belong together"
            ) from error
        where = cert if key is None else f"{cert} and {key}"
        raise ConfigError(
            f"{where}: no certificate and private key in PEM form ({error.reason or error}): name others with --tls-cert and --tls-key"
        ) from error


def _no_password() -> str:
    raise ConfigError(
        "the private key of the certificate is encrypted: name one that is not, with --tls-key (only its owner should be able to read it)"
    )


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that has the port.

    Raises:
        ConfigError: it is taken, or cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    if os.name != "nt":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} on {host} is taken: stop what uses it, or choose another with --port"
            ) from error
        raise ConfigError(
            f"cannot listen on {host} port {port} ({error.strerror or error}): choose others with --host and --port"
        ) from error
    listener.setblocking(False)
    return listener


def loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    """Return what makes the event loop: uvloop where there is one."""
    if sys.platform == "win32":
        return None
    # has no wheel for Windows
    import uvloop

    return uvloop.Loop


async def serve(config: Config, listener: socket.socket, tools: Sequence[Tool] = ()) -> None:
    """Serve until SIGTERM or SIGINT, then stop in order. `tools` are added to the agent's own.

    Raises:
        ConfigError, StoreError: it cannot start.
    """
    choice = choose_model(config, os.environ)
    models = make_models(config, os.environ, SystemClock())
    traced = tracing(config, os.environ)
    try:
        async with open_app(
            config, models, tools=tools, observers=(traced.observer,) if traced else ()
        ) as app:
            server = _Server(app)
            server.when_listening = lambda: _greet(config, listener, f"{choice.name} ({choice.why})")
            await server.serve(sockets=[listener])
    finally:
        if traced:
            await asyncio.to_thread(traced.close)


class _Server(uvicorn.Server):
    """uvicorn, which while it stops also lets the engine's turns end."""

    def __init__(self, app: App) -> None:
        grace_s = app.config.server.shutdown_grace_s
        super().__init__(
            uvicorn.Config(
                app.asgi,
                http=BoundedConnection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=bool(app.config.server.forwarded_allow_ips),
                forwarded_allow_ips=list(app.config.server.forwarded_allow_ips),
                ssl_certfile=app.config.server.tls_cert,
                ssl_keyfile=app.config.server.tls_key,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=int(grace_s) + 5,
                backlog=_BACKLOG,
            )
        )
        self._nanobot = app
        self.when_listening: Callable[[], None] = lambda: None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT. uvicorn would raise the signal again behind it, and the rest of the
        house would never be taken down.
        """
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, action in before.items():
                signal.signal(number, action)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.when_listening()
        gc.collect()
        # what is loaded by now stays: the collector need not look at it again and again
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        # a store thread that is back from the disk need not wait long for its turn
        sys.setswitchinterval(0.0005)
        self._warming = asyncio.create_task(self._nanobot.models.warm())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._warming.cancel()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._nanobot.drain())
            group.create_task(super().shutdown(sockets))


def _greet(config: Config, listener: socket.socket, model: str) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"nanobot {__version__}")
    click.echo(f"  listens on    {'https' if config.server.tls_cert else 'http'}://{shown}:{port}")
    click.echo(f"  answers with  {model}")
    click.echo(f"  keeps data in {config.data}")
    sys.stdout.flush()
