"""Bodies of requests that the audit sends."""

import json

SAME = b'{"model":"nanobot","messages":[{"role":"user","content":"hello"}]}'
"""A body that every session sends, byte for byte: retries must not be matched across sessions by it."""


def chat_body(text: str | list[dict[str, object]], **fields: object) -> bytes:
    messages = [{"role": "user", "content": text}] if isinstance(text, str) else text
    return json.dumps({"model": "nanobot", "messages": messages, **fields}).encode()


def form(fields: dict[str, str], files: dict[str, tuple[str, bytes]]) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a multipart form."""
    boundary = "nanobot-audit-boundary"
    parts = [
        f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for name, (file_name, content) in files.items():
        head = (
            f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"; filename="{file_name}"\r\n\r\n'
        )
        parts.append(head.encode() + content + b"\r\n")
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return {"content-type": f"multipart/form-data; boundary={boundary}"}, body


def export(text: str) -> bytes:
    """Return a session export of one message."""
    lines = ({"format": "nanobot.session", "version": 1}, {"role": "user", "content": text})
    return b"\n".join(json.dumps(line).encode() for line in lines) + b"\n"
