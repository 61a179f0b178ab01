"""OAuth for MCP servers at a URL: the flows of the SDK that renew the tokens of a login, and bring them."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.auth.utils import union_scopes
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from pydantic import AnyUrl, ValidationError

from nanobot.tools.mcp.messages import OAuthClient
from nanobot.tools.mcp.token_file import StoredLogin

_SENDABLE = re.compile(r"[\x21-\x7e]{1,32768}")
_LATER = (408, 429)
_BROKEN = 500
Shows = Callable[[str], Awaitable[None]]
Returns = Callable[[], Awaitable[AuthorizationCodeResult]]
Keeps = Callable[[StoredLogin], Awaitable[None]]


class LoginNeeded(OAuthFlowError):
    """Only a person can go on: there is no token, it cannot be renewed, or it does not allow that."""


class RenewalFailed(httpx2.TransportError):
    """A token could not be renewed now, and may be later; the message says why."""


class Storage:
    """Where the SDK keeps what a login at `url` brings: `keep` is given that, with what is needed to renew it
    after a restart.
    """

    def __init__(self, url: str, keep: Keeps) -> None:
        self._url = url
        self._keep = keep
        self.provider: OAuthClientProvider | None = None
        self.login: StoredLogin | None = None
        """What it was given."""

    async def get_tokens(self) -> OAuthToken | None:
        """Return None: whoever has tokens already gives them to the provider."""
        return None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        assert self.provider is not None  # noqa: S101 - who makes it sets it
        if not _SENDABLE.fullmatch(tokens.access_token):
            raise LoginNeeded("the token that it was given is none that can be sent")
        context = self.provider.context
        self.login = StoredLogin(
            self._url,
            tokens.model_dump(mode="json", exclude_none=True),
            context.token_expiry_time,
            _dumped(context.client_info),
            _dumped(context.oauth_metadata),
            _dumped(context.protected_resource_metadata),
            context.auth_server_url,
        )
        await self._keep(self.login)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """It is kept with the tokens, once there are some."""


def _dumped(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    dumped: dict[str, Any] = value.model_dump(mode="json", exclude_none=True)
    return dumped


class RenewingProvider(OAuthClientProvider):
    """Renews the tokens of `login`, and asks nobody anything."""

    def __init__(self, url: str, storage: Storage, login: StoredLogin) -> None:
        super().__init__(
            url, OAuthClientMetadata(redirect_uris=[AnyUrl("http://127.0.0.1/callback")]), storage
        )
        storage.provider = self
        self._login = login

    async def _initialize(self) -> None:
        login, context = self._login, self.context
        context.current_tokens = OAuthToken.model_validate(login.tokens)
        # Whatever it says of itself, it is to be renewed: it is over, or was refused.
        context.token_expiry_time = 1.0
        context.auth_server_url = login.issuer
        if login.client is not None:
            context.client_info = OAuthClientInformationFull.model_validate(login.client)
        if login.metadata is not None:
            context.oauth_metadata = OAuthMetadata.model_validate(login.metadata)
        if login.resource is not None:
            context.protected_resource_metadata = ProtectedResourceMetadata.model_validate(login.resource)
        self._initialized = True

    async def _handle_refresh_response(self, response: httpx2.Response) -> bool:
        _refuse_failure(response)
        if not await super()._handle_refresh_response(response):
            raise LoginNeeded("its token has expired, and could not be renewed")
        return True

    async def _perform_authorization(self) -> httpx2.Request:
        raise LoginNeeded("its token is refused")


class _MachineLogin(ClientCredentialsOAuthProvider):
    """Gets a new token, whatever was kept."""

    async def _initialize(self) -> None:
        self.context.client_info = self._fixed_client_info
        self._initialized = True

    async def _handle_token_response(self, response: httpx2.Response) -> None:
        _refuse_failure(response)
        await super()._handle_token_response(response)


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


def _refuse_failure(response: httpx2.Response) -> None:
    """Raise what says that an authorization server could not answer: that says nothing of the login."""
    if response.status_code >= _BROKEN or response.status_code in _LATER:
        raise RenewalFailed(f"{response.request.url.host} answered {response.status_code}")


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
