"""Answering a request as a whole."""

from starlette.types import Send

from nanobot.core.errors import NanobotError
from nanobot.http.errors import failure


async def answer(
    send: Send,
    status: int,
    body: bytes,
    headers: tuple[tuple[str, str], ...] = (),
    kind: bytes = b"application/json",
) -> None:
    """Send a whole response."""
    raw = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    raw.extend((name.encode(), value.encode()) for name, value in headers)
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def answer_error(send: Send, error: NanobotError) -> None:
    problem = failure(error)
    await answer(send, problem.status, problem.body, problem.headers)
