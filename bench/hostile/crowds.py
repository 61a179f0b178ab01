"""Attacks by many requests at once that wait for something slow."""

import contextlib
import io
import zipfile
from typing import Final

from bench.hostile.attacker import CHAT, Attacker, head, open_many

_SLOW: Final = b'{"model":"nanobot","messages":[{"role":"user","content":"slow"}]}'
_SLOW_STREAM: Final = b'{"model":"nanobot","stream":true,"messages":[{"role":"user","content":"slow"}]}'
_MORE_THAN_RUN: Final = 1_200
_SESSIONS: Final = 12


def _turn(key: str, body: bytes) -> bytes:
    return head("POST", CHAT, f"x-session-key: {key}", f"content-length: {len(body)}") + body


def all_running_turns(attacker: Attacker) -> None:
    """More turns of one address than may run at once."""
    open_many(attacker, lambda number: _turn(f"all:{number}", _SLOW), _MORE_THAN_RUN)


def cut_streams(attacker: Attacker) -> None:
    """Streams that are cut as soon as they are asked for."""

    def attack(thread: int) -> None:
        for number in attacker.rounds():
            with contextlib.suppress(OSError), attacker.connect() as sent:
                sent.sendall(_turn(f"cut:{thread}:{number}", _SLOW_STREAM))

    attacker.in_threads(4, attack)


def multiplying_schema() -> dict[str, object]:
    """Return a format of answers whose schema takes as long to check as it may."""
    levels: dict[str, object] = {
        f"a{level}": {"allOf": [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(18)
    }
    levels["a18"] = {"type": "object"}
    schema = {"$defs": levels, "$ref": "#/$defs/a0", "unevaluatedProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def slow_schemas(attacker: Attacker) -> None:
    """Schemas of many sessions that take as long to check as they may; the innocent send a small file."""
    wanted = multiplying_schema()

    def attack(thread: int) -> None:
        for _ in attacker.rounds():
            attacker.chat(f"schemas:{thread}", "Answer.", response_format=wanted)

    attacker.in_threads(_SESSIONS, attack)


WITH_FILE: Final = frozenset({"slow schemas"})
"""The attacks in which the innocent send a small file with each turn."""


def with_small_file(model: str) -> tuple[str, bytes]:
    """Return the content type and the body of a turn with a small document."""
    content = io.BytesIO()
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-'
            'officedocument.wordprocessingml.document.main+xml"/></Types>',
        )
        archive.writestr(
            "word/document.xml",
            f'<w:document xmlns:w="{word}"><w:body><w:p><w:r><w:t>A word.</w:t></w:r></w:p></w:body>'
            "</w:document>",
        )
    fields = (("model", model), ("message", "What does it say?"))
    lines = [
        f'--x\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    ]
    lines.append('--x\r\ncontent-disposition: form-data; name="files"; filename="a.docx"\r\n\r\n')
    return "multipart/form-data; boundary=x", "".join(lines).encode() + content.getvalue() + b"\r\n--x--\r\n"
