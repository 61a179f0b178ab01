"""Reading a request's body: bounded in size and time."""

import asyncio
from collections.abc import AsyncGenerator

from starlette.types import Message

from nanobot.core.errors import BodyTooLarge, SlowRequest
from nanobot.http.connected import at_hand
from nanobot.http.request import Request

_LARGE_BYTES = 1024 * 1024
_MOST_DIGITS = 18
"""Python refuses to read very long numbers; one of so many digits is over any limit."""


class ClientGone(Exception):
    """The client went away before it had sent everything."""


async def read_whole(request: Request, *, max_bytes: int, timeout_s: float) -> bytes | bytearray:
    """Return the whole body. It is put together as it comes: one copy of all its pieces at the end would hold
    up everybody.

    Raises:
        BodyTooLarge, Overloaded, SlowRequest, ClientGone: as `body_pieces`.
    """
    body = _IncomingBody(request, max_bytes, timeout_s)
    whole: bytes | bytearray = await body.piece()
    while body.has_more:
        if isinstance(whole, bytes):
            whole = bytearray(whole)
        whole += await body.piece()
    return whole


async def read_body(request: Request, *, max_bytes: int, timeout_s: float) -> bytes:
    """Return the whole body.

    Raises:
        BodyTooLarge, Overloaded, SlowRequest, ClientGone: as `body_pieces`.
    """
    pieces = await read_pieces(request, max_bytes=max_bytes, timeout_s=timeout_s)
    if sum(map(len, pieces)) <= _LARGE_BYTES:
        return joined(pieces)
    return await asyncio.to_thread(joined, pieces)


async def read_pieces(request: Request, *, max_bytes: int, timeout_s: float) -> list[bytes]:
    """Return the whole body in the pieces in which it came: at least one.

    Raises:
        BodyTooLarge, Overloaded, SlowRequest, ClientGone: as `body_pieces`.
    """
    body = _IncomingBody(request, max_bytes, timeout_s)
    pieces = [await body.piece()]
    while body.has_more:
        pieces.append(await body.piece())
    return pieces


def joined(pieces: list[bytes]) -> bytes:
    """Return the pieces as one. Those of a large body are better joined in a thread, where the copy holds
    nobody up.
    """
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
    body = _IncomingBody(request, max_bytes, timeout_s, limit)
    while body.has_more:
        yield await body.piece()


class _IncomingBody:
    """A body while it is read. `has_more`: not all of it was read yet."""

    def __init__(
        self, request: Request, max_bytes: int, timeout_s: float, limit: str = "api.max_body_mb"
    ) -> None:
        # Refused before a byte of it is read. The size is counted all the same: chunked bodies announce none.
        announced = request.headers.get(b"content-length", b"0")
        if announced.isdigit():
            _refuse_over(int(announced[:_MOST_DIGITS]), max_bytes, limit)
        self.has_more = True
        self._request = request
        self._max_bytes = max_bytes
        self._limit = limit
        self._timeout_s = timeout_s
        # One deadline for the whole body: a byte now and then must not prolong it.
        self._until = asyncio.get_running_loop().time() + timeout_s
        self._size = 0

    async def piece(self) -> bytes:
        """Return the next piece; raises as `body_pieces`."""
        request = self._request
        message = at_hand(request.receive) or await self._next()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        self._size += len(piece)
        _refuse_over(self._size, self._max_bytes, self._limit)
        if request.body_share is not None:
            request.body_share.grow(self._size)
        self.has_more = bool(message.get("more_body"))
        return piece

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout_at(self._until):
                return await self._request.receive()
        except TimeoutError as error:
            raise SlowRequest(
                f"the body did not arrive within {self._timeout_s:g} s ({self._size} bytes did): send it"
                " faster, or less of it"
            ) from error


def _refuse_over(size: int, max_bytes: int, limit: str) -> None:
    if size > max_bytes:
        raise BodyTooLarge(f"body of {size} bytes: at most {max_bytes} are allowed ({limit})")
