"""Which of the engine's slots a conversation is answered in: the one that has read it already.

The engine would choose by how prompts begin. All of ours begin alike, and it would give one conversation's
slot to another, which then had to be read anew from its first word.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec


class Slot(msgspec.Struct):
    """One of the engine's slots. `kind` and `session`: what it was last used for, None: nothing yet.

    `tokens`: how much of the engine's window it holds at most.
    """

    number: int
    kind: str | None = None
    session: str = ""
    tokens: int = 0
    is_busy: bool = False
    used: int = 0


class Slots:
    """`count` slots, each lent to one request at a time."""

    def __init__(self, count: int) -> None:
        self._slots = [Slot(number) for number in range(count)]
        self._turns = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def forget(self) -> None:
        """Note that the engine has lost what it had read."""
        for slot in self._slots:
            slot.kind, slot.session, slot.tokens = None, "", 0

    def read(self, number: int, kind: str, tokens: int) -> None:
        """Note that a slot has read what prompts of that kind begin with."""
        slot = self._slots[number]
        slot.kind, slot.session, slot.tokens = kind, "", tokens

    @asynccontextmanager
    async def lend(self, kind: str, session: str) -> AsyncIterator[Slot]:
        """Lend the session's own slot, else one that has begun with prompts of its kind, else the one that
        was not used for longest; wait while all are busy.
        """
        while all(slot.is_busy for slot in self._slots):
            freed = asyncio.get_running_loop().create_future()
            self._waiting.append(freed)
            try:
                await freed
            except asyncio.CancelledError:
                # The slot was freed for it in the same moment: it is the next one's.
                self._wake_next()
                raise
        slot = self._best(kind, session)
        slot.is_busy = True
        self._turns += 1
        slot.used = self._turns
        try:
            yield slot
        finally:
            slot.is_busy = False
            self._wake_next()

    def _best(self, kind: str, session: str) -> Slot:
        return min(
            (slot for slot in self._slots if not slot.is_busy),
            key=lambda slot: (
                not (session and slot.kind == kind and slot.session == session),
                # Another's conversation is kept as long as there is an unused slot.
                bool(slot.session),
                # What another kind begins with is kept as long as there is a slot with nothing in it.
                (slot.kind != kind) + (slot.kind not in (kind, None)),
                slot.used,
            ),
        )

    def _wake_next(self) -> None:
        while self._waiting:
            freed = self._waiting.popleft()
            if not freed.done():
                freed.set_result(None)
                return

    def to_erase(self, needed_tokens: int, window_tokens: int) -> list[Slot]:
        """Return the idle slots, those used longest ago first, that must be erased for a request that needs
        so many tokens of the window.
        """
        held = sum(slot.tokens for slot in self._slots if not slot.is_busy)
        erased: list[Slot] = []
        for slot in sorted(self._slots, key=lambda each: each.used):
            if held + needed_tokens <= window_tokens:
                break
            if not slot.is_busy and slot.tokens:
                held -= slot.tokens
                erased.append(slot)
        return erased
