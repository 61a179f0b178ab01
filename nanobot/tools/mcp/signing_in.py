"""Logging in at an MCP server, with a person who opens an address in a browser."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import httpx2
from mcp.client.auth import OAuthFlowError
from mcp.client.auth.utils import build_protected_resource_metadata_discovery_urls
from mcp.shared.auth import AuthorizationCodeResult
from pydantic import ValidationError

from nanobot.tools.mcp.addresses import ForbiddenAddress
from nanobot.tools.mcp.exchange import exchange, follow_flow, head_of, login_client
from nanobot.tools.mcp.messages import HttpServer
from nanobot.tools.mcp.oauth import Storage, login_provider, machine_provider, told, without_secrets
from nanobot.tools.mcp.token_file import StoredLogin, TokenFile

_TIMEOUT_S = 30.0
_REFUSED = 400
_UNAUTHORIZED = 401
_OK = 200
_MAX_WHY_CHARS = 300
_VERSION = "2025-11-25"
_HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": _VERSION,
        "capabilities": {},
        "clientInfo": {"name": "nanobot", "version": "1"},
    },
}
"""What servers of both protocols refuse without a token."""


class CameBack(Protocol):
    """What the browser brought."""

    @property
    def code(self) -> str: ...
    @property
    def state(self) -> str | None: ...
    @property
    def iss(self) -> str | None: ...
    @property
    def error(self) -> str: ...


class LoginFailed(Exception):
    """The login failed; the message says why, without anything secret."""


async def log_in(
    server: HttpServer,
    redirect_uri: str,
    show: Callable[[str], Awaitable[None]],
    returned: Callable[[], Awaitable[CameBack]],
) -> str | None:
    """Get a token and keep it; return what it allows, None where the server wants none. `show` shows the
    address to be opened; `returned` returns what the browser brought back.

    Raises:
        LoginFailed
    """
    assert server.tokens is not None  # noqa: S101 - those of the settings have a file
    file = TokenFile(Path(server.tokens), server.url)
    before = file.load()

    async def keep(login: StoredLogin) -> None:
        # Not while the one before is being renewed: what that brings would take its place.
        async with file.locked(2 * _TIMEOUT_S):
            await asyncio.to_thread(file.save, login)

    storage = Storage(server.url, keep)

    async def came_back() -> AuthorizationCodeResult:
        brought = await returned()
        if brought.error:
            raise LoginFailed(f"it was refused: {brought.error[:_MAX_WHY_CHARS]}")
        return AuthorizationCodeResult(code=brought.code, state=brought.state, iss=brought.iss)

    if server.oauth is not None and server.oauth.is_machine:
        provider = machine_provider(server.url, server.oauth, storage)
        storage.provider = provider
    else:
        provider = login_provider(
            server.url, server.oauth, redirect_uri, storage, show, came_back, before=before
        )
    try:
        status = await _get_token(server, provider, storage)
    except LoginFailed:
        raise
    except TimeoutError as error:
        raise LoginFailed("another process has been renewing the login before for too long") from error
    except (
        OAuthFlowError,
        ForbiddenAddress,
        httpx2.HTTPError,
        ValidationError,
        ValueError,
        OSError,
    ) as error:
        raise LoginFailed(_why(error, server)) from error
    now = storage.login
    if now is None:
        if status == _UNAUTHORIZED:
            raise LoginFailed("it answered 401, and says nothing of where to log in")
        return None
    scope = now.tokens.get("scope")
    return f"it allows {scope}" if scope else "it does not say what that allows"


async def _get_token(server: HttpServer, provider: httpx2.Auth, storage: Storage) -> int:
    """Have the server ask for a token, so that `provider` gets one; return what status it answers."""
    # What servers answer is reported; the SDK would log it with their words.
    logging.getLogger("mcp").addHandler(logging.NullHandler())
    logging.getLogger("mcp").propagate = False
    async with login_client(httpx2.URL(server.url)) as client:
        status = await _say_hello(client, server, provider)
        if status < _REFUSED and storage.login is None and await _has_metadata(client, server):
            # It wants a token only for what comes later.
            status = await _say_hello(client, server, provider, as_refused=True)
        return status


async def _has_metadata(client: httpx2.AsyncClient, server: HttpServer) -> bool:
    """Return whether the server says where tokens for it come from."""
    for url in build_protected_resource_metadata_discovery_urls(None, server.url):
        answer = await exchange(client, client.build_request("GET", url), _TIMEOUT_S)
        if answer.status_code == _OK:
            return True
    return False


async def _say_hello(
    client: httpx2.AsyncClient, server: HttpServer, provider: httpx2.Auth, *, as_refused: bool = False
) -> int:
    """Send the server what it may refuse without a token, bring that, and return the last status.
    `as_refused`: as if it had refused.
    """
    headers = {
        "User-Agent": "nanobot",
        **server.headers,
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": _VERSION,
    }
    hello = client.build_request("POST", server.url, content=json.dumps(_HELLO), headers=headers)

    async def ask(request: httpx2.Request) -> httpx2.Response:
        if as_refused and "Authorization" not in request.headers:
            return httpx2.Response(_UNAUTHORIZED, request=request)
        return await head_of(client, request, _TIMEOUT_S)

    last = await follow_flow(provider, hello, ask, client, _TIMEOUT_S)
    assert last is not None  # noqa: S101 - the flow begins with it
    return last.status_code


def _why(error: Exception, server: HttpServer) -> str:
    secrets = (server.oauth.client_secret,) if server.oauth and server.oauth.client_secret else ()
    return without_secrets(told(error), secrets)[:_MAX_WHY_CHARS]
