"""Requests are signed with the token of a login, renewed once and for all who have to wait for it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from nanobot.tools.mcp import signing_in
from nanobot.tools.mcp.messages import HttpServer, OAuthClient
from nanobot.tools.mcp.oauth import LoginNeeded, RenewalFailed
from nanobot.tools.mcp.token_auth import TokenAuth, renewals_ended
from nanobot.tools.mcp.token_file import StoredLogin, TokenFile
from tests.asgi import BOUND_S

URL = "https://mcp.example.org/mcp"
CLIENT = {"client_id": "it", "redirect_uris": ["http://127.0.0.1/callback"]}
MACHINE = OAuthClient("it", "hush", issuer="https://mcp.example.org", is_machine=True)
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

    def _client(self, auth: TokenAuth | None = None) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(auth=auth, transport=httpx2.MockTransport(self._answer))

    def auth(self) -> TokenAuth:
        return TokenAuth(self._server, self.file, self._client, **self._named)

    async def post(self, auth: TokenAuth) -> httpx2.Response:
        async with self._client(auth) as client:
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
            async with asyncio.timeout(BOUND_S):
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


async def test_a_token_that_another_process_is_renewing_is_waited_for_and_used(tmp_path: Path) -> None:
    async def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/token":
            # What renews it is good for once.
            return httpx2.Response(400, json={"error": "invalid_grant"})
        is_good = request.headers["authorization"] == "Bearer access-theirs"
        return httpx2.Response(200 if is_good else 401)

    site = Site(tmp_path, answer)
    site.file.save(login("old", is_over=True))
    auth = site.auth()
    theirs = TokenFile(site.file.path, URL)
    async with theirs.locked(1):
        posting = asyncio.create_task(site.post(auth))
        await until_it_waits_for_a_lock(site, posting)
        theirs.save(login("theirs"))
    assert (await posting).status_code == 200
    assert not auth.needs_login and not site.count("/token")


async def until_it_waits_for_a_lock(site: Site, posting: "asyncio.Task[httpx2.Response]") -> None:
    """Give the task all the turns that it takes; with the lock it does nothing after the first few."""
    for _ in range(200):
        await asyncio.to_thread(site.file.load)
    assert not posting.done() and not site.seen


async def test_a_process_that_does_not_end_its_renewal_is_no_reason_to_log_in(tmp_path: Path) -> None:
    async def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(401)

    site = Site(tmp_path, answer, renew_s=0.05)
    site.file.save(login("old", is_over=True))
    auth = site.auth()
    async with TokenFile(site.file.path, URL).locked(1):
        with pytest.raises(RenewalFailed, match="could not be renewed: that took more than"):
            await site.post(auth)
    assert not auth.needs_login and auth.trouble and not site.seen


async def test_a_renewal_whose_request_is_given_up_brings_its_token_all_the_same(tmp_path: Path) -> None:
    is_asked, goes_on = asyncio.Event(), asyncio.Event()

    async def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/token":
            # From here on the token before renews nothing any more.
            is_asked.set()
            await goes_on.wait()
            return renewed()
        return httpx2.Response(200)

    site = Site(tmp_path, answer)
    site.file.save(login("old", is_over=True))
    posting = asyncio.create_task(site.post(site.auth()))
    await is_asked.wait()
    posting.cancel()
    await asyncio.gather(posting, return_exceptions=True)
    goes_on.set()
    await renewals_ended(20)
    now = site.file.load()
    assert now is not None and now.tokens["refresh_token"] == "refresh-new"


async def test_who_has_logged_out_is_not_logged_in_again_by_a_renewal(tmp_path: Path) -> None:
    async def answer(request: httpx2.Request) -> httpx2.Response:
        return renewed() if request.url.path == "/token" else httpx2.Response(401 if is_late else 200)

    site, is_late = Site(tmp_path, answer), False
    site.file.save(login("old"))
    auth = site.auth()
    assert (await site.post(auth)).status_code == 200
    site.file.delete()
    is_late = True
    with pytest.raises(LoginNeeded, match="nobody is logged in any more"):
        await site.post(auth)
    assert site.file.load() is None and not site.count("/token")


@pytest.mark.parametrize("status", [500, 503, 429])
@pytest.mark.parametrize("is_machine", [False, True])
async def test_an_authorization_server_that_fails_is_asked_again_and_no_reason_to_log_in(
    tmp_path: Path, status: int, is_machine: bool
) -> None:
    is_well = False

    async def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/token":
            return renewed() if is_well else httpx2.Response(status, content="canary-7")
        if request.url.path == "/.well-known/oauth-authorization-server":
            return httpx2.Response(200, json=METADATA)
        if request.url.path == "/mcp":
            return httpx2.Response(
                200 if request.headers.get("authorization") == "Bearer access-new" else 401
            )
        return httpx2.Response(404)

    site = Site(tmp_path, answer, oauth=MACHINE if is_machine else None)
    if not is_machine:
        site.file.save(login("old", is_over=True))
    auth = site.auth()
    with pytest.raises(RenewalFailed, match=f"mcp.example.org answered {status}"):
        await site.post(auth)
    assert not auth.needs_login
    is_well = True
    assert (await site.post(auth)).status_code == 200
    assert not auth.trouble


async def test_where_nothing_can_be_written_the_token_that_renews_is_not_used_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(request: httpx2.Request) -> httpx2.Response:
        return renewed() if request.url.path == "/token" else httpx2.Response(200)

    site = Site(tmp_path, answer)
    site.file.save(login("old", is_over=True))

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(site.file, "save", full)
    with pytest.raises(RenewalFailed, match="No space left"):
        await site.post(site.auth())
    assert not site.seen


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


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"


@pytest.mark.parametrize("whole", [b"", b"HTTP/1.1 200 OK\r\nX: ", HEAD])
async def test_an_answer_that_comes_byte_by_byte_holds_nobody_up_for_ever(
    tmp_path: Path, whole: bytes
) -> None:
    """`whole`: what comes at once; nothing, where it is not even a status."""
    over = asyncio.Event()

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(whole)
        while not over.is_set():
            writer.write(b"1" if whole else b"")
            await writer.drain()
            await asyncio.wait([ended], timeout=0.001)
        writer.close()

    ended = asyncio.ensure_future(over.wait())
    async with await asyncio.start_server(drip, "127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        old = msgspec.structs.replace(
            login("old", is_over=True), url=url, metadata={**METADATA, "token_endpoint": f"{url}/token"}
        )
        file = TokenFile(tmp_path / "it.json", url)
        file.save(old)
        auth = TokenAuth(HttpServer(url), file, renew_s=0.2)
        async with asyncio.timeout(60), httpx2.AsyncClient(auth=auth) as client:
            with pytest.raises(RenewalFailed, match="could not be renewed"):
                await client.post(url, content=b"{}")
        over.set()
        await ended
    assert not auth.needs_login


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

    site = Site(tmp_path, answer, oauth=MACHINE if is_machine else None)
    if not is_machine:
        site.file.save(login("old", is_over=True))
    auth = site.auth()
    with pytest.raises(LoginNeeded) as raised:
        await site.post(auth)
    assert site.count("/token") == 1
    assert auth.needs_login and "canary" not in f"{auth.needs_login} {raised.value}"


async def test_a_login_is_held_up_by_no_answer_that_comes_byte_by_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_in, "_TIMEOUT_S", 0.2)
    over = asyncio.Event()
    ended = asyncio.ensure_future(over.wait())

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not over.is_set():
            writer.write(b"1")
            await writer.drain()
            await asyncio.wait([ended], timeout=0.001)
        writer.close()

    async def nobody(*_: str) -> Any:
        raise AssertionError("there is nothing to agree to")

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        server = HttpServer(url, tokens=str(tmp_path / "it.json"))
        async with asyncio.timeout(60):
            with pytest.raises(signing_in.LoginFailed, match=r"did not answer within 0\.2 s"):
                await signing_in.log_in(server, "http://127.0.0.1/callback", nobody, nobody)
        over.set()
        await ended
