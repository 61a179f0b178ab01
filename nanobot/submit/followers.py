"""Who follows a turn: one that is no longer followed is cancelled."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Container, Sequence
from types import TracebackType

from nanobot.core.clock import Clock
from nanobot.core.errors import NanobotError
from nanobot.core.event import Event
from nanobot.core.store import Store
from nanobot.core.turn import GIVES_WAY, Answer
from nanobot.submit.deliveries import Deliveries


class Following:
    """One follower of one turn, for as long as its `with` block lasts.

    Set `has_ended` when the turn has ended: nothing is left to cancel then.
    """

    __slots__ = ("_answered_by", "_followers", "_turn_id", "has_ended")

    def __init__(self, followers: "Followers", turn_id: str, answered_by: str) -> None:
        self._followers = followers
        self._turn_id = turn_id
        self._answered_by = answered_by
        self.has_ended = False

    def __enter__(self) -> "Following":
        self._followers.join(self._answered_by)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._followers.leave(self._answered_by, has_ended=self.has_ended)

    def events(self, after: int = 0) -> AsyncIterator[Sequence[tuple[int, Event]]]:
        """Yield what happens in the turn from past the cursor `after` on, as `Turns.follow` does."""
        return self._followers.store.follow(self._turn_id, after)

    def delivered(self) -> None:
        """Note that the client has received the answer whole."""
        self._followers.deliveries.note(self._turn_id)

    async def end(self) -> Answer:
        """Return what became of the turn, once it has ended."""
        answer = await self._followers.store.ended(self._turn_id)
        self.has_ended = True
        return answer


class Followers:
    """Counts who follows each turn; one that has had no follower for `grace_s`, or for as long as it says
    itself, is cancelled (-1: never, 0: at once), unless it is detached. One that a later turn of its session
    waits for is cancelled at once.

    A resend of its request takes it up again.
    """

    def __init__(self, store: Store, clock: Clock, grace_s: float, deliveries: Deliveries) -> None:
        self.store = store
        self.deliveries = deliveries
        self._clock = clock
        self._grace_s = grace_s
        self._counts: Counter[str] = Counter()
        self._waiting: dict[str, asyncio.Task[None]] = {}
        self._left: set[str] = set()

    @property
    def left(self) -> Container[str]:
        """The ids of the turns that are going to be cancelled because their last follower has left, until
        they are, or are followed again; as they are at any time.
        """
        return self._left

    def follow(self, turn_id: str, answered_by: str) -> Following:
        """Return a follower of the turn; it counts while its `with` block lasts, on the turn that answers for
        this one (`Admission.answered_by`).
        """
        return Following(self, turn_id, answered_by)

    def join(self, turn_id: str) -> None:
        """Count one more follower, and do not cancel the turn for lack of one."""
        self._counts[turn_id] += 1
        if (waiting := self._waiting.pop(turn_id, None)) is not None:
            self._left.discard(turn_id)
            waiting.cancel()

    def leave(self, turn_id: str, *, has_ended: bool) -> None:
        """Count one follower less; after the last one the grace begins, unless the turn has ended."""
        self._counts[turn_id] -= 1
        if self._counts[turn_id] > 0:
            return
        del self._counts[turn_id]
        if not has_ended:
            self._waiting[turn_id] = asyncio.get_running_loop().create_task(self._cancel_later(turn_id))

    async def _cancel_later(self, turn_id: str) -> None:
        try:
            # Looked up only now, so that turns that are followed to their end cost no read for it.
            state = await self.store.turn(turn_id)
            grace_s = self._grace_s if state.grace_s is None else state.grace_s
            if state.is_detached or grace_s < 0:
                return
            self._left.add(turn_id)
            setting = "api.disconnect_grace_s" if state.grace_s is None else "x-disconnect-grace"
            why = f"no client followed the turn for {grace_s:g} s ({setting})"
            if state.is_waited_for:
                why = GIVES_WAY
            elif grace_s:
                await self._clock.sleep(grace_s)
            await self.store.cancel(turn_id, why, may_go_on=True)
        except NanobotError:
            # The turn has ended, or was deleted with its session, in the meantime.
            return
        finally:
            # Another may have begun to wait by now.
            if self._waiting.get(turn_id) is asyncio.current_task():
                del self._waiting[turn_id]
                self._left.discard(turn_id)

    async def close(self) -> None:
        """Cancel no more turns."""
        for waiting in self._waiting.values():
            waiting.cancel()
        self._waiting.clear()
