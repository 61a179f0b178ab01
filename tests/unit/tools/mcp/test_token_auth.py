"""Requests are signed with the token of a login, renewed once and for all who have to wait for it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from nanobot.tools.mcp.messages import HttpServer, OAuthClient
from nanobot.tools.mcp.oauth import LoginNeeded, TokenAuth
from nanobot.tools.mcp.token_file import StoredLogin, TokenFile

URL = "https://mcp.example.org/mcp"
CLIENT = {"client_id": "it", "redirect_uris": ["http://127.0.0.1/callback"]}
METADATA = {
    "issuer": "https://mcp.example.org",
    "authorization_endpoint": "https://mcp.example.org/authorize",
    "token_endpoint": "https://mcp.example.org/token",
    "response_types_supported": ["code"],
}
TOO_LITTLE = {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="notes more"'}
Handler = Callable[[httpx2.Request], Awaitable[httpx2.Response]]


def login(name: str, *, is_over: bool = False) -> StoredLogin:
    tokens = {"access_token": f"access-{name}", "refresh_token": f"refresh-{name}", "token_type": "Bearer"}
    expires_at = time.time() + (-1 if is_over else 3_600)
    return StoredLogin(URL, tokens, expires_at, CLIENT, METADATA, None, "https://mcp.example.org")


def renewed(**more: Any) -> httpx2.Response:
    tokens = {"access_token": "access-new", "refresh_token": "refresh-new", "token_type": "Bearer"}
    return httpx2.Response(200, json={**tokens, "expires_in": 3_600, **more})


class Site:
    """A server whose login is in `file`; `handler` answers."""

    def __init__(self, tmp_path: Path, handler: Handler, **named: Any) -> None:
        self.file = TokenFile(tmp_path / "it.json", URL)
        self.seen: list[httpx2.Request] = []
        self._handler = handler
        self._server = HttpServer(URL, oauth=named.pop("oauth", None))
        self._named = named

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.seen.append(request)
        return await self._handler(request)

    def auth(self) -> TokenAuth:
        return TokenAuth(self._server, self.file, **self._named)

    async def post(self, auth: TokenAuth) -> httpx2.Response:
        transport = httpx2.MockTransport(self._answer)
        async with httpx2.AsyncClient(auth=auth, transport=transport) as client:
            return await client.post(URL, content=b"{}")

    def count(self, path: str) -> int:
        return sum(request.url.path == path for request in self.seen)


async def test_a_scope_that_is_missing_is_not_written_over_a_login_that_has_come_meanwhile(
    tmp_path: Path,
) -> None:
    async def answer(_: httpx2.Request) -> httpx2.Response:
        # Somebody logs in, in another process, while the server refuses what the old token does not allow.
        site.file.save(login("newer"))
        return httpx2.Response(403, headers=TOO_LITTLE)

    site = Site(tmp_path, answer)
    site.file.save(login("old"))
    await site.post(site.auth())
    now = site.file.load()
    assert now is not None and now.tokens["refresh_token"] == "refresh-newer"


async def test_a_scope_that_is_missing_is_remembered_for_the_next_login(tmp_path: Path) -> None:
    async def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(403, headers=TOO_LITTLE)

    site = Site(tmp_path, answer)
    site.file.save(login("old"))
    auth = site.auth()
    await site.post(auth)
    now = site.file.load()
    assert now is not None and now.wanted_scope == "notes more" and auth.needs_login


async def test_who_waits_for_a_renewal_does_not_wait_for_the_answer_to_another_request(
    tmp_path: Path,
) -> None:
    goes_on, is_asked = asyncio.Event(), asyncio.Event()

    async def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/token":
            return renewed()
        if not is_asked.is_set():
            # A call that takes long: it answers only once the others have been answered.
            is_asked.set()
            await goes_on.wait()
        return httpx2.Response(200)

    site = Site(tmp_path, answer)
    site.file.save(login("old", is_over=True))
    auth = site.auth()
    async with asyncio.TaskGroup() as group:
        group.create_task(site.post(auth))
        await is_asked.wait()
        for each in (auth, site.auth()):
            async with asyncio.timeout(20):
                assert (await site.post(each)).status_code == 200
        goes_on.set()
    assert site.count("/token") == 1
    assert {each.headers["authorization"] for each in site.seen if each.url.path == "/mcp"} == {
        "Bearer access-new"
    }


async def test_many_at_once_renew_a_token_once(tmp_path: Path) -> None:
    async def answer(request: httpx2.Request) -> httpx2.Response:
        return renewed() if request.url.path == "/token" else httpx2.Response(200)

    site = Site(tmp_path, answer)
    site.file.save(login("old", is_over=True))
    auths = [site.auth(), site.auth()]
    answers = await asyncio.gather(*(site.post(auths[number % 2]) for number in range(10)))
    assert [each.status_code for each in answers] == [200] * 10
    assert site.count("/token") == 1


async def test_a_token_that_is_refused_right_after_it_was_renewed_needs_a_person(tmp_path: Path) -> None:
    async def answer(request: httpx2.Request) -> httpx2.Response:
        return renewed() if request.url.path == "/token" else httpx2.Response(401)

    site = Site(tmp_path, answer)
    site.file.save(login("old"))
    auth = site.auth()
    with pytest.raises(LoginNeeded):
        await site.post(auth)
    assert auth.needs_login == "its token is refused"
    assert site.count("/token") == 1 and site.count("/mcp") == 2


class _Endless(httpx2.AsyncByteStream):
    async def __aiter__(self) -> Any:
        while True:
            yield b" "
            await asyncio.sleep(0)


async def test_a_renewal_that_does_not_end_holds_nobody_up_for_ever(tmp_path: Path) -> None:
    limits: list[object] = []
    is_well = False

    async def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/mcp":
            return httpx2.Response(200)
        limits.append(request.extensions.get("timeout"))
        return renewed() if is_well else httpx2.Response(200, stream=_Endless())

    site = Site(tmp_path, answer, renew_s=0.05)
    site.file.save(login("old", is_over=True))
    auth = site.auth()
    with pytest.raises(httpx2.ReadTimeout, match="renewed within"):
        await site.post(auth)
    assert limits == [{"connect": 0.05, "read": 0.05, "write": 0.05, "pool": 0.05}]
    is_well = True
    assert (await site.post(auth)).status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        {"access_token": "canary-7 "},
        {"access_token": "canary-7", "token_type": "mac"},
        {"access_token": ["canary-7"], "token_type": "Bearer"},
        {"access_token": "canary-7\r\nX: y", "token_type": "Bearer"},
        {"access_token": "canary-7\n", "token_type": "Bearer"},
        {"access_token": "canary-7\u20ac", "token_type": "Bearer"},
        {"access_token": "canary-7", "token_type": "Bearer", "expires_in": "soon"},
        [["canary-7"]],
    ],
)
@pytest.mark.parametrize("is_machine", [False, True])
async def test_an_answer_that_is_no_token_is_shown_nowhere(
    tmp_path: Path, content: object, is_machine: bool
) -> None:
    async def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/token":
            return httpx2.Response(200, content=json.dumps(content))
        if request.url.path == "/.well-known/oauth-authorization-server":
            return httpx2.Response(200, json=METADATA)
        return httpx2.Response(401 if request.url.path == "/mcp" else 404)

    issuer = "https://mcp.example.org"
    oauth = OAuthClient("it", "hush", issuer=issuer, is_machine=True) if is_machine else None
    site = Site(tmp_path, answer, oauth=oauth)
    if not is_machine:
        site.file.save(login("old", is_over=True))
    auth = site.auth()
    with pytest.raises(LoginNeeded) as raised:
        await site.post(auth)
    assert site.count("/token") == 1
    assert auth.needs_login and "canary" not in f"{auth.needs_login} {raised.value}"
