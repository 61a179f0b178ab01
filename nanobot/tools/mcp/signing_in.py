"""Logging in at an MCP server, with a person who opens an address in a browser."""

import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

import httpx2
from mcp.client.auth import OAuthFlowError
from mcp.client.auth.utils import build_protected_resource_metadata_discovery_urls
from mcp.shared.auth import AuthorizationCodeResult
from pydantic import ValidationError

from nanobot.tools.mcp.addresses import ForbiddenAddress, check
from nanobot.tools.mcp.http_client import bounded
from nanobot.tools.mcp.messages import HttpServer
from nanobot.tools.mcp.oauth import Storage, login_provider, machine_provider, told, without_secrets
from nanobot.tools.mcp.token_file import TokenFile

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
    storage = Storage(file, server.url)
    before = file.load()

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
    # What servers answer is reported; the SDK would log it with their words.
    logging.getLogger("mcp").addHandler(logging.NullHandler())
    logging.getLogger("mcp").propagate = False
    try:
        status = await _say_hello(server, provider)
        if status < _REFUSED and file.load() == before and await _has_metadata(server):
            # It wants a token only for what comes later.
            status = await _say_hello(server, _AsRefused(provider))
    except LoginFailed:
        raise
    except (OAuthFlowError, ForbiddenAddress, httpx2.HTTPError, ValidationError, ValueError) as error:
        raise LoginFailed(_why(error, server)) from error
    now = file.load()
    if now is None or now == before:
        if status == _UNAUTHORIZED:
            raise LoginFailed("it answered 401, and says nothing of where to log in")
        return None
    scope = now.tokens.get("scope")
    return f"it allows {scope}" if scope else "it does not say what that allows"


class _AsRefused(httpx2.Auth):
    """Begins as if the first request had been refused."""

    def __init__(self, provider: httpx2.Auth) -> None:
        self._provider = provider

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        flow = self._provider.async_auth_flow(request)
        try:
            await anext(flow)
            outgoing = await flow.asend(httpx2.Response(_UNAUTHORIZED, request=request))
            while True:
                response = yield outgoing
                outgoing = await flow.asend(response)
        except StopAsyncIteration:
            return
        finally:
            await flow.aclose()


def _client(server: HttpServer, auth: httpx2.Auth | None = None) -> httpx2.AsyncClient:
    own = httpx2.URL(server.url)

    async def checked(request: httpx2.Request) -> None:
        check(own, request.url)

    return httpx2.AsyncClient(
        auth=auth, timeout=_TIMEOUT_S, event_hooks={"request": [checked], "response": [bounded]}
    )


async def _has_metadata(server: HttpServer) -> bool:
    """Return whether the server says where tokens for it come from."""
    async with _client(server) as client:
        for url in build_protected_resource_metadata_discovery_urls(None, server.url):
            if (await client.get(url)).status_code == _OK:
                return True
    return False


async def _say_hello(server: HttpServer, provider: httpx2.Auth) -> int:
    async with _client(server, provider) as client:
        headers = {
            "User-Agent": "nanobot",
            **server.headers,
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "MCP-Protocol-Version": _VERSION,
        }
        # Of its answer only the status counts: it may be a stream that goes on.
        async with client.stream("POST", server.url, content=json.dumps(_HELLO), headers=headers) as response:
            return response.status_code


def _why(error: Exception, server: HttpServer) -> str:
    secrets = (server.oauth.client_secret,) if server.oauth and server.oauth.client_secret else ()
    return without_secrets(told(error), secrets)[:_MAX_WHY_CHARS]
