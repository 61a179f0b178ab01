"""Signs the requests to an MCP server with the token of its login, and has it renewed."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from weakref import WeakValueDictionary

import httpx2
import msgspec
from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.client.auth.utils import extract_scope_from_www_auth

from nanobot.tools.mcp.addresses import ForbiddenAddress
from nanobot.tools.mcp.exchange import follow_flow, login_client
from nanobot.tools.mcp.messages import HttpServer
from nanobot.tools.mcp.oauth import (
    LoginNeeded,
    RenewalFailed,
    RenewingProvider,
    Storage,
    machine_provider,
    told,
)
from nanobot.tools.mcp.token_file import StoredLogin, TokenFile

_UNAUTHORIZED = 401
_FORBIDDEN = 403
_MAX_SCOPE_CHARS = 1_000
_EARLY_S = 30.0
"""So long before it expires, a token is renewed."""
_NOTE_S = 5.0
_VERSION_HEADER = "mcp-protocol-version"
Client = Callable[[], httpx2.AsyncClient]


class _Renewals:
    """The renewal of one file's login that is under way. All connections with this login wait for the same
    one, which goes on when nobody waits any more: the token that renews may be used up.
    """

    def __init__(self) -> None:
        self.task: asyncio.Task[StoredLogin] | None = None


_renewals: WeakValueDictionary[str, _Renewals] = WeakValueDictionary()
_under_way: set[asyncio.Task[StoredLogin]] = set()


async def renewals_ended(within_s: float) -> None:
    """Return once no token is being renewed: one that is given up then may be the login's last."""
    if _under_way:
        await asyncio.wait(_under_way, timeout=within_s)


class TokenAuth(httpx2.Auth):
    """Signs the requests to one server. `client`: makes the client that a token is renewed with; `renew_s`:
    how long that may take in all, and the wait for another process that does the same.
    """

    def __init__(
        self, server: HttpServer, file: TokenFile, client: Client | None = None, renew_s: float = 30.0
    ) -> None:
        self._renew_s = renew_s
        self._server = server
        self._file = file
        self._client = client or (lambda: login_client(httpx2.URL(server.url)))
        self._renewals = _renewals.setdefault(str(file.path), _Renewals())
        self._login: StoredLogin | None = None
        self.needs_login = ""
        """Why a person has to log in; empty: nobody has to."""
        self.trouble = ""
        """Why a token could not be renewed the last time, where nobody has to log in."""

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
        refusal: httpx2.Response | None = None
        if login is None or not _is_over(login) or not self._renews_without_asking(login):
            # Without a good token, the server says whether it wants one, and where to get it.
            if login is not None and not _is_over(login):
                _sign(request, login)
            response = yield request
            if response.status_code != _UNAUTHORIZED:
                self.needs_login = self.trouble = ""
                if login is not None and _is_too_little(response):
                    await self._note_scope(login, extract_scope_from_www_auth(response))
                return
            if login is None and not self._is_machine:
                self.needs_login = "nobody has logged in"
                return
            refusal = response
        login = self._login = await self._renewed(login, request, refusal)
        _sign(request, login)
        response = yield request
        if response.status_code == _UNAUTHORIZED:
            self.needs_login = "its token is refused"
            raise LoginNeeded(self.needs_login)
        if _is_too_little(response):
            await self._note_scope(login, extract_scope_from_www_auth(response))

    async def _renewed(
        self, login: StoredLogin | None, request: httpx2.Request, refusal: httpx2.Response | None
    ) -> StoredLogin:
        """Return a login that is newer than `login`.

        Raises:
            LoginNeeded: only a person can go on.
            RenewalFailed
        """
        task = self._renewals.task
        if task is None or task.done():
            task = asyncio.create_task(self._renew(login, request, refusal), name="renewal of a token")
            self._renewals.task = task
            _under_way.add(task)
            task.add_done_callback(_ended)
        try:
            renewed = await asyncio.shield(task)
        except OAuthFlowError as error:
            self.needs_login, self.trouble = told(error), ""
            raise LoginNeeded(self.needs_login) from None
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, ForbiddenAddress, OSError) as error:
            self.trouble = f"its token could not be renewed: {told(error)}"
            raise RenewalFailed(self.trouble) from None
        self.needs_login = self.trouble = ""
        return renewed

    async def _renew(
        self, login: StoredLogin | None, request: httpx2.Request, refusal: httpx2.Response | None
    ) -> StoredLogin:
        """Return the login with new tokens, which are in the file then."""
        try:
            async with self._file.locked(self._renew_s):
                # Another process may have had it renewed meanwhile, or a person has logged in or out.
                now = await asyncio.to_thread(self._file.load)
                if now is not None and now != login and not _is_over(now):
                    return now
                if not self._is_machine:
                    _refuse_without_means(now)
                if now is not None:
                    # Where nothing can be written, the token that renews is not used up.
                    await asyncio.to_thread(self._file.save, now)
                # Only now: it must not be given up because others took long.
                async with asyncio.timeout(self._renew_s):
                    return await self._exchanged(now, request, refusal)
        except TimeoutError:
            raise RenewalFailed(f"that took more than {self._renew_s:g} s") from None

    async def _exchanged(
        self, login: StoredLogin | None, request: httpx2.Request, refusal: httpx2.Response | None
    ) -> StoredLogin:
        version = request.headers.get(_VERSION_HEADER)
        # The request itself is not sent here: it is signed with what this brings.
        stand_in = httpx2.Request(
            request.method, request.url, headers={_VERSION_HEADER: version} if version else {}
        )

        async def ask(asked: httpx2.Request) -> httpx2.Response:
            if "Authorization" in asked.headers:
                return httpx2.Response(200, request=asked)
            return refusal if refusal is not None else httpx2.Response(_UNAUTHORIZED, request=asked)

        async def keep(renewed: StoredLogin) -> None:
            await asyncio.to_thread(self._file.save, renewed)

        storage = Storage(self._server.url, keep)
        async with self._client() as client:
            await follow_flow(self._provider(login, storage), stand_in, ask, client, self._renew_s)
        if storage.login is None:
            raise LoginNeeded("its token could not be renewed")
        return storage.login

    def _provider(self, login: StoredLogin | None, storage: Storage) -> OAuthClientProvider:
        client = self._server.oauth
        if client is not None and client.is_machine:
            provider = machine_provider(self._server.url, client, storage)
            storage.provider = provider
            return provider
        assert login is not None  # noqa: S101 - the caller has looked
        return RenewingProvider(self._server.url, storage, login)

    async def _note_scope(self, login: StoredLogin, scope: str | None) -> None:
        """Remember what the next login is to ask for."""
        self.needs_login = "its token does not allow this"
        if scope is None or len(scope) > _MAX_SCOPE_CHARS or scope == login.wanted_scope:
            return
        try:
            async with self._file.locked(_NOTE_S):
                # Not over a login that has come meanwhile: its token may allow this.
                if await asyncio.to_thread(self._file.load) == login:
                    noted = msgspec.structs.replace(login, wanted_scope=scope)
                    await asyncio.to_thread(self._file.save, noted)
                    self._login = noted
        except (TimeoutError, OSError):
            # The server says it again.
            return

    @property
    def _is_machine(self) -> bool:
        return self._server.oauth is not None and self._server.oauth.is_machine

    def _renews_without_asking(self, login: StoredLogin) -> bool:
        return not self._is_machine and bool(login.tokens.get("refresh_token"))


def _ended(task: asyncio.Task[StoredLogin]) -> None:
    _under_way.discard(task)
    if not task.cancelled():
        # Whoever waited has it; perhaps nobody did.
        task.exception()


def _refuse_without_means(login: StoredLogin | None) -> None:
    """Raise LoginNeeded where there is nothing that renews a token."""
    if login is None:
        raise LoginNeeded("nobody is logged in any more")
    if not login.tokens.get("refresh_token"):
        raise LoginNeeded("its token has expired" if _is_over(login) else "its token is refused")


def _is_over(login: StoredLogin) -> bool:
    return login.expires_at is not None and time.time() > login.expires_at - _EARLY_S


def _sign(request: httpx2.Request, login: StoredLogin) -> None:
    request.headers["Authorization"] = f"Bearer {login.tokens.get('access_token', '')}"


def _is_too_little(response: httpx2.Response) -> bool:
    challenge = response.headers.get("www-authenticate", "")
    return response.status_code == _FORBIDDEN and "insufficient_scope" in challenge
