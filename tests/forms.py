"""Forms, as browsers and curl send them."""

from tests.asgi import Door, Exchange

ANN = "wx:dm:ann"


def form(*parts: tuple[str, str | tuple[str, bytes]], boundary: str = "xyz") -> bytes:
    """Return the body of a form; a value that is a pair is a file: its name and content."""
    body = b""
    for name, value in parts:
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        if isinstance(value, str):
            body += b"\r\n\r\n" + value.encode() + b"\r\n"
        else:
            body += (
                f'; filename="{value[0]}"\r\nContent-Type: application/octet-stream\r\n\r\n'.encode()
                + value[1]
                + b"\r\n"
            )
    return body + f"--{boundary}--\r\n".encode()


async def send_form(
    door: Door, path: str, body: bytes, key: str = ANN, *, boundary: str = "xyz", **headers: str
) -> Exchange:
    kind = {"content-type": f"multipart/form-data; boundary={boundary}", "x-session-key": key}
    return await door.call(
        "POST",
        path,
        body=body,
        headers=kind | {name.replace("_", "-"): value for name, value in headers.items()},
    )


async def upload(door: Door, content: bytes, name: str = "a.txt", key: str = ANN) -> str:
    made = await send_form(door, "/v1/files", form(("purpose", "user_data"), ("file", (name, content))), key)
    assert made.status == 200, made.text
    return str(made.json["id"])
