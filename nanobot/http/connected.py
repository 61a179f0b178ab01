"""Notices a client that goes away before it has its answer."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import cast

from starlette.types import Message, Receive, Scope

_LOOK_AFTER_S = 0.1
_WATCH_AFTER_S = 0.4
"""Watching takes a task, which a turn that ends within half a second does not need: once it has lasted for
`_LOOK_AFTER_S`, there is one look, and so much later the watch begins.
"""


def at_hand(receive: Receive) -> Message | None:
    """Return the next message of a request where it has come already; None where it has to be waited for."""
    asking = cast("Coroutine[object, None, Message]", receive())
    try:
        asking.send(None)
    except StopIteration as told:
        return cast(Message, told.value)
    finally:
        asking.close()
    return None


def has_gone(receive: Receive) -> bool:
    """Return whether the client of a request whose body has been read is gone, without waiting."""
    message = at_hand(receive)
    return message is not None and message["type"] == "http.disconnect"


HUNG_UP = "nanobot.hung_up"
"""In a scope: a function that asks the system whether the client has closed the connection."""


def is_there(scope: Scope, receive: Receive) -> bool:
    """Return whether the client of a request is there to receive an answer that is sent now, without waiting.

    The system is asked, too: where the process was stopped for a while, or the event loop was busy, the loop
    does not know yet of a client that has given up meanwhile.
    """
    if has_gone(receive):
        return False
    hung_up = scope.get(HUNG_UP)
    return hung_up is None or not hung_up()


class Connected:
    """`async with Connected(receive):` leaves the block when the client goes away, without an exception.

    `on_quiet` is called every `every_s` seconds until then.
    """

    def __init__(
        self,
        receive: Receive,
        on_quiet: Callable[[], Awaitable[None]] | None = None,
        every_s: float | None = None,
    ) -> None:
        self._receive = receive
        self._on_quiet = on_quiet
        self._every_s = every_s
        self._owner: asyncio.Task[object] | None = None
        self._soon: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._is_gone = False

    async def __aenter__(self) -> "Connected":
        self._owner = asyncio.current_task()
        # Where something is to be called meanwhile, the watch keeps its time.
        begin = self._look if self._every_s is None else self._begin
        self._soon = asyncio.get_running_loop().call_later(_LOOK_AFTER_S, begin)
        return self

    def _look(self) -> None:
        if has_gone(self._receive):
            self._leave()
        else:
            self._soon = asyncio.get_running_loop().call_later(_WATCH_AFTER_S, self._begin)

    def _begin(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            try:
                # The body has been read: all that can still arrive is the disconnect.
                async with asyncio.timeout(self._every_s):
                    if (await self._receive())["type"] == "http.disconnect":
                        break
            except TimeoutError:
                if self._on_quiet is not None:
                    await self._on_quiet()
        self._leave()

    def _leave(self) -> None:
        self._is_gone = True
        if self._owner is not None:
            self._owner.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._soon is not None:
            self._soon.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._is_gone and kind is asyncio.CancelledError and self._owner is not None:
            # Any other cancellation, such as that of a server that stops, must go on.
            return self._owner.uncancel() == 0
        return False
