"""A chat platform that delivers one message again and again, whether its bot hangs up or the server dies."""

import asyncio
import contextlib
import http.client
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.chaos.judge import Evidence
from tests.chaos.server import Server
from tests.upstream import Asked, Gate, Reply, Upstream, finish, spoken, text

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills by SIGKILL")
HEADERS = {"x-session-key": "chaos:dm:1", "idempotency-key": "message-4711"}
BODY = {"model": "nanobot", "messages": [{"role": "user", "content": "Will it rain?"}], "stream": True}
GRACE_S = 4.0
"""Far longer than from one delivery to the next."""
BOUND_S = 30.0


class Provider:
    """A provider that says "It " and goes on when it is `let`, in a thread of its own."""

    def __init__(self) -> None:
        self.url = ""
        self.gates: list[Gate] = []
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _answer(self, asked: Asked) -> Reply:
        gate = Gate()
        self.gates.append(gate)
        return spoken(text("It "), gate, text("rains."), finish())

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        async with Upstream(self._answer) as upstream:
            self.url = upstream.url
            self._ready.set()
            await self._over.wait()

    def let(self, number: int) -> None:
        """Let the answer of that number go on."""
        self._loop.call_soon_threadsafe(self.gates[number].open)

    def __enter__(self) -> "Provider":
        self._thread.start()
        assert self._ready.wait(BOUND_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(BOUND_S)
        self._loop.close()


@contextlib.contextmanager
def delivery(server: Server) -> Iterator[http.client.HTTPResponse]:
    """Deliver the message; hang up at the end of the block."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=BOUND_S)
    try:
        connection.request(
            "POST",
            "/v1/chat/completions",
            json.dumps(BODY),
            {**HEADERS, "content-type": "application/json"},
        )
        yield connection.getresponse()
    finally:
        connection.close()


def hears(response: http.client.HTTPResponse, words: str) -> None:
    """Return when the words have come."""
    while words.encode() not in response.readline():
        continue


def answer_of(server: Server) -> tuple[str, str]:
    """Deliver the message and stay; return the turn that answers, and its text."""
    with delivery(server) as response:
        assert response.status == 200, response.read()
        lines = [line[6:] for line in response.read().splitlines() if line.startswith(b"data: {")]
    deltas = [json.loads(line)["choices"][0]["delta"] for line in lines]
    return response.headers["x-turn-id"], "".join(delta.get("content", "") for delta in deltas)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + BOUND_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_message_that_is_delivered_many_times_has_one_answer(tmp_path: Path) -> None:
    with Provider() as provider:
        settings = {
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": provider.url,
            "NANOBOT_API_DISCONNECT_GRACE_S": str(GRACE_S),
        }
        server = Server(tmp_path, settings, model="openai:test")
        try:
            server.start()
            server.wait_ready()
            # Two deliveries that hang up follow one turn.
            for _ in range(2):
                with delivery(server) as response:
                    hears(response, "It ")
                    turn_id = response.headers["x-turn-id"]
            assert len(provider.gates) == 1
            # The process dies in the middle: the turn goes on by itself.
            server.kill()
            server.start()
            server.wait_ready()
            until(lambda: len(provider.gates) == 2)
            # Somebody listens, hangs up, and nobody comes back in time.
            with delivery(server) as response:
                hears(response, "It ")
            until(lambda: status_of(server, turn_id) == "cancelled")
            assert len(provider.gates) == 2
            # The next delivery is answered: the turn goes on.
            following = threading.Thread(target=lambda: heard.append(answer_of(server)))
            heard: list[tuple[str, str]] = []
            following.start()
            until(lambda: len(provider.gates) == 3)
            provider.let(2)
            following.join(BOUND_S)
            # All later ones get the same answer, after another death too.
            heard += [answer_of(server) for _ in range(2)]
            server.kill()
            server.start()
            server.wait_ready()
            heard += [answer_of(server) for _ in range(2)]
            server.stop(BOUND_S)
        finally:
            server.kill()
    assert heard == [(turn_id, "It rains.")] * 5
    assert len(provider.gates) == 3
    evidence = Evidence(server.data, tmp_path)
    assert evidence.integrity == ["ok"]
    assert len(evidence.turns) == 1


def status_of(server: Server, turn_id: str) -> str:
    return str(httpx2.get(f"{server.url}/turns/{turn_id}", timeout=BOUND_S).json()["status"])
