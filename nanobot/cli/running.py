"""How commands on a data directory find the server that uses it, and how it accepts their requests.

The server writes its address and a key into the lock file, which only the owner of the directory can read:
who can, could read the conversations themselves. The key is made at each start, and kept nowhere else.
"""

import logging
import os
import socket

from nanobot.app import App
from nanobot.cli.listener import certificate_digest, connect_to
from nanobot.cli.store import offline_store
from nanobot.config import Config
from nanobot.core.accounts import ApiKey, Right, digest_of, new_token
from nanobot.core.errors import StoreError
from nanobot.core.offline import RunningServer

_RIGHTS: tuple[Right, ...] = ("chat", "sessions:read", "sessions:write", "files")
_log = logging.getLogger(__name__)


def local_url(config: Config, listener: socket.socket) -> str:
    """Return where, on this machine, the server on `listener` is reached."""
    host, port = listener.getsockname()[:2]
    return f"{'https' if config.server.tls_cert else 'http'}://{connect_to(host)}:{port}"


def announce(config: Config, app: App, listener: socket.socket) -> None:
    """Say in the data directory where the server is, with a key for it. Blocks: call it in a thread.

    A server that cannot say it runs all the same: the log has why.
    """
    token = new_token(app.randomness)
    app.accounts.keys.add_of_process(
        ApiKey(id="local", name="local", digest=digest_of(token.encode()), rights=_RIGHTS, is_strong=True)
    )
    cert = config.server.tls_cert
    try:
        certificate = certificate_digest(cert) if cert is not None else None
        offline_store(config).announce(
            RunningServer(str(os.getpid()), local_url(config, listener), token, certificate)
        )
    except (OSError, StoreError) as error:
        _log.warning("`nanobot chat` cannot find this server by itself: %s", error)


def find_server(config: Config) -> RunningServer | None:
    """Return the server that uses the data directory; None where there is none that says where it is."""
    try:
        return offline_store(config).running_server()
    except StoreError:
        # Who opens the directory says what is wrong with it.
        return None
