"""An authorization server, with the MCP server that it is for, both on one port: by the SDK's server side."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.routes import create_auth_routes, create_protected_resource_routes
from mcp.server.auth.settings import ClientRegistrationOptions
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.harness import listening
from tests.mcp_server import FakeMcpServer

LIFE_S = 3_600


class Authority(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """Agrees to everything that is asked. `life_s`: how long its tokens last. `clients`: those that have
    registered; `tokens`: those that are good; `renewed`: how many were renewed.
    """

    def __init__(self) -> None:
        self.clients: dict[str, OAuthClientInformationFull] = {}
        self.codes: dict[str, AuthorizationCode] = {}
        self.tokens: dict[str, AccessToken] = {}
        self.refreshes: dict[str, RefreshToken] = {}
        self.life_s = LIFE_S
        self.renewed = 0
        self.asked_to_renew = 0
        self.renews = asyncio.Event()
        """Until it is set, whoever wants a token renewed waits."""
        self.renews.set()
        self._used: set[str] = set()
        self.refuses = False
        self.url = ""
        self.headers: list[dict[str, str]] = []
        self.metadata_at: str | None = None
        """Where the MCP server says that its metadata are; None: at its own address."""
        self.repeats = False
        """Whether the tools of the MCP server answer with the token that they were called with."""

    # What the SDK's server asks --------------------------------------------------------------------

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        assert client_info.client_id is not None
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        if self.refuses:
            return construct_redirect_uri(str(params.redirect_uri), error="access_denied", state=params.state)
        code = AuthorizationCode(
            code=secrets.token_urlsafe(16),
            client_id=client.client_id or "",
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            expires_at=time.time() + 60,
            scopes=params.scopes or ["notes"],
            code_challenge=params.code_challenge,
            resource=params.resource,
        )
        self.codes[code.code] = code
        return construct_redirect_uri(str(params.redirect_uri), code=code.code, state=params.state)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self.codes[authorization_code.code]
        return self._issue(client, authorization_code.scopes)

    async def load_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: str
    ) -> RefreshToken | None:
        self.asked_to_renew += 1
        await self.renews.wait()
        if refresh_token in self._used:
            # Somebody has it who should not: none of its tokens is good any more.
            self.tokens.clear()
            self.refreshes.clear()
        return self.refreshes.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        del self.refreshes[refresh_token.token]
        self._used.add(refresh_token.token)
        self.renewed += 1
        return self._issue(client, scopes)

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self.tokens.get(token)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.tokens.pop(token.token, None)

    def _issue(self, client: OAuthClientInformationFull, scopes: list[str]) -> OAuthToken:
        access, refresh = f"access-{secrets.token_hex(16)}", f"refresh-{secrets.token_hex(16)}"
        client_id = client.client_id or ""
        self.tokens[access] = AccessToken(token=access, client_id=client_id, scopes=scopes)
        self.refreshes[refresh] = RefreshToken(token=refresh, client_id=client_id, scopes=scopes)
        return OAuthToken(
            access_token=access,
            expires_in=self.life_s,
            refresh_token=refresh,
            scope=" ".join(scopes),
        )

    # The MCP server --------------------------------------------------------------------------------

    async def answer(self, request: Request) -> Response:
        """POST /mcp: only with a good token."""
        self.headers.append(dict(request.headers))
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            at = self.metadata_at or f"{self.url}/.well-known/oauth-protected-resource/mcp"
            return Response("", 401, {"WWW-Authenticate": f'Bearer resource_metadata="{at}"'})
        body = json.loads(await request.body())
        answers: list[dict[str, Any]] = []
        FakeMcpServer("new", answers.append).take(body)
        final = [each for each in answers if each.get("id") == body.get("id") and "id" in body]
        if self.repeats and body["method"] == "tools/call":
            final[0]["result"]["content"] = [{"type": "text", "text": f"You came with {token}."}]
        return JSONResponse(final[0]) if final else Response("", 202)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Authority]:
    """Yield the authority, whose MCP server is at `url` + /mcp."""
    authority, inner = Authority(), Starlette()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(scope, receive, send)

    async with listening(app) as listener:
        authority.url = listener.url
        issuer = AnyHttpUrl(listener.url)
        options = ClientRegistrationOptions(enabled=True, valid_scopes=["notes"], default_scopes=["notes"])
        inner.router.routes += [
            *create_auth_routes(authority, issuer, client_registration_options=options),
            *create_protected_resource_routes(AnyHttpUrl(f"{listener.url}/mcp"), [issuer], ["notes"]),
            Route("/mcp", authority.answer, methods=["POST"]),
        ]
        yield authority
