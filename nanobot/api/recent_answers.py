"""Answers that cost something and are stored nowhere: a request that is sent again gets the same one."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import msgspec

from nanobot.core.errors import IdempotencyMismatch
from nanobot.core.turn import Identity

T = TypeVar("T")
_MOST_REMEMBERED = 64


class _Answered(msgspec.Struct, Generic[T], frozen=True):
    digest: bytes
    task: asyncio.Task[T]

    @property
    def has_failed(self) -> bool:
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)


class RecentAnswers(Generic[T]):
    """What was answered lately, or is about to be."""

    def __init__(self) -> None:
        self._asked: OrderedDict[Hashable, _Answered[T]] = OrderedDict()

    async def once(self, identity: Identity, scope: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """Return what the first request of that identity was answered; run `work` for a new one, and for one
        whose first try failed. It is run to its end, also if nobody waits for it any more. `scope`: whose
        request it is; what another one sends is another request.

        Raises:
            IdempotencyMismatch: the client's own key came with another body before.
        """
        key = identity.dedupe_key
        known_by = (scope, key or identity.digest)
        asked = self._asked.get(known_by) if key is not None or identity.is_retry else None
        if asked is not None and asked.digest != identity.digest:
            raise IdempotencyMismatch(
                f"Idempotency-Key {key!r} was used with another body: send the same body, or a new key",
                param="Idempotency-Key",
            )
        if asked is None or asked.has_failed:
            asked = self._asked[known_by] = _Answered(identity.digest, _begun(work))
            self._asked.move_to_end(known_by)
            if len(self._asked) > _MOST_REMEMBERED:
                self._asked.popitem(last=False)
        # A client that hangs up and comes again finds it.
        return await asyncio.shield(asked.task)


def _begun(work: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
    async def run() -> T:
        return await work()

    task = asyncio.create_task(run())
    task.add_done_callback(_see_failure)
    return task


def _see_failure(task: asyncio.Task[T]) -> None:
    """Those who wait are told. Where nobody does any more, the failure is no bug of the server's."""
    if not task.cancelled():
        task.exception()
