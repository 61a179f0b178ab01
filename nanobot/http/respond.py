"""Answering a request as a whole."""

from collections.abc import Sequence

from starlette.types import Message, Send

from nanobot.core.errors import NanobotError
from nanobot.core.message import PassedOver
from nanobot.core.turn import Answer
from nanobot.http.connected import Connected, is_there
from nanobot.http.errors import failure, turn_failure
from nanobot.http.request import Request
from nanobot.http.sent_answer import SIZE
from nanobot.submit.followers import Following

Headers = tuple[tuple[str, str], ...]


def model_headers(model: str | None, passed_over: Sequence[PassedOver] | None) -> Headers:
    """Return the headers that say which of several models answered, and why those before it did not; none
    where there was only one.
    """
    if passed_over is None or model is None:
        return ()
    if not passed_over:
        return (("x-model", model),)
    others = ", ".join(f"{each.model} ({each.code})" for each in passed_over)
    return (("x-model", model), ("x-model-passed-over", others))


def answer_headers(result: Answer) -> Headers:
    """Return what `model_headers` says of the last message of an answer, and what the model saw of the
    conversation where that was not all.
    """
    last = result.messages[-1] if result.messages else None
    if last is None:
        return ()
    headers = model_headers(last.model, last.passed_over)
    seen = last.context
    if seen is None:
        return headers
    text = f"in-view={seen.in_view}, summarised={seen.summarised}, left-out={seen.left_out}"
    return (*headers, ("x-context", text))


def beginning(status: int, size: int, headers: Headers = (), kind: bytes = b"application/json") -> Message:
    """Return the message that begins an answer with a body of so many bytes."""
    raw = [(b"content-type", kind), (b"content-length", str(size).encode())]
    raw.extend((name.encode(), value.encode()) for name, value in headers)
    return {"type": "http.response.start", "status": status, "headers": raw}


async def answer(
    send: Send, status: int, body: bytes, headers: Headers = (), kind: bytes = b"application/json"
) -> None:
    """Send a whole response.

    Raises:
        Overloaded: clients have too much to read already; nothing was sent.
    """
    begin = beginning(status, len(body), headers, kind)
    begin[SIZE] = len(body)
    await send(begin)
    await send({"type": "http.response.body", "body": body})


async def answer_error(send: Send, error: NanobotError) -> None:
    """Send an error that was raised before a turn was admitted."""
    problem = failure(error)
    await answer(send, problem.status, problem.body, problem.headers)


async def deliver(request: Request, send: Send, follower: Following, body: bytes, headers: Headers) -> None:
    """Send the answer of a turn, and note that it was delivered where the client is there to receive it."""
    is_reached = is_there(request.scope, request.receive)
    await answer(send, 200, body, headers)
    if is_reached:
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
