"""Slots that owners share fairly, and those who pay for them."""

import asyncio
import contextlib
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator


class FairSlots:
    """A number of slots. Who waits for one gets it in turn with the other owners, however many requests of
    one owner came first; each owner has at most `most_each` at once.

    Belongs to the event loop of its first use.
    """

    def __init__(self, slots: int, most_each: int) -> None:
        self._free = slots
        self._most_each = most_each
        self._taken: Counter[str] = Counter()
        # By owner, the one whose turn is next first. Owners stay only while they wait.
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @contextlib.asynccontextmanager
    async def slot(self, owner: str) -> AsyncIterator[None]:
        """Hold a slot for `owner`, once there is one."""
        await self.take(owner)
        try:
            yield
        finally:
            self.give_back(owner)

    async def take(self, owner: str) -> None:
        """Take a slot for `owner`, once there is one; it is the caller's to give back."""
        if self._free and self._taken[owner] < self._most_each and owner not in self._waiting:
            self._free -= 1
            self._taken[owner] += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(owner)
            else:
                self._forget(owner, turn)
            raise

    def give_back(self, owner: str) -> None:
        """Give back a slot that `owner` has taken."""
        self._free += 1
        self.take_again(owner)

    def leave_to_others(self, owner: str) -> None:
        """Give back a slot that `owner` has taken, for the others alone: the owner may not have another one
        for it before `take_again`.
        """
        self._free += 1
        self._hand_out()

    def take_again(self, owner: str) -> None:
        """Let the owner have a slot again for one that it has left to the others."""
        self._taken[owner] -= 1
        if not self._taken[owner]:
            del self._taken[owner]
        self._hand_out()

    def _hand_out(self) -> None:
        for owner in list(self._waiting):
            if not self._free:
                return
            if self._taken[owner] >= self._most_each:
                continue
            # One that was cancelled in this round of the loop is still there.
            turn = next((each for each in self._waiting[owner] if not each.done()), None)
            if turn is None:
                continue
            self._waiting[owner].remove(turn)
            self._forget(owner, None)
            self._free -= 1
            self._taken[owner] += 1
            turn.set_result(None)

    def _forget(self, owner: str, turn: asyncio.Future[None] | None) -> None:
        """Take `turn` out of those that wait, or put the owner behind the others."""
        turns = self._waiting[owner]
        if turn is not None:
            turns.remove(turn)
        if not turns:
            del self._waiting[owner]
        elif turn is None:
            self._waiting.move_to_end(owner)


class PayerSlots:
    """A number of slots that payers share fairly, and the owners of one payer, such as its sessions, among
    themselves. A payer has at most `most_of_payer` at once, an owner `most_of_owner`.

    Belongs to the event loop of its first use.
    """

    def __init__(self, slots: int, most_of_payer: int, most_of_owner: int) -> None:
        self._all = FairSlots(slots, most_each=most_of_payer)
        self._most_of_payer = most_of_payer
        self._most_of_owner = most_of_owner
        # By payer, those of its owners. They stay only while somebody uses them.
        self._own: dict[str, FairSlots] = {}
        self._users: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def slot(self, payer: str, owner: str) -> AsyncIterator[None]:
        """Hold a slot for an owner of `payer`, once there is one."""
        own = self._own.setdefault(payer, FairSlots(self._most_of_payer, self._most_of_owner))
        self._users[payer] += 1
        try:
            async with own.slot(owner), self._all.slot(payer):
                yield
        finally:
            self._users[payer] -= 1
            if not self._users[payer]:
                del self._users[payer], self._own[payer]
