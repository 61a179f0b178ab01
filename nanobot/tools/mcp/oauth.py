"""OAuth for MCP servers at a URL, by the SDK: tokens are used and renewed here, and brought by a login.

The SDK's provider lets one request through at a time until its answer begins. Requests with a token that is
still good do not pass through it.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any
from weakref import WeakValueDictionary

import httpx2
import msgspec
from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.auth.utils import extract_scope_from_www_auth, union_scopes
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from pydantic import AnyUrl, ValidationError

from nanobot.tools.mcp.messages import HttpServer, OAuthClient
from nanobot.tools.mcp.token_file import StoredLogin, TokenFile

_UNAUTHORIZED = 401
_FORBIDDEN = 403
_MAX_SCOPE_CHARS = 1_000
_SENDABLE = re.compile(r"[\x21-\x7e]{1,32768}")
_EARLY_S = 30.0
"""So long before it expires, a token is renewed."""
Shows = Callable[[str], Awaitable[None]]
Returns = Callable[[], Awaitable[AuthorizationCodeResult]]


_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


class LoginNeeded(OAuthFlowError):
    """Only a person can go on: there is no token, it cannot be renewed, or it does not allow that."""


class Storage:
    """Where the SDK keeps what a login brings: the file, with what is needed to renew it after a restart."""

    def __init__(self, file: TokenFile, url: str) -> None:
        self._file = file
        self._url = url
        self.provider: OAuthClientProvider | None = None

    async def get_tokens(self) -> OAuthToken | None:
        login = await asyncio.to_thread(self._file.load)
        return OAuthToken.model_validate(login.tokens) if login is not None else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        assert self.provider is not None  # noqa: S101 - who makes it sets it
        if not _SENDABLE.fullmatch(tokens.access_token):
            raise LoginNeeded("the token that it was given is none that can be sent")
        context = self.provider.context
        login = StoredLogin(
            self._url,
            tokens.model_dump(mode="json", exclude_none=True),
            context.token_expiry_time,
            _dumped(context.client_info),
            _dumped(context.oauth_metadata),
            _dumped(context.protected_resource_metadata),
            context.auth_server_url,
        )
        await asyncio.to_thread(self._file.save, login)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """It is kept with the tokens, once there are some."""


def _dumped(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    dumped: dict[str, Any] = value.model_dump(mode="json", exclude_none=True)
    return dumped


class _Renewing(OAuthClientProvider):
    """Renews the tokens of a login, and asks nobody anything."""

    def __init__(self, url: str, storage: Storage, login: StoredLogin, *, is_refused: bool) -> None:
        super().__init__(
            url, OAuthClientMetadata(redirect_uris=[AnyUrl("http://127.0.0.1/callback")]), storage
        )
        storage.provider = self
        self._login = login
        self._is_refused = is_refused

    async def _initialize(self) -> None:
        login, context = self._login, self.context
        context.current_tokens = OAuthToken.model_validate(login.tokens)
        # Whatever it says of itself, a token that was refused is of no use.
        until = login.expires_at - _EARLY_S if login.expires_at is not None else None
        context.token_expiry_time = 1.0 if self._is_refused else until
        context.auth_server_url = login.issuer
        if login.client is not None:
            context.client_info = OAuthClientInformationFull.model_validate(login.client)
        if login.metadata is not None:
            context.oauth_metadata = OAuthMetadata.model_validate(login.metadata)
        if login.resource is not None:
            context.protected_resource_metadata = ProtectedResourceMetadata.model_validate(login.resource)
        self._is_refused = False
        self._initialized = True

    async def _handle_refresh_response(self, response: httpx2.Response) -> bool:
        if not await super()._handle_refresh_response(response):
            raise LoginNeeded("its token has expired, and could not be renewed")
        return True

    async def _perform_authorization(self) -> httpx2.Request:
        raise LoginNeeded("its token is refused")


class TokenAuth(httpx2.Auth):
    """Signs the requests to one server with the token of its login, and has it renewed. `renew_s`: how long
    each step of that may take, as others wait for it.
    """

    def __init__(self, server: HttpServer, file: TokenFile, renew_s: float = 30.0) -> None:
        self._renew_s = renew_s
        self._server = server
        self._file = file
        # Of all connections with this login: who renews a token makes the one before useless.
        self._lock = _locks.setdefault(str(file.path), asyncio.Lock())
        self._login: StoredLogin | None = None
        self.needs_login = ""
        """Why a person has to log in; empty: nobody has to."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown anywhere."""
        client = self._server.oauth
        own = (client.client_secret,) if client is not None and client.client_secret else ()
        return (*own, *(self._login.secrets if self._login is not None else ()))

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        login = self._login
        if login is None:
            login = self._login = await asyncio.to_thread(self._file.load)
        is_refused = False
        if login is not None and not _is_over(login):
            _sign(request, login)
            response = yield request
            if response.status_code != _UNAUTHORIZED:
                self.needs_login = ""
                if _is_too_little(response):
                    await self._note_scope(login, extract_scope_from_www_auth(response))
                return
            is_refused = True
        elif login is None and not self._can_by_itself:
            response = yield request
            self.needs_login = "nobody has logged in" if response.status_code == _UNAUTHORIZED else ""
            return
        request.headers.pop("Authorization", None)
        async with self._lock:
            # Another request may have had it renewed meanwhile, or a person has logged in.
            now = await asyncio.to_thread(self._file.load)
            if now is not None and now != login and not _is_over(now):
                self._login = now
                _sign(request, now)
            else:
                flow = self._provider(now or login, is_refused=is_refused).async_auth_flow(request)
                try:
                    outgoing = await anext(flow)
                    while outgoing is not request or "Authorization" not in request.headers:
                        if outgoing is not request:
                            outgoing.extensions["timeout"] = httpx2.Timeout(self._renew_s).as_dict()
                        response = yield outgoing
                        outgoing = await self._next(flow, outgoing, response)
                except StopAsyncIteration:
                    self.needs_login = ""
                    return
                except OAuthFlowError as error:
                    self.needs_login = told(error)
                    raise LoginNeeded(self.needs_login) from None
                finally:
                    await flow.aclose()
                    self._login = await asyncio.to_thread(self._file.load)
        # Others use the new token while this one waits for its answer.
        self.needs_login = ""
        response = yield request
        if response.status_code == _UNAUTHORIZED:
            self.needs_login = "its token is refused"
            raise LoginNeeded(self.needs_login)
        if _is_too_little(response) and self._login is not None:
            await self._note_scope(self._login, extract_scope_from_www_auth(response))

    async def _next(
        self,
        flow: AsyncGenerator[httpx2.Request, httpx2.Response],
        asked: httpx2.Request,
        response: httpx2.Response,
    ) -> httpx2.Request:
        """Return what the flow asks next, once it has read the response.

        Raises:
            StopAsyncIteration: nothing more.
            httpx2.ReadTimeout: the response does not end.
        """
        try:
            async with asyncio.timeout(self._renew_s):
                return await flow.asend(response)
        except TimeoutError:
            raise httpx2.ReadTimeout(
                f"its token could not be renewed within {self._renew_s:g} s", request=asked
            ) from None

    async def _note_scope(self, login: StoredLogin, scope: str | None) -> None:
        """Remember what the next login is to ask for."""
        self.needs_login = "its token does not allow this"
        if scope is None or len(scope) > _MAX_SCOPE_CHARS or scope == login.wanted_scope:
            return
        async with self._lock:
            # Not over a login that has come meanwhile: its token may allow this.
            if await asyncio.to_thread(self._file.load) == login:
                self._login = msgspec.structs.replace(login, wanted_scope=scope)
                await asyncio.to_thread(self._file.save, self._login)

    @property
    def _can_by_itself(self) -> bool:
        return self._server.oauth is not None and self._server.oauth.is_machine

    def _provider(self, login: StoredLogin | None, *, is_refused: bool) -> OAuthClientProvider:
        storage, client = Storage(self._file, self._server.url), self._server.oauth
        if client is not None and client.is_machine:
            provider = machine_provider(self._server.url, client, storage)
            storage.provider = provider
            return provider
        assert login is not None  # noqa: S101 - the caller has looked
        return _Renewing(self._server.url, storage, login, is_refused=is_refused)


class _MachineLogin(ClientCredentialsOAuthProvider):
    """Gets a new token, whatever was kept."""

    async def _initialize(self) -> None:
        self.context.client_info = self._fixed_client_info
        self._initialized = True


def machine_provider(url: str, client: OAuthClient, storage: Storage) -> OAuthClientProvider:
    """Return what gets tokens for a client that is no person, with its own secret."""
    return _MachineLogin(
        url,
        storage,
        client.client_id or "",
        client.client_secret or "",
        token_endpoint_auth_method="client_secret_post"
        if client.sends_secret_in_body
        else "client_secret_basic",
        scope=client.scope,
        issuer=client.issuer,
    )


def login_provider(
    url: str,
    client: OAuthClient | None,
    redirect_uri: str,
    storage: Storage,
    show: Shows,
    returned: Returns,
    *,
    before: StoredLogin | None = None,
) -> OAuthClientProvider:
    """Return what brings tokens with a person's consent: `show` shows the address that they are to open, and
    `returned` returns what it leads back to. `before`: the login until now, which this one replaces.
    """
    given = client or OAuthClient()
    metadata = OAuthClientMetadata(
        redirect_uris=[AnyUrl(redirect_uri)],
        client_name="nanobot",
        scope=given.scope,
        token_endpoint_auth_method=None if given.client_id is None else _method(given),
    )
    provider = _Login(url, metadata, storage, show, returned, client_metadata_url=given.client_metadata_url)
    provider.given, storage.provider = given, provider
    if before is not None and before.wanted_scope is not None:
        provider.more_scope = union_scopes(before.tokens.get("scope"), before.wanted_scope)
    return provider


class _Login(OAuthClientProvider):
    given = OAuthClient()
    more_scope: str | None = None

    async def _initialize(self) -> None:
        given = self.given
        if given.client_id is not None:
            self.context.client_info = OAuthClientInformationFull(
                redirect_uris=self.context.client_metadata.redirect_uris,
                client_id=given.client_id,
                client_secret=given.client_secret,
                token_endpoint_auth_method=_method(given),
                issuer=given.issuer,
            )
        self._initialized = True

    async def _perform_authorization_code_grant(self) -> tuple[str, str]:
        metadata = self.context.client_metadata
        # Of the settings, where the server does not say what it wants.
        metadata.scope = union_scopes(metadata.scope or self.given.scope, self.more_scope)
        return await super()._perform_authorization_code_grant()


def _method(client: OAuthClient) -> Any:
    if client.client_secret is None:
        return "none"
    return "client_secret_post" if client.sends_secret_in_body else "client_secret_basic"


def _is_over(login: StoredLogin) -> bool:
    return login.expires_at is not None and time.time() > login.expires_at - _EARLY_S


def _sign(request: httpx2.Request, login: StoredLogin) -> None:
    request.headers["Authorization"] = f"Bearer {login.tokens.get('access_token', '')}"


def _is_too_little(response: httpx2.Response) -> bool:
    challenge = response.headers.get("www-authenticate", "")
    return response.status_code == _FORBIDDEN and "insufficient_scope" in challenge


def told(error: Exception) -> str:
    """Return what an error of a login says. Of an answer that is no OAuth it would have the contents, which
    may be tokens.
    """
    causes = (error, error.__cause__, error.__context__)
    if any(isinstance(each, ValidationError) for each in causes):
        return "it answered what is no OAuth"
    return " ".join(str(error).split()) or type(error).__name__


def without_secrets(text: str, secrets: tuple[str, ...]) -> str:
    """Return the text without the secrets: servers repeat what they were sent."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
