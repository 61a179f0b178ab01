"""Connections that have ended take no memory, however they ended: who opens thousands would fill it."""

import asyncio
import gc
import socket
import struct
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from nanobot.testing import ScriptedModel
from tests.asgi import BOUND_S
from tests.flow.paused import PausedModel
from tests.flow.test_api_connections import head
from tests.harness import Listener, OpenHarness, listening

_RESET = struct.pack("ii", 1, 0)
_CHAT = b'{"model":"nanobot","stream":true,"messages":[{"role":"user","content":"hello"}]}'
_STREAM = head("POST", "/v1/chat/completions", "x-session-key: a", f"content-length: {len(_CHAT)}") + _CHAT
ANSWERED = {
    "an answer": head("GET", "/health"),
    "an error": head("POST", "/v1/chat/completions", "content-length: 1900"),
    "a stream": _STREAM,
    "several requests": head("GET", "/health") * 3,
    "a request that wished for another protocol": head(
        "GET", "/health", "connection: upgrade", "upgrade: h2c"
    ),
    "no HTTP": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "half a head": head("GET", "/health") + b"GET /hea",
}


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    """What refers to itself stays, as it does for long in a server that has many objects."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def connections_of(server: Listener) -> list[weakref.ref[Any]]:
    known = [weakref.ref(each) for each in server.server_state.connections]
    assert known
    return known


async def until_gone(known: list[weakref.ref[Any]]) -> None:
    async with asyncio.timeout(BOUND_S):
        while any(each() is not None for each in known):
            await asyncio.sleep(0.001)


def cut(writer: asyncio.StreamWriter, how: str) -> None:
    if how == "reset":
        connected: Any = writer.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.close()


@pytest.mark.parametrize("how", ["closed", "reset"])
@pytest.mark.parametrize("request_", ANSWERED.values(), ids=ANSWERED)
async def test_a_connection_that_was_answered_is_forgotten_once_it_is_lost(
    open_harness: OpenHarness, request_: bytes, how: str
) -> None:
    async with listening((await open_harness(ScriptedModel("one"))).app.asgi) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request_)
        async with asyncio.timeout(BOUND_S):
            assert (await reader.read(12)).startswith(b"HTTP/1.1 ")
        known = connections_of(server)
        cut(writer, how)
        await until_gone(known)


@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_a_stream_that_is_cut_while_it_waits_is_forgotten(open_harness: OpenHarness, how: str) -> None:
    model = PausedModel()
    async with listening((await open_harness(model)).app.asgi) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(_STREAM)
        async with asyncio.timeout(BOUND_S):
            await model.asked.wait()
        known = connections_of(server)
        cut(writer, how)
        await until_gone(known)
