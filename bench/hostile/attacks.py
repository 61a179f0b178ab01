"""The attacks: each does what it can for some seconds, from as many connections as it likes.

Run: `python -m bench.hostile.attacks NAME PORT SECONDS`.
"""

import contextlib
import http.client
import io
import json
import socket
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Final

_CHAT = "/v1/chat/completions"
_TIMEOUT_S = 30.0


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
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_S)
        try:
            given = {"content-type": "application/json", "x-session-key": key, **headers}
            connection.request(method, path, body, given)
            response = connection.getresponse()
            response.read()
            return response.status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def chat(self, key: str, content: object, **fields: object) -> int:
        """Return the status of a turn."""
        message = {"role": "user", "content": content}
        return self.send(
            "POST", _CHAT, json.dumps({"model": "nanobot", "messages": [message], **fields}).encode(), key
        )

    def chat_on(self, key: str, content: str) -> None:
        """Take turns, each in one of fifty sessions, until the time is over."""
        for number in self.rounds():
            self.chat(f"{key}:{number % 50}", content)

    def flood(self, head: bytes, first: bytes, piece: bytes) -> None:
        """Begin a request, and send `piece` for as long as the server takes it; then again."""
        for _ in self.rounds():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as sent:
                sent.settimeout(5)
                sent.sendall(head + first)
                while self.is_at_work:
                    sent.sendall(piece)


def _head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "host: localhost", *lines, "", "")).encode()


_CHUNKED_HEALTH = _head("GET", "/health", "transfer-encoding: chunked")


def endless_trailers(attacker: Attacker) -> None:
    attacker.in_threads(
        4, lambda _: attacker.flood(_CHUNKED_HEALTH, b"0\r\n", b"x-trailer: " + b"x" * 16_000 + b"\r\n")
    )


def endless_body(attacker: Attacker) -> None:
    piece = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    attacker.in_threads(4, lambda _: attacker.flood(_CHUNKED_HEALTH, b"", piece))


def schemas_that_multiply(attacker: Attacker) -> None:
    levels: dict[str, object] = {
        f"a{level}": {"allOf": [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(18)
    }
    levels["a18"] = {"type": "object"}
    schema = {"$defs": levels, "$ref": "#/$defs/a0", "unevaluatedProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}

    def attack(thread: int) -> None:
        for number in attacker.rounds():
            attacker.chat(f"schema:{thread}:{number}", "Answer.", response_format=wanted)

    attacker.in_threads(4, attack)


def large_messages(attacker: Attacker) -> None:
    for _ in attacker.rounds():
        attacker.chat("large", "x" * 19_000_000)


def many_messages(attacker: Attacker) -> None:
    one = b'{"role":"user","content":"x"},{"role":"assistant","content":"y"},'
    body = b'{"model":"nanobot","messages":[' + one * 150_000 + b'{"role":"user","content":"z"}]}'
    for number in attacker.rounds():
        attacker.send("POST", _CHAT, body, f"many:{number}")


def many_calls(attacker: Attacker) -> None:
    attacker.in_threads(
        2,
        lambda thread: attacker.chat_on(f"calls:{thread}", "many-calls"),
    )


def endless_answers(attacker: Attacker) -> None:
    attacker.in_threads(
        4,
        lambda thread: attacker.chat_on(f"endless:{thread}", "endless"),
    )


def unread_answers(attacker: Attacker) -> None:
    """Streams that nobody reads."""
    body = b'{"model":"nanobot","stream":true,"messages":[{"role":"user","content":"endless"}]}'

    def attack(thread: int) -> None:
        opened: list[socket.socket] = []
        for number in attacker.rounds():
            if len(opened) < 8:
                sent = socket.create_connection(("127.0.0.1", attacker.port), 5)
                key = f"x-session-key: unread:{thread}:{number}"
                sent.sendall(_head("POST", _CHAT, key, f"content-length: {len(body)}") + body)
                opened.append(sent)
            time.sleep(0.05)
        for sent in opened:
            sent.close()

    attacker.in_threads(2, attack)


def slow_files(attacker: Attacker) -> None:
    """Documents that take as long to read as they may."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        )
        archive.writestr("word/document.xml", "<a>" + "<p>word</p>" * 3_000_000 + "</a>")

    def attack(thread: int) -> None:
        for number in attacker.rounds():
            boundary = "x"
            body = (
                (
                    f'--{boundary}\r\ncontent-disposition: form-data; name="message"\r\n\r\nRead it.\r\n'
                    f'--{boundary}\r\ncontent-disposition: form-data; name="files"; filename="a.docx"\r\n\r\n'
                ).encode()
                + content.getvalue()
                + f"\r\n--{boundary}--\r\n".encode()
            )
            kind = {"content-type": f"multipart/form-data; boundary={boundary}"}
            attacker.send("POST", _CHAT, body, f"files:{thread}:{number}", **kind)

    attacker.in_threads(4, attack)


def many_turns(attacker: Attacker) -> None:
    """Turns of many sessions, as fast as they are taken."""
    attacker.in_threads(
        16,
        lambda thread: attacker.chat_on(f"turns:{thread}", "x"),
    )


def large_imports(attacker: Attacker) -> None:
    line = '{"type":"message","role":"user","content":"x"}\n'
    body = ('{"type":"session","version":2,"key":"x"}\n' + line * 400_000).encode()
    for number in attacker.rounds():
        attacker.send("POST", f"/v1/sessions/import:{number}/import", body, "x")


def deep_json(attacker: Attacker) -> None:
    body = b'{"model":"nanobot","messages":' + b"[" * 9_000_000 + b"]" * 9_000_000 + b"}"
    for number in attacker.rounds():
        attacker.send("POST", _CHAT, body, f"deep:{number}")


ATTACKS: Final[dict[str, Callable[[Attacker], None]]] = {
    attack.__name__.replace("_", " "): attack
    for attack in (
        endless_trailers,
        endless_body,
        schemas_that_multiply,
        large_messages,
        many_messages,
        many_calls,
        endless_answers,
        unread_answers,
        slow_files,
        many_turns,
        large_imports,
        deep_json,
    )
}


def main() -> None:
    name, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    ATTACKS[name](Attacker(port, seconds))


if __name__ == "__main__":
    main()
