"""Reading a request's body: bounded in size and time."""

import asyncio
from collections.abc import Callable

from nanobot.core.errors import BodyTooLarge, SlowRequest
from nanobot.http.request import Request

_MOST_DIGITS = 18
"""Python reads no number that is very long; one of so many digits is over any limit."""


class ClientGone(Exception):
    """The client went away before it had sent everything."""


async def read_body(request: Request, *, max_bytes: int, timeout_s: float) -> bytes:
    """Return the whole body.

    Raises:
        BodyTooLarge, SlowRequest, ClientGone: as `take_body`.
    """
    pieces: list[bytes] = []
    await take_body(request, pieces.append, max_bytes=max_bytes, timeout_s=timeout_s)
    return b"".join(pieces) if len(pieces) > 1 else pieces[0]


async def take_body(
    request: Request,
    take: Callable[[bytes], None],
    *,
    max_bytes: int,
    timeout_s: float,
    limit: str = "api.max_body_mb",
) -> None:
    """Hand the body to `take`, piece by piece as it comes. `limit` names the setting for `max_bytes`.

    Raises:
        BodyTooLarge: it is, or says it is, over `max_bytes`.
        SlowRequest: it did not come within `timeout_s`.
        ClientGone
    """
    announced = request.headers.get(b"content-length", b"0")
    if announced.isdigit():
        _refuse_over(int(announced[:_MOST_DIGITS]), max_bytes, limit)
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                piece = message.get("body", b"")
                size += len(piece)
                _refuse_over(size, max_bytes, limit)
                take(piece)
                if not message.get("more_body"):
                    return
    except TimeoutError as error:
        raise SlowRequest(
            f"the body did not arrive within {timeout_s:g} s ({size} bytes did): send it faster, or less of it"
        ) from error


def _refuse_over(size: int, max_bytes: int, limit: str) -> None:
    if size > max_bytes:
        raise BodyTooLarge(f"body of {size} bytes: at most {max_bytes} are allowed ({limit})")
