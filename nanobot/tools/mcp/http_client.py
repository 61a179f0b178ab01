"""The HTTP client for MCP servers at a URL. It bounds what it reads, and remembers how it was refused."""

import secrets
from pathlib import Path
from typing import Any, Literal, cast

import httpx2
import mcp_types as types
import msgspec

from nanobot.tools.mcp import addresses
from nanobot.tools.mcp.bounded import AS_IT_IS, TooMuchToRead, bounded
from nanobot.tools.mcp.messages import HttpServer
from nanobot.tools.mcp.oauth import LoginNeeded, RenewalFailed
from nanobot.tools.mcp.token_auth import TokenAuth
from nanobot.tools.mcp.token_file import TokenFile

_CONNECT_S = 30.0
_OK, _ACCEPTED, _REDIRECTS, _REFUSED = 200, 202, 300, 400
_NEEDS_LOGIN = (401, 403)
_NOT_FOUND = 404
_REFUSED_BEFORE = (401, 403, 405, 406, 413, 415, 429)
"""Who answers so has not begun with the call."""
_MAX_CAME_BYTES = 200
Failure = Literal["unsent", "login", "broken", "status", "garbled"]
"""Why a call has no answer: it was not sent or taken, a person has to log in, the answer broke off, has only
a status of HTTP, or is none.
"""


class _Sent(msgspec.Struct):
    """A message that is sent: a request has an id and a method."""

    id: int | str | None = None
    method: str | None = None


class _Received(msgspec.Struct):
    id: int | str | float | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class HttpClient:
    """Asks one server. `client` is for the SDK's transport: it follows redirects to one origin only."""

    def __init__(self, server: HttpServer) -> None:
        self.refusal: int | None = None
        """The status of the last answer, where it was an error."""
        self._own = httpx2.URL(server.url)
        self._mark = secrets.token_hex(16)
        self.auth: TokenAuth | None = None
        has_key = any(name.lower() == "authorization" for name in server.headers)
        if server.tokens is not None and not has_key:
            self.auth = TokenAuth(server, TokenFile(Path(server.tokens), server.url))
        self.client = _ContainedClient(
            self,
            auth=self.auth,
            headers={"User-Agent": "nanobot", **AS_IT_IS, **server.headers},
            # How long an answer may take, the server of the agent knows.
            timeout=httpx2.Timeout(_CONNECT_S, read=None),
            event_hooks={"request": [self._check], "response": [self._look]},
        )

    def failure_of(self, error: types.ErrorData) -> Failure | None:
        """Return which failure the error stands for; None: the server has said it."""
        if isinstance(error.data, str) and error.data.startswith(self._mark):
            return cast("Failure", error.data[len(self._mark) :])
        return None

    def failed(self, request: httpx2.Request, call: int | str, why: str, how: Failure) -> httpx2.Response:
        """Return an answer to the call that says so."""
        error = {"code": types.INTERNAL_ERROR, "message": why, "data": self._mark + how}
        return httpx2.Response(_OK, json={"jsonrpc": "2.0", "id": call, "error": error}, request=request)

    @property
    def needs_login(self) -> bool:
        """Whether a person has to log in."""
        return self.auth is not None and bool(self.auth.needs_login)

    async def _check(self, request: httpx2.Request) -> None:
        addresses.check(self._own, request.url)

    async def _look(self, response: httpx2.Response) -> None:
        self.refusal = response.status_code if response.status_code >= _REFUSED else None
        await bounded(response)


class _ContainedClient(httpx2.AsyncClient):
    """Once it `contains`, what goes wrong with a request costs that call only: the SDK's transport would end
    the connection, and all calls that are under way.
    """

    contains = False

    def __init__(self, owner: HttpClient, **named: Any) -> None:
        super().__init__(**named)
        self._owner = owner

    async def send(self, request: httpx2.Request, **named: Any) -> httpx2.Response:
        """Send the request; an error is an answer to the call that says so."""
        if not self.contains or request.method != "POST":
            return await super().send(request, **named)
        sent = msgspec.json.decode(request.content, type=_Sent)
        try:
            response = await super().send(request, **named)
            if sent.id is None or sent.method is None:
                return response
            return await self._answer(request, sent.id, response)
        except Exception as error:  # noqa: BLE001 - the libraries below raise what they like
            if sent.id is None or sent.method is None:
                # Nobody waits for an answer.
                return httpx2.Response(_ACCEPTED, request=request)
            return self._owner.failed(request, sent.id, _words(error), _how(error))

    async def _answer(
        self, request: httpx2.Request, call: int | str, response: httpx2.Response
    ) -> httpx2.Response:
        """Return the answer where the transport can read it; of another one, what it is."""
        status, kind = response.status_code, response.headers.get("content-type", "").lower()
        if status in _NEEDS_LOGIN and self._owner.needs_login:
            await response.aclose()
            return self._owner.failed(request, call, f"it answered {status}", "login")
        if status >= _REFUSED and status != _NOT_FOUND:
            content = await response.aread() if kind.startswith("application/json") else b""
            received = _received(content)
            if received is not None and received.error is not msgspec.UNSET:
                return response
            how: Failure = "unsent" if status in _REFUSED_BEFORE else "status"
            await response.aclose()
            return self._owner.failed(request, call, str(status), how)
        if status >= _REDIRECTS or kind.startswith("text/event-stream"):
            return response
        if status == _ACCEPTED or not kind.startswith("application/json"):
            head = await _head(response)
            came = f" as {kind.partition(';')[0]}" if kind else ""
            why = f"it answered {status}{came}, which is no answer to a call"
            return self._owner.failed(request, call, f"{why}: {head}" if head else why, "garbled")
        content = await response.aread()
        received = _received(content)
        if received is None:
            head = content[:_MAX_CAME_BYTES].decode(errors="replace")
            return self._owner.failed(
                request, call, f"it answered what is no message of the protocol: {head}", "garbled"
            )
        if received.id is None and received.error is not msgspec.UNSET:
            # It could not even read whose error it is.
            answer = {"jsonrpc": "2.0", "id": call, "error": received.error}
            return httpx2.Response(
                _OK,
                content=msgspec.json.encode(answer),
                headers={"content-type": "application/json"},
                request=request,
            )
        if str(received.id) != str(call):
            return self._owner.failed(request, call, "it answered another call than this", "garbled")
        return response


def _received(content: bytes) -> _Received | None:
    """Return the answer that the content is; None: it is none."""
    try:
        received = msgspec.json.decode(content, type=_Received)
    except (ValueError, RecursionError):
        # What the SDK reads, and this does not, is read: numbers that are none, for one.
        try:
            message = types.jsonrpc_message_adapter.validate_json(content, by_name=False)
        except ValueError:
            return None
        if not isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
            return None
        received = _Received(message.id, msgspec.Raw(b"{}"))
    is_answer = msgspec.UNSET in (received.result, received.error) and received.result is not received.error
    return received if is_answer else None


async def _head(response: httpx2.Response) -> str:
    """Return how the answer begins, and leave the rest."""
    head = b""
    try:
        async for chunk in response.aiter_bytes():
            head += chunk
            if len(head) >= _MAX_CAME_BYTES:
                break
    finally:
        await response.aclose()
    return head[:_MAX_CAME_BYTES].decode(errors="replace")


def _how(error: Exception) -> Failure:
    if isinstance(error, LoginNeeded):
        return "login"
    if isinstance(error, TooMuchToRead):
        return "garbled"
    unsent = (
        RenewalFailed,
        addresses.ForbiddenAddress,
        httpx2.ConnectError,
        httpx2.ConnectTimeout,
        httpx2.PoolTimeout,
    )
    return "unsent" if isinstance(error, unsent) else "broken"


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
