"""One who attacks: what all attacks are made of."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

CHAT: Final = "/v1/chat/completions"
_TIMEOUT_S = 30.0
_CONNECTIONS = 900
ADDRESS: Final = "127.0.0.2"
"""Not that of the innocent: one who attacks has an address of their own, where nobody has an API key."""


class Attacker:
    """One who attacks the server at `port` until the time is over."""

    def __init__(self, port: int, seconds: float) -> None:
        self.port = port
        self._until = time.perf_counter() + seconds

    @property
    def is_at_work(self) -> bool:
        return time.perf_counter() < self._until

    def rounds(self) -> Iterator[int]:
        """Yield numbers until the time is over."""
        number = 0
        while self.is_at_work:
            yield number
            number += 1

    def in_threads(self, number: int, attack: Callable[[int], None]) -> None:
        """Attack from so many threads; each gets its number."""
        threads = [threading.Thread(target=attack, args=(index,), daemon=True) for index in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, self._until - time.perf_counter()) + 1)

    def send(self, method: str, path: str, body: bytes, key: str, **headers: str) -> int:
        """Return the status of the answer, 0 where there was none."""
        return self.ask(method, path, body, key, **headers)[0]

    def ask(self, method: str, path: str, body: bytes, key: str, **headers: str) -> tuple[int, bytes]:
        """Return the status of the answer and its body; 0 where there was none."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=_TIMEOUT_S, source_address=(ADDRESS, 0)
        )
        try:
            given = {"content-type": "application/json", "x-session-key": key, **headers}
            connection.request(method, path, body, given)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def chat(self, key: str, content: object, **fields: object) -> int:
        """Return the status of a turn."""
        message = {"role": "user", "content": content}
        return self.send(
            "POST", CHAT, json.dumps({"model": "nanobot", "messages": [message], **fields}).encode(), key
        )

    def chat_on(self, key: str, content: str) -> None:
        """Take turns, each in one of fifty sessions, until the time is over."""
        for number in self.rounds():
            self.chat(f"{key}:{number % 50}", content)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 5, source_address=(ADDRESS, 0))

    def flood(self, head: bytes, first: bytes, piece: bytes) -> None:
        """Begin a request, and send `piece` for as long as the server takes it; then again."""
        for _ in self.rounds():
            with contextlib.suppress(OSError), self.connect() as sent:
                sent.settimeout(5)
                sent.sendall(head + first)
                while self.is_at_work:
                    sent.sendall(piece)


def head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "host: localhost", *lines, "", "")).encode()


def open_many(attacker: Attacker, request: Callable[[int], bytes], most: int = _CONNECTIONS) -> None:
    """Send hundreds of requests, each on a connection of its own, and wait for no answer."""
    opened: list[socket.socket] = []
    for number in attacker.rounds():
        if len(opened) == most:
            time.sleep(0.05)
            continue
        with contextlib.suppress(OSError):
            sent = attacker.connect()
            sent.sendall(request(number))
            opened.append(sent)
    for sent in opened:
        sent.close()
