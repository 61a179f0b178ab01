"""Who may come in, and what every route answers: keys, hosts, origins, limits, unknown routes."""

import asyncio
import json
from typing import Any

import pytest

from nanobot.core.message import Message
from nanobot.http import connections
from nanobot.testing import Say, ScriptedModel
from tests.asgi import ABSENT, BOUND_S, Door, chat_body
from tests.harness import OpenHarness, listening

ROUTES = [
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/turns/turn_x"),
    ("GET", "/v1/turns/turn_x/stream"),
    ("POST", "/v1/turns/turn_x/cancel"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/nanobot"),
]

# API key ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    [
        ABSENT,
        "",
        "Bearer",
        "Bearer ",
        "Bearer sk-wrong",
        "Basic sk-right",
        "sk-right",
        "Bearer sk-right2",
        "Bearer ключ",
    ],
)
async def test_where_a_key_is_set_nobody_comes_in_without_it(
    open_harness: OpenHarness, authorization: str
) -> None:
    """On any route, and where there is none, but for the chat page, which holds nothing of anybody."""
    harness = await open_harness(api={"key": "sk-right", "max_bad_keys": 0})
    for method, path in (*ROUTES, ("GET", "/nowhere")):
        reply = await harness.door.call(
            method, path, body=b"{}", headers={"authorization": authorization, "x-session-key": "a"}
        )
        assert reply.status == 401
        assert (reply.error["type"], reply.error["code"], reply.error["param"]) == (
            "authentication_error",
            "invalid_api_key",
            None,
        )
        assert reply.headers["www-authenticate"] == "Bearer"
        assert reply.headers["x-request-id"]
        assert "sk-" not in reply.text


async def test_what_a_wrong_key_is_told_does_not_depend_on_the_key(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"key": "sk-right"})
    replies = [
        await harness.door.get("/v1/models", {"authorization": f"Bearer {key}"})
        for key in ("x", "sk-righ", "sk-right1", "y" * 1000)
    ]
    assert len({reply.raw for reply in replies}) == 1


@pytest.mark.parametrize("authorization", ["Bearer sk-right", "bearer sk-right", "BEARER  sk-right "])
async def test_with_the_key_everybody_comes_in(open_harness: OpenHarness, authorization: str) -> None:
    harness = await open_harness(api={"key": "sk-right"})
    assert (await harness.door.chat("a", "hello", {"authorization": authorization})).said == "ok"


@pytest.mark.parametrize("path", ["/health", "/ready"])
async def test_health_and_readiness_need_no_key(open_harness: OpenHarness, path: str) -> None:
    harness = await open_harness(api={"key": "sk-right"})
    assert (await harness.door.get(path)).status == 200


@pytest.mark.parametrize("path", ["/health/", "//health", "/health/../v1/models", "/HEALTH", "/health?x"])
async def test_only_those_two_need_no_key(open_harness: OpenHarness, path: str) -> None:
    harness = await open_harness(api={"key": "sk-right"})
    assert (await harness.door.get(path)).status == (200 if path == "/health?x" else 401)


# Host and Origin ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8900", "127.0.0.1:8900", "[::1]:8900", "LocalHost:1"]
)
async def test_the_machines_own_names_come_in(door: Door, host: str) -> None:
    assert (await door.get("/v1/models", {"host": host})).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8900",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.1.7",
        "",
        "localhost@evil.example",
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/health"])
async def test_another_name_is_refused_on_loopback(door: Door, host: str, path: str) -> None:
    """Else a web page could reach the agent by a name of its own that leads here (DNS rebinding)."""
    reply = await door.get(path, {"host": host})
    assert reply.status == 403
    assert reply.error["code"] == "forbidden_origin"
    assert "allowed_hosts" in reply.error["message"]


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://evil.example:8900", "null", "file://", "https://localhost.evil.example"],
)
async def test_a_page_of_another_site_is_refused(door: Door, origin: str) -> None:
    reply = await door.chat("a", "hello", {"origin": origin})
    assert reply.status == 403
    assert reply.error["code"] == "forbidden_origin"


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:8900", "http://127.0.0.1:8900", "http://[::1]:8900", "https://LOCALHOST:8900"],
)
async def test_a_page_of_this_server_comes_in(door: Door, origin: str) -> None:
    headers = {"origin": origin, "host": "localhost:8900"}
    assert (await door.chat("a", "hello", headers)).status == 200


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:89000", "null"]
)
async def test_a_page_of_another_program_of_this_machine_is_kept_out(door: Door, origin: str) -> None:
    headers = {"origin": origin, "host": "localhost:8900"}
    assert (await door.chat("a", "hello", headers)).status == 403


FETCHES = [("no-cors", "image"), ("no-cors", "script"), ("navigate", "iframe"), ("cors", "empty")]
"""What a page has its browser fetch without an origin: mode and destination."""


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(("mode", "dest"), FETCHES)
async def test_what_a_page_of_another_site_embeds_is_refused(
    door: Door, site: str, mode: str, dest: str
) -> None:
    """How long it takes would tell the page whether a search has found something."""
    fetch = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
    reply = await door.get("/v1/sessions?q=secret", fetch)
    assert (reply.status, reply.error["code"]) == (403, "forbidden_origin")


@pytest.mark.parametrize(
    ("site", "mode", "dest"),
    [
        ("cross-site", "navigate", "document"),
        ("same-origin", "no-cors", "script"),
        ("same-origin", "cors", "empty"),
        ("none", "navigate", "document"),
    ],
)
async def test_what_this_servers_pages_fetch_and_who_opens_one_comes_in(
    door: Door, site: str, mode: str, dest: str
) -> None:
    fetch = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
    assert (await door.get("/docs", fetch)).status == 200


async def test_a_page_of_another_program_comes_in_where_it_is_listed(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"cors_origins": ["http://localhost:3000"]})
    headers = {"origin": "http://localhost:3000", "host": "localhost:8900"}
    assert (await harness.door.chat("a", "hello", headers)).status == 200


async def test_further_names_come_in_where_they_are_listed(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"allowed_hosts": ["Agent.example"]})
    assert (
        await harness.door.chat(
            "a", "hello", {"host": "agent.example:443", "origin": "https://agent.example"}
        )
    ).status == 200
    assert (await harness.door.get("/health", {"host": "localhost"})).status == 200
    assert (await harness.door.get("/health", {"host": "other.example"})).status == 403


async def test_a_server_that_is_open_to_others_takes_any_name(open_harness: OpenHarness) -> None:
    harness = await open_harness(server={"host": "0.0.0.0"}, api={"key": "sk-right"})
    headers = {"host": "10.0.0.7:8900", "origin": "https://chat.example", "authorization": "Bearer sk-right"}
    assert (await harness.door.chat("a", "hello", headers)).status == 200


async def test_a_server_on_another_loopback_address_answers_to_it(open_harness: OpenHarness) -> None:
    harness = await open_harness(server={"host": "127.0.0.2"})
    assert (await harness.door.get("/health", {"host": "127.0.0.2:8900"})).status == 200


# Routes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v2/chat/completions",
        "/v1/chat/completions/",
        "/v1/models/",
        "/favicon.ico",
        "/v1/turns/",
        "/%00",
        "/..",
        "/用户",
    ],
)
async def test_where_there_is_nothing_the_answer_is_an_error_too(door: Door, path: str) -> None:
    reply = await door.get(path)
    assert reply.status == 404
    assert reply.error["type"] == "invalid_request_error"
    assert reply.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET" if method == "POST" else "POST", path) for method, path in ROUTES]
    + [("DELETE", "/health"), ("PUT", "/ready"), ("PATCH", "/v1/models")],
)
async def test_a_method_that_a_route_does_not_take_is_an_error_that_names_those_it_does(
    door: Door, method: str, path: str
) -> None:
    reply = await door.call(method, path)
    assert reply.status == 405
    assert (reply.error["type"], reply.error["code"]) == ("invalid_request_error", "method_not_allowed")
    assert method in reply.error["message"]
    assert reply.headers["allow"]
    assert method not in reply.headers["allow"]


async def test_models_are_listed_as_openai_does(open_harness: OpenHarness) -> None:
    harness = await open_harness(presets={"fast": ScriptedModel()}, models={"fast": {"name": "echo"}})
    listed = (await harness.door.get("/v1/models")).json
    assert [model["id"] for model in listed["data"]] == ["nanobot", "nanobot:fast"]
    assert (listed["object"], listed["first_id"], listed["last_id"], listed["has_more"]) == (
        "list",
        "nanobot",
        "nanobot:fast",
        False,
    )
    for model in listed["data"]:
        assert {**model, "created": 0} == {
            "id": model["id"],
            "object": "model",
            "created": 0,
            "owned_by": "nanobot",
        }
        assert (await harness.door.get(f"/v1/models/{model['id']}")).json == model
    assert (await harness.door.get("/v1/models/fast")).json == {**listed["data"][1], "id": "fast"}
    reply = await harness.door.get("/v1/models/gpt-9")
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")


# Limits at the socket -----------------------------------------------------------------------------


async def test_headers_over_the_limit_are_refused(door: Door) -> None:
    reply = await door.get("/health", {"x-long": "x" * 70_000})
    assert reply.status == 431
    assert reply.error["code"] == "head_too_large"


async def test_a_head_of_many_short_lines_is_refused(open_harness: OpenHarness) -> None:
    """Within 64 KiB there is room for fifteen thousand of them, each as costly as a long one."""
    async with listening((await open_harness()).app.asgi) as server:
        status, _, body = await request(
            server.port, b"GET /health HTTP/1.1\r\nhost: localhost\r\n" + b"a:\r\n" * 256 + b"\r\n"
        )
    assert (status, error_of(body)["code"]) == (431, "head_too_large")


async def request(port: int, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send raw bytes, and return the answer when the server has closed the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(raw)
        async with asyncio.timeout(BOUND_S):
            answer = await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return int(lines[0].split(" ")[1]), headers, body


def error_of(body: bytes) -> dict[str, Any]:
    shown = json.loads(body)
    assert list(shown) == ["error"]
    assert list(shown["error"]) == ["message", "type", "param", "code"]
    return dict(shown["error"])


async def test_a_head_without_end_is_refused_at_the_socket(open_harness: OpenHarness) -> None:
    async with listening((await open_harness()).app.asgi) as server:
        head = b"GET /health HTTP/1.1\r\nhost: localhost\r\nx-long: " + b"x" * 60_000
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head)
        await writer.drain()
        writer.write(b"x" * 10_000)
        async with asyncio.timeout(BOUND_S):
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert error_of(answer.partition(b"\r\n\r\n")[2])["code"] == "head_too_large"


@pytest.mark.parametrize("begun", [b"", b"GET /health HTTP/1.1\r\nhost: local"])
async def test_a_client_whose_head_does_not_come_is_hung_up_on(
    open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    """Else a few idle sockets would keep everybody else out."""
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.05)
    async with listening((await open_harness()).app.asgi) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(begun)
        async with asyncio.timeout(BOUND_S):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_does_not_read_is_hung_up_on(
    open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody follows its turn any more then: what it held is let go."""
    monkeypatch.setattr(connections, "STALLED_TIMEOUT_S", 0.05)
    harness = await open_harness(ScriptedModel("x" * 30_000_000))
    async with listening(harness.app.asgi) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        body = chat_body("hello", stream=True)
        head = (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-session-key: a\r\ncontent-length:"
            b" %d\r\n\r\n" % len(body)
        )
        writer.write(head + body)
        async with asyncio.timeout(BOUND_S):
            while not server.server_state.connections:
                await asyncio.sleep(0.001)
            while server.server_state.connections:
                await asyncio.sleep(0.001)
        writer.transport.abort()


@pytest.mark.parametrize(
    "raw",
    [
        b"hello\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\ncontent-length: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_in_the_shape_of_every_error(
    open_harness: OpenHarness, raw: bytes
) -> None:
    async with listening((await open_harness()).app.asgi) as server:
        status, headers, body = await request(server.port, raw)
    assert status == 400
    assert headers["content-type"] == "application/json"
    assert error_of(body)["type"] == "invalid_request_error"


async def test_a_body_over_the_limit_is_refused_at_the_socket_while_the_client_still_sends(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(api={"max_body_mb": 0.1})
    async with listening(harness.app.asgi) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-session-key: a\r\ncontent-length:"
            b" 50000000\r\n\r\n"
        )
        writer.write(b"x" * 20_000)
        async with asyncio.timeout(BOUND_S):
            answer = await reader.readuntil(b"}}")
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert error_of(answer.partition(b"\r\n\r\n")[2])["code"] == "request_too_large"


async def test_a_client_that_closes_its_socket_is_seen_to_be_gone(open_harness: OpenHarness) -> None:
    gate = asyncio.Event()
    model = ScriptedModel(Say(("Hello", " there"), between=gate))
    harness = await open_harness(model, api={"disconnect_grace_s": 0.0})
    body = json.dumps(
        {"model": "nanobot", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    ).encode()
    async with listening(harness.app.asgi) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-session-key: a\r\ncontent-length:"
            b" %d\r\n\r\n%b" % (len(body), body)
        )
        async with asyncio.timeout(BOUND_S):
            await reader.readuntil(b"Hello")
            writer.close()
            await writer.wait_closed()
            while model.closed_streams == 0 or harness.app.engine.running:
                await asyncio.sleep(0)
    messages: list[Message] = [row.message for row in await harness.app.store.messages("a", limit=9)]
    assert [message.text for message in messages] == ["hello", "Hello"]
