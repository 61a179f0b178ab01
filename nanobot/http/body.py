"""Reading a request's body: bounded in size and time."""

import asyncio
from collections.abc import AsyncGenerator

from nanobot.core.errors import BodyTooLarge, SlowRequest
from nanobot.http.request import Request

_MOST_DIGITS = 18
"""Python refuses to read very long numbers; one of so many digits is over any limit."""


class ClientGone(Exception):
    """The client went away before it had sent everything."""


async def read_body(request: Request, *, max_bytes: int, timeout_s: float) -> bytes:
    """Return the whole body.

    Raises:
        BodyTooLarge, Overloaded, SlowRequest, ClientGone: as `body_pieces`.
    """
    pieces = [piece async for piece in body_pieces(request, max_bytes=max_bytes, timeout_s=timeout_s)]
    return b"".join(pieces) if len(pieces) > 1 else pieces[0]


async def body_pieces(
    request: Request, *, max_bytes: int, timeout_s: float, limit: str = "api.max_body_mb"
) -> AsyncGenerator[bytes, None]:
    """Yield the body piece by piece as it comes. `limit` names the setting for `max_bytes`.

    Raises:
        BodyTooLarge: it is, or says it is, over `max_bytes`.
        Overloaded: too many large bodies are being read.
        SlowRequest: it did not come within `timeout_s`.
        ClientGone
    """
    # Refused before a byte of it is read. The size is counted all the same: chunked bodies announce none.
    announced = request.headers.get(b"content-length", b"0")
    if announced.isdigit():
        _refuse_over(int(announced[:_MOST_DIGITS]), max_bytes, limit)
    size = 0
    # One deadline for the whole body: a byte now and then must not prolong it.
    until = asyncio.get_running_loop().time() + timeout_s
    more = True
    while more:
        try:
            async with asyncio.timeout_at(until):
                message = await request.receive()
        except TimeoutError as error:
            raise SlowRequest(
                f"the body did not arrive within {timeout_s:g} s ({size} bytes did): send it faster, or less "
                "of it"
            ) from error
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        size += len(piece)
        _refuse_over(size, max_bytes, limit)
        if request.body_share is not None:
            request.body_share.grow(size)
        yield piece
        more = bool(message.get("more_body"))


def _refuse_over(size: int, max_bytes: int, limit: str) -> None:
    if size > max_bytes:
        raise BodyTooLarge(f"body of {size} bytes: at most {max_bytes} are allowed ({limit})")
