"""Bodies of JSON: large ones are decoded in a thread, at most half of the time, very large ones a tenth of
it, and those with too many entries not at all.

To decode a value takes time and memory, however short its text is: 20 MB of `[0,0,0,…]` would hold up
everybody for a second, and take half a gigabyte. A long text costs next to nothing.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar, cast

from nanobot.core.errors import InvalidRequest
from nanobot.core.interpreter import handed_over_soon
from nanobot.core.json_entries import has_more_entries
from nanobot.http.body import read_whole
from nanobot.http.request import Request
from nanobot.workers.slots import FairSlots

T = TypeVar("T")
_LARGE_BYTES = 128 * 1024
"""Smaller bodies are decoded at once, whatever is in them."""
_VERY_LARGE_BYTES = 2 * 1024 * 1024
_LONG_PAUSE = 10
_LONGEST_PAUSE_S = 5.0
_AT_ONCE = 2


async def apart(body: bytes, run: Callable[[], T]) -> T:
    """Return what `run` returns, which works on a body: in a thread, where the body is large."""
    return run() if len(body) <= _LARGE_BYTES else await asyncio.to_thread(_compute, run)


def _compute(run: Callable[[], T]) -> T:
    with handed_over_soon():
        return run()


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
        # Nobody changes it any more, whatever it is.
        body = cast(bytes, await read_whole(request, max_bytes=self._max_bytes, timeout_s=self._timeout_s))
        if len(body) <= _LARGE_BYTES:
            return parse(body), body
        owner = request.payer
        await self._slots.take(owner)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            return await asyncio.to_thread(_compute, partial(self._parsed, body, parse)), body
        finally:
            # Threads share one interpreter: who sends one large body after the other gets half of it, and a
            # part of it where they are so large that nobody runs while one is decoded. Nobody else waits for
            # that.
            self._slots.leave_to_others(owner)
            pause = _LONG_PAUSE if len(body) > _VERY_LARGE_BYTES else 1
            pause_s = min(pause * (loop.time() - began), _LONGEST_PAUSE_S)
            loop.call_later(pause_s, self._slots.take_again, owner)

    def _parsed(self, body: bytes, parse: Callable[[bytes], T]) -> T:
        if has_more_entries(body, self._max_entries):
            raise InvalidRequest(
                f"the body has more than {self._max_entries} entries (members of objects, elements of"
                " arrays): no more are allowed (api.max_json_entries)"
            )
        return parse(body)
