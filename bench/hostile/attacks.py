"""The attacks: each does what it can for some seconds, from as many connections as it likes.

Run: `python -m bench.hostile.attacks NAME PORT SECONDS`.
"""

import io
import json
import socket
import sys
import time
import zipfile
from collections.abc import Callable
from typing import Final

from bench.hostile.attacker import CHAT, Attacker, head, open_many
from bench.hostile.bulk import large_pictures, many_words, unread_downloads
from bench.hostile.crowds import all_running_turns, cut_streams, multiplying_schema, slow_schemas

_CHUNKED_HEALTH = head("GET", "/health", "transfer-encoding: chunked")


def endless_trailers(attacker: Attacker) -> None:
    attacker.in_threads(
        4, lambda _: attacker.flood(_CHUNKED_HEALTH, b"0\r\n", b"x-trailer: " + b"x" * 16_000 + b"\r\n")
    )


def endless_body(attacker: Attacker) -> None:
    piece = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    attacker.in_threads(4, lambda _: attacker.flood(_CHUNKED_HEALTH, b"", piece))


def schemas_that_multiply(attacker: Attacker) -> None:
    wanted = multiplying_schema()

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
        attacker.send("POST", CHAT, body, f"many:{number}")


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
                sent.sendall(head("POST", CHAT, key, f"content-length: {len(body)}") + body)
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
            attacker.send("POST", CHAT, body, f"files:{thread}:{number}", **kind)

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
            attacker.send("POST", CHAT, body, f"long:{thread}:{number % 4}", **{"x-history-mode": "whole"})

    attacker.in_threads(2, attack)


def many_values(attacker: Attacker) -> None:
    """Bodies of little text and millions of values, where any may stand."""
    fields = (b'"functions":[%b0]' % (b"0," * 9_000_000), b'"metadata":{%b"x":""}' % (b'"a":"",' * 2_500_000))

    def attack(thread: int) -> None:
        body = b'{"model":"nanobot",%b,"messages":[]}' % fields[thread]
        for _ in attacker.rounds():
            attacker.send("POST", CHAT, body, f"values:{thread}")

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


def silent_connections(attacker: Attacker) -> None:
    """Connections that send nothing, or half a head."""
    open_many(attacker, lambda number: head("GET", "/health")[: 20 * (number % 2)])


def idle_watchers(attacker: Attacker) -> None:
    """Streams of the events of a session in which nothing happens."""
    attacker.chat("watched", "hello")
    open_many(attacker, lambda _: head("GET", "/v1/sessions/watched/events"))


def queued_turns(attacker: Attacker) -> None:
    """Turns of one API key that wait, each in a session of its own."""
    body = b'{"model":"nanobot","messages":[{"role":"user","content":"slow"}]}'
    length = f"content-length: {len(body)}"
    open_many(attacker, lambda number: head("POST", CHAT, f"x-session-key: queued:{number}", length) + body)


def invalid_bodies(attacker: Attacker) -> None:
    """Large bodies that are nearly JSON."""
    body = b'{"model":"nanobot","messages":[{"role":"user","content":"' + b"x" * 19_000_000 + b'"}]'

    def attack(thread: int) -> None:
        for _ in attacker.rounds():
            attacker.send("POST", CHAT, body, f"bad:{thread}")

    attacker.in_threads(2, attack)


def deep_json(attacker: Attacker) -> None:
    body = b'{"model":"nanobot","messages":' + b"[" * 9_000_000 + b"]" * 9_000_000 + b"}"
    for number in attacker.rounds():
        attacker.send("POST", CHAT, body, f"deep:{number}")


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
        unread_downloads,
        many_words,
        large_pictures,
        all_running_turns,
        slow_schemas,
        cut_streams,
    )
}


def main() -> None:
    name, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    ATTACKS[name](Attacker(port, seconds))


if __name__ == "__main__":
    main()
