"""Bodies of JSON: large ones are decoded in a thread, and those with too many entries not at all.

To decode a value takes time and memory, however short its text is: 20 MB of `[0,0,0,…]` would hold up
everybody for a second, and take half a gigabyte. A long text costs next to nothing.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from nanobot.core.errors import InvalidRequest
from nanobot.http.body import read_body
from nanobot.http.request import Request
from nanobot.workers.slots import FairSlots

T = TypeVar("T")
_LARGE_BYTES = 128 * 1024
"""Smaller bodies are decoded at once, whatever is in them."""
_AT_ONCE = 2
_QUOTES_AN_ENTRY = 4
"""An entry is at most two strings: a name and a value."""


async def apart(body: bytes, run: Callable[[], T]) -> T:
    """Return what `run` returns, which works on a body: in a thread, where the body is large."""
    return run() if len(body) <= _LARGE_BYTES else await asyncio.to_thread(run)


class JsonBodies:
    """Reads bodies of JSON. `max_bytes`, `timeout_s`: as in `read_body`. `max_entries`: how many members of
    objects and elements of arrays a body may have.

    Belongs to the event loop of its first use.
    """

    def __init__(self, max_bytes: int, timeout_s: float, max_entries: int) -> None:
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._max_entries = max_entries
        self._slots = FairSlots(_AT_ONCE, most_each=1)

    async def read(self, request: Request, parse: Callable[[bytes], T]) -> tuple[T, bytes]:
        """Return what `parse` makes of the body, and the body.

        Raises:
            InvalidRequest: it has too many entries.
            BodyTooLarge, SlowRequest, ClientGone: as `read_body`.
        """
        body = await read_body(request, max_bytes=self._max_bytes, timeout_s=self._timeout_s)
        if len(body) <= _LARGE_BYTES:
            return parse(body), body
        async with self._slots.slot(request.caller.key_id or request.address or ""):
            return await asyncio.to_thread(self._parsed, body, parse), body

    def _parsed(self, body: bytes, parse: Callable[[bytes], T]) -> T:
        if has_more_entries(body, self._max_entries):
            raise InvalidRequest(
                f"the body has more than {self._max_entries} entries (members of objects, elements of"
                " arrays): no more are allowed (api.max_json_entries)"
            )
        return parse(body)


def has_more_entries(body: bytes, most: int) -> bool:
    """Return whether the JSON text has more than so many members and elements, all together.

    It costs about as much as to copy the text; nothing of it is decoded.
    """
    # There is a comma between any two.
    if body.count(b",") < most:
        return False
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > _QUOTES_AN_ENTRY * (most + 1):
        return True
    commas = at = 0
    while commas < most:
        opening = plain.find(b'"', at)
        if opening < 0:
            return commas + plain.count(b",", at) >= most
        commas += plain.count(b",", at, opening)
        closing = plain.find(b'"', opening + 1)
        if closing < 0:
            # It is not JSON, as the decoder will say.
            return commas >= most
        at = closing + 1
    return True
