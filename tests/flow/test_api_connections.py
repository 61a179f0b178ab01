"""What a client may send around a request: framing, trailers, headers that come twice, bodies without end."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from nanobot.http import connections
from nanobot.testing import ScriptedModel
from tests.asgi import BOUND_S, chat_body
from tests.flow.paused import PausedModel, until_asked, until_status
from tests.harness import Harness, Listener, OpenHarness, listening


@pytest.fixture
async def harness(open_harness: OpenHarness) -> Harness:
    return await open_harness(ScriptedModel("one", "two", "three"))


@pytest.fixture
async def server(harness: Harness) -> AsyncIterator[Listener]:
    async with listening(harness.app.asgi) as server:
        yield server


class Connection:
    """A connection that sends what a test says, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send_until_hung_up_on(self, piece: bytes, *, at_most: int) -> int:
        """Send `piece` again and again; return how many bytes the server has let in before it hung up."""
        sent = 0
        try:
            async with asyncio.timeout(BOUND_S):
                while sent < at_most:
                    self.writer.write(piece)
                    await self.writer.drain()
                    sent += len(piece)
        except ConnectionError:
            pass
        return sent

    async def answers(self) -> bytes:
        """Return all that comes until the server closes the connection."""
        async with asyncio.timeout(BOUND_S):
            return await self.reader.read()

    async def answer(self) -> tuple[int, bytes]:
        """Return status and body of one answer with a length."""
        async with asyncio.timeout(BOUND_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.partition(b":")[2])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            return int(head.split(b" ")[1]), await self.reader.readexactly(length)


@pytest.fixture
async def connection(server: Listener) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    yield Connection(reader, writer)
    writer.close()


def head(method: str, path: str, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunked(body: bytes, trailers: bytes = b"") -> bytes:
    return b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailers)


# Endless requests ---------------------------------------------------------------------------------

ENDLESS = {
    "trailers": (b"0\r\n", b"x-trailer: " + b"x" * 10_000 + b"\r\n"),
    "one trailer": (b"0\r\nx-trailer: ", b"x" * 10_000),
    "the extension of a chunk": (b"1;name=", b"x" * 10_000),
    "chunks": (b"", b"2710\r\n" + b"x" * 10_000 + b"\r\n"),
    "extensions of many chunks": (b"", b"1;" + b"x" * 10_000 + b"\r\nx\r\n"),
}
SOCKET_BUFFERS = 16 * 1024 * 1024
"""Far more than the buffers of a connection's two ends hold."""


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/nowhere", "/v1/sessions/a/events"])
@pytest.mark.parametrize("endless", ENDLESS)
async def test_a_request_that_does_not_end_is_hung_up_on(
    harness: Harness, connection: Connection, path: str, endless: str
) -> None:
    """Whether its route answers at once, never, or is none: no body is read there."""
    await harness.door.chat("a", "hello")
    first, piece = ENDLESS[endless]
    connection.writer.write(head("GET", path, "transfer-encoding: chunked") + first)
    sent = await connection.send_until_hung_up_on(piece, at_most=SOCKET_BUFFERS)
    assert sent < SOCKET_BUFFERS


@pytest.mark.parametrize("endless", ["trailers", "one trailer", "the extension of a chunk"])
async def test_a_body_that_is_read_has_no_endless_framing_either(
    connection: Connection, endless: str
) -> None:
    first, piece = ENDLESS[endless]
    start = head("POST", "/v1/chat/completions", "x-session-key: a", "transfer-encoding: chunked")
    connection.writer.write(start + first)
    sent = await connection.send_until_hung_up_on(piece, at_most=SOCKET_BUFFERS)
    assert sent < SOCKET_BUFFERS


async def test_a_body_that_goes_on_after_the_answer_is_given_a_moment_only(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REST_TIMEOUT_S", 0.05)
    connection.writer.write(head("GET", "/health", "content-length: 1000") + b"x")
    answers = await connection.answers()
    assert answers.startswith(b"HTTP/1.1 200 ")


async def test_a_small_body_that_nothing_reads_does_no_harm(connection: Connection) -> None:
    for _ in range(2):
        connection.writer.write(head("GET", "/health", "content-length: 1000") + b"x" * 1000)
        assert await connection.answer() == (200, b'{"status":"ok"}')


async def test_a_body_in_chunks_of_one_byte_is_read(harness: Harness, connection: Connection) -> None:
    body = chat_body("hello")
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    start = head("POST", "/v1/chat/completions", "x-session-key: a", "transfer-encoding: chunked")
    connection.writer.write(start + pieces + b"0\r\n\r\n")
    status, _ = await connection.answer()
    assert status == 200


async def test_a_body_in_endless_tiny_chunks_is_hung_up_on(connection: Connection) -> None:
    """Each takes as long to parse as a large one."""
    connection.writer.write(
        head("POST", "/v1/chat/completions", "x-session-key: a", "transfer-encoding: chunked")
    )
    sent = await connection.send_until_hung_up_on(b"1\r\nx\r\n" * 2_000, at_most=SOCKET_BUFFERS)
    assert sent < SOCKET_BUFFERS


async def test_chunks_of_a_usual_size_may_be_many(harness: Harness, connection: Connection) -> None:
    body = chat_body("x" * 300_000)
    pieces = b"".join(
        b"%x\r\n%b\r\n" % (len(piece), piece)
        for piece in (body[at : at + 100] for at in range(0, len(body), 100))
    )
    start = head("POST", "/v1/chat/completions", "x-session-key: a", "transfer-encoding: chunked")
    connection.writer.write(start + pieces + b"0\r\n\r\n")
    status, answer = await connection.answer()
    assert (status, b"context_length_exceeded" in answer) == (400, True), "read, and found to be too long"


# Requests that are sent ahead ---------------------------------------------------------------------


async def test_requests_that_are_sent_ahead_are_answered_in_order(connection: Connection) -> None:
    connection.writer.write(b"".join(head("GET", f"/v1/turns/turn_{number}") for number in range(20)))
    for number in range(20):
        status, body = await connection.answer()
        assert status == 404 and b"turn_%d'" % number in body


async def test_a_client_that_sends_requests_ahead_without_end_is_hung_up_on(connection: Connection) -> None:
    """They would fill the memory while the first one is answered."""
    sent = await connection.send_until_hung_up_on(head("GET", "/v1/models") * 500, at_most=SOCKET_BUFFERS)
    assert sent < SOCKET_BUFFERS


async def test_a_client_that_leaves_with_requests_ahead_is_noticed(open_harness: OpenHarness) -> None:
    """The turn of the first one would be followed by nobody, and yet not be left."""
    model = PausedModel()
    harness = await open_harness(model, api={"disconnect_grace_s": 0})
    async with listening(harness.app.asgi) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        body = chat_body("hello", stream=True)
        start = head("POST", "/v1/chat/completions", "x-session-key: a", f"content-length: {len(body)}")
        writer.write(start + body + head("GET", "/health") * 3)
        await until_asked(model)
        turn = (await harness.app.store.messages("a", limit=1))[0].turn_id
        assert turn is not None
        writer.transport.abort()
        await until_status(harness, turn, "cancelled")


# Trailers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["x-session-key: b", "authorization: Bearer no", "host: evil.example"])
async def test_a_trailer_changes_nothing_that_the_head_has_said(
    harness: Harness, connection: Connection, header: str
) -> None:
    start = head("POST", "/v1/chat/completions", "x-session-key: a", "transfer-encoding: chunked")
    connection.writer.write(start + chunked(chat_body("hello"), header.encode() + b"\r\n"))
    status, _ = await connection.answer()
    assert status == 200
    assert (await harness.door.get("/v1/sessions/b")).status == 404
    assert (await harness.door.get("/v1/sessions/a")).json["messages"] == 2


async def test_a_session_named_in_a_trailer_is_not_named(connection: Connection) -> None:
    start = head("POST", "/v1/chat/completions", "transfer-encoding: chunked")
    connection.writer.write(start + chunked(chat_body("hello"), b"x-session-key: b\r\n"))
    status, body = await connection.answer()
    assert (status, b"missing_session_key" in body) == (400, True)


async def test_a_retry_count_in_a_trailer_makes_no_message_a_resend(
    harness: Harness, connection: Connection
) -> None:
    await harness.door.chat("a", "hello")
    start = head("POST", "/v1/chat/completions", "x-session-key: a", "transfer-encoding: chunked")
    for _ in range(2):
        connection.writer.write(start + chunked(chat_body("go"), b"x-stainless-retry-count: 1\r\n"))
        assert (await connection.answer())[0] == 200
    assert (await harness.door.get("/v1/sessions/a")).json["messages"] == 6


# Heads --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    ["x-session-key", "authorization", "idempotency-key", "x-when-busy", "host", "origin", "content-type"],
)
async def test_a_header_that_may_come_once_is_refused_twice(connection: Connection, header: str) -> None:
    """A proxy might read the first and the server the last."""
    value = "localhost" if header == "host" else "http://localhost" if header == "origin" else "a"
    lines = [f"{header}: {value}"] * (1 if header == "host" else 2)
    connection.writer.write(head("POST", "/v1/chat/completions", *lines, "content-length: 2") + b"{}")
    status, body = await connection.answer()
    assert (status, b"came more than once" in body) == (400, True)


async def test_a_header_with_a_list_may_come_in_pieces(connection: Connection) -> None:
    connection.writer.write(head("GET", "/health", "accept: a/b", "accept: c/d", "via: x", "via: y"))
    assert (await connection.answer())[0] == 200


async def test_one_of_several_session_headers_that_comes_twice_is_refused(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"session_headers": ["X-Chat-Id"]})
    async with listening(harness.app.asgi) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        lines = ("x-chat-id: a", "X-Chat-ID: b", "content-length: 2")
        writer.write(head("POST", "/v1/chat/completions", *lines) + b"{}")
        status, body = await Connection(reader, writer).answer()
        writer.close()
    assert (status, b"x-chat-id" in body) == (400, True)


@pytest.mark.parametrize("host", ["localhost/evil", "localhost:89x", "localhost:8900/", "localhost#a"])
async def test_a_host_that_is_none_is_refused(harness: Harness, host: str) -> None:
    reply = await harness.door.get("/v1/models", {"host": host})
    assert (reply.status, reply.error["code"]) == (400, "invalid_http")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://evil.example/v1/models", 403),
        ("http://localhost@evil.example/v1/models", 403),
        ("HTTP://evil.example:80?x=1", 403),
        ("http://localhost/evil:80:80/v1/models", 404),
        ("http://localhost:8900/v1/models", 200),
        ("http://127.0.0.1/v1/models?limit=2", 200),
        ("http://[::1]:8900/health", 200),
        ("http://localhost", 404),
    ],
)
async def test_the_host_of_an_absolute_target_counts_and_not_the_headers(
    connection: Connection, target: str, status: int
) -> None:
    connection.writer.write(head("GET", target))
    assert (await connection.answer())[0] == status


@pytest.mark.parametrize("coding", ["gzip, chunked", "identity, chunked", "xchunked, chunked"])
async def test_a_transfer_coding_that_is_not_undone_is_refused(connection: Connection, coding: str) -> None:
    start = head("POST", "/v1/chat/completions", "x-session-key: a", f"transfer-encoding: {coding}")
    connection.writer.write(start + chunked(chat_body("hello")))
    status, body = await connection.answer()
    assert (status, b"invalid_http" in body) == (400, True)


async def test_chunks_in_http_1_0_are_refused(connection: Connection) -> None:
    start = head("POST", "/v1/chat/completions", "x-session-key: a", "transfer-encoding: chunked")
    connection.writer.write(start.replace(b"HTTP/1.1", b"HTTP/1.0") + chunked(chat_body("hello")))
    status, body = await connection.answer()
    assert (status, b"invalid_http" in body) == (400, True)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "gzip, identity"])
async def test_a_compressed_body_is_refused_as_such(harness: Harness, encoding: str) -> None:
    headers = {"x-session-key": "a", "content-encoding": encoding}
    reply = await harness.door.call("POST", "/v1/chat/completions", body=b"\x1f\x8b", headers=headers)
    assert (reply.status, reply.error["code"]) == (415, "unsupported_encoding")


# Session keys -------------------------------------------------------------------------------------

TAKING_KEYS = {
    "a path": ("GET", "/v1/sessions/a%C2%85", None),
    "a path's messages": ("GET", "/v1/sessions/%0Aa/messages", None),
    "usage": ("GET", "/v1/sessions/a%C2%85/usage", None),
    "events": ("GET", "/v1/sessions/a%C2%85/events", None),
    "export": ("GET", "/v1/sessions/a%C2%85/export", None),
    "an import": ("POST", "/v1/sessions/a%C2%85/import", b""),
    "the target of a fork": ("POST", "/v1/sessions/a/fork", b'{"key": "b\\u0085"}'),
    "a conversation": ("GET", "/v1/conversations/a%1C", None),
    "items of a conversation": ("GET", "/v1/conversations/a%0D/items", None),
    "the target of a fork, broken": ("POST", "/v1/sessions/a/fork", b'{"key": "b\\ud800"}'),
    "a conversation, broken": (
        "POST",
        "/v1/responses",
        b'{"model": "nanobot", "input": "x", "conversation": {"id": "a\\udfff"}}',
    ),
    "a path, broken": ("GET", "/v1/sessions/a%EF%BF%BD", None),
    "the conversation of a response": (
        "POST",
        "/v1/responses",
        b'{"model": "nanobot", "input": "x", "conversation": "a\\n"}',
    ),
}


@pytest.mark.parametrize("taking", TAKING_KEYS)
async def test_a_control_character_or_a_broken_one_in_a_key_is_refused_everywhere(
    harness: Harness, taking: str
) -> None:
    """Stripped, it would lead to the conversation of another key."""
    await harness.door.chat("a", "hello")
    method, path, body = TAKING_KEYS[taking]
    reply = await harness.door.call(method, path, body=body or b"")
    assert (reply.status, reply.error["code"]) == (400, "invalid_session_key")


async def test_a_control_character_at_the_end_of_the_header_is_refused(harness: Harness) -> None:
    reply = await harness.door.chat("a\u0085", "hello")
    assert (reply.status, reply.error["code"]) == (400, "invalid_session_key")


# Requests that wish for another protocol ----------------------------------------------------------

H2C = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAEAAEAAAAIAAAABAAMAAABk")
"""What Java's own HTTP client sends with the first request of each connection."""
WEBSOCKET = ("connection: keep-alive, upgrade", "upgrade: websocket", "sec-websocket-version: 13")


@pytest.mark.parametrize("wish", [H2C, WEBSOCKET])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_request_that_would_rather_speak_another_protocol_is_answered_like_any_other(
    harness: Harness, connection: Connection, wish: tuple[str, ...], *, is_chunked: bool
) -> None:
    body = chat_body("hello")
    framing = "transfer-encoding: chunked" if is_chunked else f"content-length: {len(body)}"
    asked = head("POST", "/v1/chat/completions", "x-session-key: a", framing, *wish)
    asked += chunked(body) if is_chunked else body
    connection.writer.write(asked)
    assert b'"one"' in (await connection.answer())[1]
    connection.writer.write(asked.replace(b"hello", b"other"))
    assert b'"two"' in (await connection.answer())[1]
    _, page = await connection_get(connection, "/v1/sessions/a")
    assert b'"messages":4' in page


async def connection_get(connection: Connection, path: str) -> tuple[int, bytes]:
    connection.writer.write(head("GET", path))
    return await connection.answer()


async def test_such_a_request_may_come_in_pieces_and_with_others_behind_it(
    harness: Harness, connection: Connection
) -> None:
    body = chat_body("hello")
    first = head("POST", "/v1/chat/completions", "x-session-key: a", f"content-length: {len(body)}", *H2C)
    for start in range(0, len(first + body), 7):
        connection.writer.write((first + body)[start : start + 7])
        await connection.writer.drain()
        await asyncio.sleep(0)
    assert b'"one"' in (await connection.answer())[1]
    connection.writer.write(head("GET", "/health", *H2C) * 3)
    assert [(await connection.answer())[0] for _ in range(3)] == [200, 200, 200]


async def test_nothing_is_read_after_a_request_for_a_tunnel(connection: Connection) -> None:
    connection.writer.write(head("CONNECT", "/health") + head("GET", "/health"))
    answers = await connection.answers()
    assert (answers[:12], answers.count(b"HTTP/1.1 ")) == (b"HTTP/1.1 405", 1)


# Requests that are refused by the connection ------------------------------------------------------


@pytest.mark.parametrize("is_second", [False, True])
async def test_a_target_that_is_too_long_is_refused_without_a_fault(
    connection: Connection, caplog: pytest.LogCaptureFixture, *, is_second: bool
) -> None:
    if is_second:
        await connection_get(connection, "/health")
    connection.writer.write(head("GET", "/health?" + "a" * 70_000))
    assert (await connection.answers())[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431")
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    ("start", "status"),
    [(b"POST / HTTP/1.1\r\nhost: a\x7f\r\n\r\n", 400), (b"GET / HTTP/1.1\r\na: " + b"a" * 70_000, 431)],
)
async def test_a_client_that_goes_on_sending_reads_why_it_was_refused(
    connection: Connection, start: bytes, status: int
) -> None:
    connection.writer.write(start)
    for _ in range(10):
        connection.writer.write(b"x" * 20_000)
        await connection.writer.drain()
        await asyncio.sleep(0)
    assert (await connection.answers()).startswith(b"HTTP/1.1 %d" % status)


async def test_a_client_that_was_refused_and_goes_on_without_end_is_hung_up_on(
    connection: Connection,
) -> None:
    connection.writer.write(b"no http\r\n\r\n")
    sent = await connection.send_until_hung_up_on(b"x" * 10_000, at_most=4 * SOCKET_BUFFERS)
    assert sent < 2 * SOCKET_BUFFERS


@pytest.mark.parametrize("version", ["HTTP/2.0", "HTTP/0.9"])
async def test_another_version_of_the_protocol_is_refused(connection: Connection, version: str) -> None:
    connection.writer.write(head("GET", "/health").replace(b"HTTP/1.1", version.encode()))
    assert (await connection.answers())[:12] == b"HTTP/1.1 400"
