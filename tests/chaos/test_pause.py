"""A server that stands still for longer than its clients wait: their retries find the turn that they sent."""

import sys
import threading
from pathlib import Path

import httpx2
import openai
import pytest

from tests.chaos.judge import Evidence
from tests.chaos.launch import RETRIES
from tests.chaos.server import Server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pauses by SIGSTOP")
KEY = {"x-session-key": "chaos:dm:1"}


BOUND_S = 30.0


class Asking(threading.Thread):
    """One request of the stock SDK in a thread, with the SDK's own retries and no Idempotency-Key.

    `retried` is set when the client has given up its first attempt and sends the next.
    """

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.answer = ""
        self.retried = threading.Event()
        client = openai.DefaultHttpxClient(event_hooks={"request": [self._notice]})
        self._client = openai.OpenAI(
            base_url=url, api_key="none", timeout=0.3, max_retries=100, http_client=client
        )

    def run(self) -> None:
        with self._client:
            answer = self._client.chat.completions.create(
                model="nanobot", messages=[{"role": "user", "content": "are you there?"}], extra_headers=KEY
            )
        self.answer = answer.choices[0].message.content or ""

    def _notice(self, request: httpx2.Request) -> None:
        if request.headers["x-stainless-retry-count"] != "0":
            self.retried.set()


def test_a_pause_longer_than_the_client_waits_starts_one_turn(tmp_path: Path) -> None:
    server = Server(tmp_path, {}, model="echo", module="tests.chaos.launch")
    try:
        server.start()
        server.wait_ready()
        server.pause()
        asking = Asking(server.url)
        asking.start()
        assert asking.retried.wait(BOUND_S)
        server.go_on()
        asking.join(BOUND_S)
        assert asking.answer == "You said: are you there?"
        server.stop(10)
    finally:
        server.kill()
    evidence = Evidence(server.data, tmp_path)
    assert [found.message.text for found in evidence.messages] == [
        "are you there?",
        "You said: are you there?",
    ]
    assert [turn.status for turn in evidence.turns.values()] == ["done"]
    assert (tmp_path / RETRIES).read_text()
