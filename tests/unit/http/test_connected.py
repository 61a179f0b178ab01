"""A client that goes away while its turn runs."""

import asyncio
import socket
import sys

import pytest
from starlette.types import Message, Receive, Scope, Send

from nanobot.http import connected
from nanobot.http.connected import Connected, has_gone, is_there
from tests.harness import listening

WITHIN_S = 20.0


class Client:
    """What a server hears of a client that has sent its request: nothing until it is gone."""

    def __init__(self) -> None:
        self.asked = 0
        self._gone = asyncio.Event()

    async def receive(self) -> Message:
        self.asked += 1
        await self._gone.wait()
        return {"type": "http.disconnect"}

    def go(self) -> None:
        self._gone.set()


@pytest.mark.parametrize(("look_after_s", "watch_after_s"), [(0.0, 60.0), (0.0, 0.0)])
async def test_a_client_that_goes_ends_the_block_by_a_look_or_by_the_watch(
    look_after_s: float, watch_after_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connected, "_LOOK_AFTER_S", look_after_s)
    monkeypatch.setattr(connected, "_WATCH_AFTER_S", watch_after_s)
    client = Client()
    if watch_after_s:
        client.go()
    else:
        asyncio.get_running_loop().call_later(0.01, client.go)
    has_ended = False
    async with asyncio.timeout(WITHIN_S):
        async with Connected(client.receive):
            await asyncio.Event().wait()
            has_ended = True
    assert not has_ended
    assert not asyncio.current_task().cancelling()  # type: ignore[union-attr]


async def test_a_turn_that_ends_before_the_watch_takes_one_look_and_no_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connected, "_LOOK_AFTER_S", 0.0)
    client = Client()
    async with Connected(client.receive):
        while not client.asked:
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert client.asked == 1


async def test_what_is_called_meanwhile_is_called_at_its_own_intervals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connected, "_LOOK_AFTER_S", 0.0)
    monkeypatch.setattr(connected, "_WATCH_AFTER_S", 60.0)
    quiet = asyncio.Event()

    async def on_quiet() -> None:
        quiet.set()

    async with asyncio.timeout(WITHIN_S), Connected(Client().receive, on_quiet, 0.001):
        await quiet.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of it")
@pytest.mark.parametrize("leaves", [True, False], ids=["gone", "there"])
async def test_a_client_that_has_gone_is_known_before_the_loop_is_told(leaves: bool) -> None:
    """As after a time for which the process was stopped: the answer is ready, and so is the client's end."""
    told: asyncio.Future[tuple[bool, bool]] = asyncio.get_running_loop().create_future()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if leaves:
            client.close()
        # Nothing is awaited in between.
        told.set_result((has_gone(receive), is_there(scope, receive)))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with listening(app) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        with client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            async with asyncio.timeout(30):
                assert await told == (False, not leaves)
