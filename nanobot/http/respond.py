"""Answering a request as a whole."""

from starlette.types import Send

from nanobot.core.errors import NanobotError
from nanobot.core.turn import Answer
from nanobot.http.connected import Connected, has_gone
from nanobot.http.errors import failure, turn_failure
from nanobot.http.request import Request
from nanobot.submit.followers import Following

Headers = tuple[tuple[str, str], ...]


async def answer(
    send: Send, status: int, body: bytes, headers: Headers = (), kind: bytes = b"application/json"
) -> None:
    """Send a whole response."""
    raw = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    raw.extend((name.encode(), value.encode()) for name, value in headers)
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def answer_error(send: Send, error: NanobotError) -> None:
    """Send an error that was raised before a turn was admitted."""
    problem = failure(error)
    await answer(send, problem.status, problem.body, problem.headers)


async def deliver(request: Request, send: Send, follower: Following, body: bytes, headers: Headers) -> None:
    """Send the answer of a turn, and note that it was delivered where the client is there to receive it."""
    is_there = not has_gone(request.receive)
    await answer(send, 200, body, headers)
    if is_there:
        follower.delivered()


async def wait_for_answer(
    request: Request, send: Send, follower: Following, headers: Headers, *, is_over: bool
) -> Answer | None:
    """Return what the turn has answered; None where the client has gone, or where the turn failed and the
    client got the error. `is_over`: the turn had ended for good when it was asked for.
    """
    # Stays None where the client goes: `Connected` then leaves the block without an exception.
    result: Answer | None = None
    with follower:
        async with Connected(request.receive):
            result = await follower.end()
    if result is None or result.end.error is None:
        return result
    problem = turn_failure(result.end.error, is_over=is_over)
    await answer(send, problem.status, problem.body, headers + problem.headers)
    return None
