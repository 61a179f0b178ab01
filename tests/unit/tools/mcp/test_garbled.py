"""An answer that is none costs the one call that it belongs to, at once, and the model is told what came."""

import asyncio
import contextlib
import gzip
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from nanobot.tools.mcp.bounded import bounded
from nanobot.tools.mcp.connection import McpConnection
from nanobot.tools.mcp.messages import (
    Answer,
    Answered,
    CallTool,
    HttpServer,
    NotDone,
    ServerEntry,
    StdioServer,
)
from nanobot.tools.mcp.token_file import StoredLogin, TokenFile
from tests import mcp_server
from tests.mcp_server import GARBLED, Era, FakeMcpServer

ERAS: tuple[Era, ...] = ("old", "new")
SERVER = str(Path(mcp_server.__file__))
Serve = Callable[[bytes, bytes], bytes]
_BOUND_S = 120


@contextlib.asynccontextmanager
async def connected(transport: StdioServer | HttpServer) -> AsyncIterator[McpConnection]:
    connection = McpConnection(ServerEntry("fake", transport, _BOUND_S), None)
    running = asyncio.create_task(connection.run())
    try:
        yield connection
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def call(connection: McpConnection, tool: str) -> Answer:
    """Call the tool, whose server is patient for ever."""
    async with asyncio.timeout(_BOUND_S):
        return await connection.ask(CallTool(1, "fake", "", tool, msgspec.Raw(b"{}")))


async def check(connection: McpConnection, tool: str, *came: str) -> Answer:
    """Call the tool while another call is under way, which goes on; return what there is to say of it."""
    waiting = asyncio.create_task(call(connection, "wait"))
    answer = await call(connection, tool)
    released = await call(connection, "release")
    waited = await waiting
    assert isinstance(released, Answered) and not released.is_error, released
    assert isinstance(waited, Answered) and waited.text == "it was released", waited
    assert isinstance(answer, NotDone) or answer.is_error  # type: ignore[union-attr]
    for text in came:
        assert text in repr(answer), answer
    return answer


def stdio(era: str) -> StdioServer:
    return StdioServer(sys.executable, (SERVER, era, "garbled"))


@pytest.mark.parametrize("era", ERAS)
async def test_a_line_that_cannot_be_read_fails_the_call_that_it_answers(era: str) -> None:
    async with connected(stdio(era)) as connection:
        for tool in GARBLED:
            # Without an id, nobody knows whose of two it is.
            if tool in ("cut_without_an_id", "nobodys_error"):
                answer = await call(connection, tool)
            else:
                answer = await check(connection, tool)
            assert isinstance(answer, Answered) and answer.is_error, (tool, answer)
            # An error of the server is one, whatever else there is.
            assert tool == "both" or "is unknown" in answer.text, (tool, answer)


async def test_the_words_of_a_line_that_cannot_be_read_are_shown() -> None:
    async with connected(stdio("new")) as connection:
        await check(connection, "word", "cannot be read", "a word")
        await check(connection, "cut", "cannot be read", "what is no message")
        await check(connection, "many", "cannot be read", "more than 100000 values")
        await check(connection, "content_word", "cannot be read", "content")


@pytest.mark.parametrize("era", ERAS)
async def test_lines_that_belong_to_standard_error_are_no_answers(era: str) -> None:
    async with connected(stdio(era)) as connection:
        for _ in range(3):
            answer = await call(connection, "noisy")
            assert isinstance(answer, Answered) and not answer.is_error, answer
            assert answer.text == "did noisy"


# Over HTTP ----------------------------------------------------------------------------------------


def reply(content: bytes, kind: str = "application/json", status: str = "200 OK", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n{more}\r\n"
    return head.encode() + content


def packed(content: bytes) -> bytes:
    return gzip.compress(content, 9)


UNREAD = "the answer cannot be read; whether the call was carried out is unknown: check before you repeat it."
GZIP = "Content-Encoding: gzip\r\n"
ANSWER = b'{"jsonrpc":"2.0","id":ID,"result":{"resultType":"complete","content":[]}}'
ANSWER_400 = b'{"jsonrpc":"2.0","id":ID,"error":{"code":-32602,"message":"it says no"}}'
SSE = "text/event-stream"
RAW: dict[str, tuple[bytes, str]] = {
    "html": (reply(b"<html>Down for <b>maintenance</b></html>", "text/html"), "<b>maintenance"),
    "empty": (reply(b""), "what is no message"),
    "no_content": (b"HTTP/1.1 204 No Content\r\n\r\n", "it answered 204"),
    "accepted": (reply(b"", status="202 Accepted"), "it answered 202"),
    "no_kind": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi"),
    "elsewhere": (reply(b"", status="302 Found", more="Location: https://example.org/in\r\n"), "example.org"),
    "html_error": (reply(b"<html>bad</html>", "text/html", "502 Bad Gateway"), "status=502"),
    "json_error": (reply(b'{"detail":"no"}', status="500 Internal Server Error"), "status=500"),
    "no_key": (reply(b"", status="401 Unauthorized"), "NotDone(id=1, why='401', may_have_run=False"),
    "too_often": (reply(b"", status="429 Too Many"), "NotDone(id=1, why='429', may_have_run=False"),
    "error_in_400": (reply(ANSWER_400, status="400 Bad Request"), "it says no (error -32602)"),
    "html_as_json": (reply(b"<html>Down</html>"), "<html>Down"),
    "batch": (reply(b"[" + ANSWER + b"]"), "what is no message"),
    "a_request": (reply(b'{"jsonrpc":"2.0","id":ID,"method":"ping"}'), "what is no message"),
    "other_id": (reply(ANSWER.replace(b"ID", b"9999")), "another call"),
    "breaks_off": (reply(b"").replace(b"h: 0", b"h: 999") + ANSWER, "may_have_run=True"),
    "no_gzip": (reply(b"no", more="Content-Encoding: gzip\r\n"), "may_have_run=True"),
    "bomb": (reply(packed(bytes(64_000_000)), more=GZIP), f"{UNREAD} an answer of more than 16777216 bytes"),
    "endless_behind": (reply(packed(b"{}") + bytes(20_000_000), more=GZIP), "an answer of more than"),
    "brotli": (reply(b"no", more="Content-Encoding: br\r\n"), "compressed as 'br'"),
    "no_http": (b"+OK ready\r\n\r\n", "may_have_run=True"),
    "half_a_head": (b"HTTP/1.1 200 OK\r\nContent-", "may_have_run=True"),
    "nothing": (b"", "may_have_run=True"),
    "event_html": (reply(b"data: <html>Down</html>\n\n", SSE), "<html>Down"),
    "event_cut": (reply(b'data: {"jsonrpc":"2.0","id":ID,"resu\n\n', SSE), "cannot be read"),
    "event_many": (reply(b"data: %b\n\n" % GARBLED["many"].encode(), SSE), "may_have_run=True"),
    "no_event": (reply(b": nothing\n\n", SSE), "may_have_run=True"),
}


class Pieces(httpx2.AsyncByteStream):
    """The body of an answer, as the network cuts it."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class RawSite:
    """A server at a URL that answers some calls with the bytes of `RAW`, and others of `GARBLED`."""

    def __init__(self, era: Era, packed_answer: Serve | None = None) -> None:
        self._packed_answer = packed_answer
        self._answers: list[dict[str, Any]] = []
        self._server = FakeMcpServer(era, self._answers.append)
        self._released = asyncio.Event()
        self.url = ""

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["RawSite"]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as listener:
            self.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/mcp"
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            lengths = [
                line.partition(":")[2] for line in head.splitlines() if line.startswith("content-length")
            ]
            body = await reader.readexactly(int(lengths[0])) if lengths else b""
            answer = await self._answer(head, body)
            writer.write(answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _answer(self, head: str, body: bytes) -> bytes:
        if not head.startswith("post"):
            return reply(b"", status="405 Method Not Allowed")
        message = json.loads(body)
        id_ = json.dumps(message.get("id")).encode()
        tool = message.get("params", {}).get("name") if message["method"] == "tools/call" else None
        if tool == "refused":
            return reply(b"", status="401 Unauthorized")
        if tool == "packed" and self._packed_answer is not None:
            return self._packed_answer(head.encode(), id_)
        if tool in RAW:
            return RAW[tool][0].replace(b"ID", id_)
        if tool in GARBLED:
            return reply(GARBLED[tool].encode().replace(b"ID", id_))
        if tool == "wait":
            await self._released.wait()
            text = {"content": [{"type": "text", "text": "it was released"}], "resultType": "complete"}
            return reply(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": text}).encode())
        if tool == "release":
            self._released.set()
            self._released = asyncio.Event()
            message["params"]["name"] = "count"
        if message["method"] == "subscriptions/listen":
            return reply(b"", status="404 Not Found")
        del self._answers[:]
        self._server.take(message)
        final = [each for each in self._answers if each.get("id") == message.get("id") and "id" in message]
        return reply(json.dumps(final[0]).encode()) if final else reply(b"", status="202 Accepted")


@pytest.mark.parametrize("era", ERAS)
async def test_an_answer_over_http_that_cannot_be_read_fails_its_call_alone(era: Era) -> None:
    async with RawSite(era).serving() as site, connected(HttpServer(site.url)) as connection:
        for tool, (_, came) in RAW.items():
            await check(connection, tool, came)
        for tool in GARBLED:
            await check(connection, tool)


@pytest.mark.parametrize("kind", ["application/json", SSE])
async def test_an_answer_that_is_compressed_unasked_is_read(kind: str) -> None:
    answer = b'{"jsonrpc":"2.0","id":ID,"result":{"resultType":"complete","content":[%b]}}'
    text = b'{"type":"text","text":"%b"}' % (b"w" * 1_000_000)

    def packed_answer(head: bytes, id_: bytes) -> bytes:
        assert b"accept-encoding: identity" in head
        content = (answer % text).replace(b"ID", id_)
        return reply(packed(b"data: %b\n\n" % content if kind == SSE else content), kind, more=GZIP)

    async with (
        RawSite("old", packed_answer).serving() as site,
        connected(HttpServer(site.url)) as connection,
    ):
        came = await call(connection, "packed")
        assert isinstance(came, Answered) and came.text.startswith("w" * 1000), came


@pytest.mark.parametrize("cut", [b"\n\n", b"\n|\n", b"\r\n\r\n", b"\r\n|\r\n", b"\r|\n\r|\n", b"|\n\n|"])
@pytest.mark.parametrize("values", [40_000, 60_000])
async def test_the_values_of_each_event_are_counted_by_themselves(cut: bytes, values: int) -> None:
    """However the network cuts the stream."""
    events = [b"data: [%b0]" % (b"0," * values)] * 4
    pieces = b"".join(event + cut for event in events).split(b"|")
    response = httpx2.Response(200, headers={"content-type": SSE}, stream=Pieces(pieces))
    await bounded(response)
    assert b"".join([piece async for piece in response.aiter_raw()]) == b"".join(pieces)


async def test_an_event_with_too_many_values_is_not_read() -> None:
    pieces = [b"data: {}\n\ndata: [", *[b"0," * 10_000] * 11, b"0]\n\n"]
    response = httpx2.Response(200, headers={"content-type": SSE}, stream=Pieces(pieces))
    await bounded(response)
    with pytest.raises(httpx2.StreamError, match="more than 100000 values"):
        _ = [piece async for piece in response.aiter_raw()]


async def test_where_nothing_listens_any_more_nothing_was_done() -> None:
    async with contextlib.AsyncExitStack() as stack:
        site = await stack.enter_async_context(RawSite("new").serving())
        async with connected(HttpServer(site.url)) as connection:
            assert isinstance(await call(connection, "count"), Answered)
            await stack.aclose()
            answer = await call(connection, "count")
            assert isinstance(answer, NotDone) and not answer.may_have_run


async def test_a_token_that_is_refused_ends_no_call_that_is_under_way(tmp_path: Path) -> None:
    async with RawSite("new").serving() as site:
        file = TokenFile(tmp_path / "it.json", site.url)
        file.save(StoredLogin(site.url, {"access_token": "access-7", "token_type": "Bearer"}))
        async with connected(HttpServer(site.url, tokens=str(file.path))) as connection:
            answer = await check(connection, "refused")
            assert isinstance(answer, NotDone) and answer.needs_login and not answer.may_have_run
