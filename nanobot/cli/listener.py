"""The address that the server listens on: whether it may be used, and the socket for it."""

import errno
import hashlib
import os
import socket
from pathlib import Path

from nanobot.access.strength import weakness
from nanobot.app import configured_keys, is_loopback
from nanobot.cli.store import offline_store
from nanobot.config import Config
from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError

BACKLOG = 2048


def refuse_unprotected_host(config: Config) -> None:
    """Refuse to be reachable from other machines without a valid API key.

    Raises:
        ConfigError
    """
    if is_loopback(config.server.host) or config.api.key:
        return
    now = SystemClock().now()
    keys = (*configured_keys(config), *offline_store(config).api_keys())
    if any(key.revoked_at is None and (key.expires_at is None or key.expires_at > now) for key in keys):
        return
    data = f" --data {config.data}" if config.server.data else ""
    raise ConfigError(
        f"host {config.server.host} can be reached from other machines, and no API key is set: make one with "
        f"`nanobot keys create NAME{data}`, or set api.key in the config file or NANOBOT_API_KEY, "
        "or listen on 127.0.0.1",
        tables=("server",),
    )


def refuse_weak_key(config: Config) -> None:
    """Refuse an `api.key` that can be guessed where other machines can try.

    Raises:
        ConfigError
    """
    if is_loopback(config.server.host) or not config.api.key:
        return
    weak = weakness(config.api.key)
    if weak is not None:
        raise ConfigError(
            f"host {config.server.host} can be reached from other machines, and api.key {weak}; set a random "
            "one, as `openssl rand -hex 32` prints, or remove it and use `nanobot keys create NAME`, or "
            "listen on 127.0.0.1 (--host)",
            tables=("api", "server"),
        )


def check_tls(config: Config) -> None:
    """Check that the configured certificate, if there is one, can be served.

    Raises:
        ConfigError: a file is missing or not in PEM form, or certificate and key do not belong together.
    """
    cert, key = config.server.tls_cert, config.server.tls_key
    if cert is None:
        if key is not None:
            raise ConfigError(
                f"server.tls_key is {key} and server.tls_cert is not set: name the certificate too, "
                "with --tls-cert",
                tables=("server",),
            )
        return
    _check_readable("tls_cert", cert)
    if key is not None:
        _check_readable("tls_key", key)
    # Slow to load, and only HTTPS needs it.
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=_refuse_encrypted_key)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"the private key in {key or cert} is not that of the certificate in {cert}: "
                "name the two that belong together",
                tables=("server",),
            ) from error
        files = cert if key is None else f"{cert} and {key}"
        raise ConfigError(
            f"{files}: no certificate and private key in PEM form ({error.reason or error}): "
            "name others with --tls-cert and --tls-key",
            tables=("server",),
        ) from error


def _check_readable(setting: str, path: str) -> None:
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"server.{setting}: {path} cannot be read ({error.strerror}): "
            f"name another with --{setting.replace('_', '-')}",
            tables=("server",),
        ) from error


def _refuse_encrypted_key() -> str:
    raise ConfigError(
        "the private key of the certificate is encrypted: name one that is not, with --tls-key "
        "(only its owner should be able to read it)",
        tables=("server",),
    )


def connect_to(host: str) -> str:
    """Return where, on this machine, to reach a server that listens on `host`, as URLs have it."""
    host = _CONNECT_TO.get(host, host)
    return f"[{host}]" if ":" in host else host


_CONNECT_TO = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
"""Where to reach a server that listens on every address."""


def certificate_digest(path: str) -> bytes:
    """Return the SHA-256 of the first certificate in a PEM file that `check_tls` has found in order."""
    import ssl

    _, begin, rest = Path(path).read_text(encoding="latin-1").partition(_PEM_BEGIN)
    block, end, _ = rest.partition(_PEM_END)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(begin + block + end)).digest()


_PEM_BEGIN, _PEM_END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        ConfigError: the port is taken, or the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    # So that a restart need not wait for old connections to time out. On Windows it would let two servers
    # share the port.
    if os.name != "nt":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} on {host} is taken: stop what uses it, or choose another with --port",
                tables=("server",),
            ) from error
        raise ConfigError(
            f"cannot listen on {host} port {port} ({error.strerror or error}): "
            "choose others with --host and --port",
            tables=("server",),
        ) from error
    listener.setblocking(False)
    return listener
