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
_CONNECTIONS = 900
ADDRESS = "127.0.0.2"
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
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=_TIMEOUT_S, source_address=(ADDRESS, 0)
        )
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
                sent = attacker.connect()
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


def _export(lines: int) -> bytes:
    head = '{"format":"nanobot.session","version":2}\n'
    return (head + '{"role":"user","content":"one two three"}\n' * lines).encode()


def large_imports(attacker: Attacker) -> None:
    body = _export(400_000)
    for number in attacker.rounds():
        attacker.send("POST", f"/v1/sessions/import:{number}/import", body, "x")


def large_deletions(attacker: Attacker) -> None:
    """Sessions of 20,000 messages that are made and deleted."""
    body = _export(20_000)

    def attack(thread: int) -> None:
        for _ in attacker.rounds():
            attacker.send("POST", f"/v1/sessions/gone:{thread}/import", body, "x")
            attacker.send("DELETE", f"/v1/sessions/gone:{thread}", b"", "x")

    attacker.in_threads(2, attack)


def large_forks(attacker: Attacker) -> None:
    attacker.send("POST", "/v1/sessions/source/import", _export(20_000), "x")
    for number in attacker.rounds():
        body = json.dumps({"key": f"fork:{number}"}).encode()
        attacker.send("POST", "/v1/sessions/source/fork", body, "x")


def long_histories(attacker: Attacker) -> None:
    """Histories as long as they may be, another one each time."""

    def attack(thread: int) -> None:
        for number in attacker.rounds():
            said = [
                {"role": "assistant" if index % 2 else "user", "content": f"{thread} {number} {index}"}
                for index in range(9_999)
            ]
            body = json.dumps({"model": "nanobot", "messages": said}).encode()
            attacker.send("POST", _CHAT, body, f"long:{thread}:{number % 4}", **{"x-history-mode": "whole"})

    attacker.in_threads(2, attack)


def many_values(attacker: Attacker) -> None:
    """Bodies of little text and millions of values, where any may stand."""
    fields = (b'"functions":[%b0]' % (b"0," * 9_000_000), b'"metadata":{%b"x":""}' % (b'"a":"",' * 2_500_000))

    def attack(thread: int) -> None:
        body = b'{"model":"nanobot",%b,"messages":[]}' % fields[thread]
        for _ in attacker.rounds():
            attacker.send("POST", _CHAT, body, f"values:{thread}")

    attacker.in_threads(len(fields), attack)


def large_tools(attacker: Attacker) -> None:
    """As many tools as there may be, with schemas as large and deep as they may be."""
    schema: dict[str, object] = {"type": "object", "description": "x" * 6_000}
    for _ in range(90):
        schema = {"type": "object", "properties": {"a": schema}}
    tools = [
        {"type": "function", "function": {"name": f"f{number}", "parameters": schema}}
        for number in range(120)
    ]

    def attack(thread: int) -> None:
        for _ in attacker.rounds():
            attacker.chat(f"tools:{thread}", "x", tools=tools)

    attacker.in_threads(4, attack)


def many_uploads(attacker: Attacker) -> None:
    form = (
        b'--x\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
        b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\nword\r\n--x--\r\n'
    )
    kind = {"content-type": "multipart/form-data; boundary=x"}

    def attack(thread: int) -> None:
        for _ in attacker.rounds():
            attacker.send("POST", "/v1/files", form, f"uploads:{thread}", **kind)

    attacker.in_threads(8, attack)


def _opened(attacker: Attacker, request: Callable[[int], bytes]) -> None:
    """Send hundreds of requests, each on a connection of its own, and wait for no answer."""
    opened: list[socket.socket] = []
    for number in attacker.rounds():
        if len(opened) == _CONNECTIONS:
            time.sleep(0.05)
            continue
        with contextlib.suppress(OSError):
            sent = attacker.connect()
            sent.sendall(request(number))
            opened.append(sent)
    for sent in opened:
        sent.close()


def silent_connections(attacker: Attacker) -> None:
    """Connections that send nothing, or half a head."""
    _opened(attacker, lambda number: _head("GET", "/health")[: 20 * (number % 2)])


def idle_watchers(attacker: Attacker) -> None:
    """Streams of the events of a session in which nothing happens."""
    attacker.chat("watched", "hello")
    _opened(attacker, lambda _: _head("GET", "/v1/sessions/watched/events"))


def queued_turns(attacker: Attacker) -> None:
    """Turns of one API key that wait, each in a session of its own."""
    body = b'{"model":"nanobot","messages":[{"role":"user","content":"slow"}]}'
    length = f"content-length: {len(body)}"
    _opened(attacker, lambda number: _head("POST", _CHAT, f"x-session-key: queued:{number}", length) + body)


def invalid_bodies(attacker: Attacker) -> None:
    """Large bodies that are nearly JSON."""
    body = b'{"model":"nanobot","messages":[{"role":"user","content":"' + b"x" * 19_000_000 + b'"}]'

    def attack(thread: int) -> None:
        for _ in attacker.rounds():
            attacker.send("POST", _CHAT, body, f"bad:{thread}")

    attacker.in_threads(2, attack)


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
        queued_turns,
        large_imports,
        large_deletions,
        large_forks,
        long_histories,
        many_values,
        invalid_bodies,
        large_tools,
        many_uploads,
        silent_connections,
        idle_watchers,
        deep_json,
    )
}


def main() -> None:
    name, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    ATTACKS[name](Attacker(port, seconds))


if __name__ == "__main__":
    main()
