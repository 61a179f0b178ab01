"""What the ports of one store share."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import msgspec

from nanobot.core.accounts import AccountListener, PriceList, TurnSettled, UnendedTurn
from nanobot.core.clock import Clock
from nanobot.core.dispatch import Cancel, Claim, Command, LeftOut
from nanobot.core.event import TurnStarted
from nanobot.core.memory import MemoryRules
from nanobot.core.message import Message
from nanobot.core.observer import Observer
from nanobot.core.store import Limits
from nanobot.core.turn import Turn
from nanobot.core.vectors import Vectors
from nanobot.core.workspace import SessionIdentity
from nanobot.stores.live.live import Live
from nanobot.stores.sql.db import Database, Db, Job, SearchIndex
from nanobot.stores.sql.pieces import is_large
from nanobot.stores.sql.prepared import NONE_PREPARED, PreparedMessages
from nanobot.stores.sql.queue import Capacity

T = TypeVar("T")


class Blobs(Protocol):
    """The contents of uploads by id. The methods block: call them in a thread."""

    def write(self, file_id: str, content: bytes) -> None:
        """Keep the content; it is there for good when this returns.

        Raises:
            StoreError
        """
        ...

    def read(self, file_id: str) -> bytes:
        """Return the content.

        Raises:
            UploadNotFound, StoreError
        """
        ...

    def read_piece(self, file_id: str, start: int, most: int) -> bytes:
        """Return up to so many bytes of the content from `start` on; none at its end.

        Raises:
            UploadNotFound, StoreError
        """
        ...

    def delete(self, file_ids: Iterable[str]) -> None:
        """Delete the contents, as far as they exist."""
        ...

    def check(self) -> None:
        """Return where contents can be kept, and those that were have not gone.

        Raises:
            StoreError
        """
        ...


class WorkspaceContents(Protocol):
    """The workspaces of sessions. The methods block: call them in a thread."""

    def copy(self, source: SessionIdentity, target: SessionIdentity) -> None:
        """Let a new session have the files of another, if that has some.

        Raises:
            StoreError
        """
        ...

    def delete(self, identities: Iterable[SessionIdentity]) -> None:
        """Delete the workspaces, as far as they exist."""
        ...

    def check(self) -> None:
        """Return where files can be kept, and those that were have not gone.

        Raises:
            StoreError
        """
        ...


class CommandQueue:
    """What the engine of this process, which runs turns as `owner`, is to do next.

    `capacity` is how much it can take on: nothing while it does not ask.
    """

    def __init__(self, live: Live, owner: str, memory: MemoryRules) -> None:
        self.capacity = Capacity(owner, memory=memory)
        self._left_out_by: Callable[[Turn], LeftOut | None] | None = None
        self._live = live
        self._commands: deque[Command] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def open(
        self,
        max_running: int,
        history_tokens: int,
        left_out_by: Callable[[Turn], LeftOut | None] | None = None,
    ) -> None:
        """The engine takes commands from now on; see `core.dispatch.Dispatch.orders`."""
        self.capacity = msgspec.structs.replace(
            self.capacity, max_running=max_running, history_tokens=history_tokens
        )
        self._left_out_by = left_out_by

    def left_out_by(self, turn: Turn) -> LeftOut | None:
        """Return what the turn leaves out of its conversation; None where the engine does not know."""
        return None if self._left_out_by is None else self._left_out_by(turn)

    def stop(self) -> None:
        """The engine takes on no more turns."""
        self.capacity = msgspec.structs.replace(self.capacity, max_running=0, history_tokens=0)

    def hand_out(self, claims: Iterable[Claim]) -> None:
        """Let the engine run these turns."""
        for claim in claims:
            self._put(claim)
            self._live.tell(claim.turn.id, TurnStarted(claim.attempt))

    def cancel(self, cancel: Cancel) -> None:
        """Let the engine stop a turn."""
        self._put(cancel)

    def _put(self, command: Command) -> None:
        self._commands.append(command)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self) -> Command:
        """Return the next command, once there is one. The engine alone asks."""
        while not self._commands:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._commands.popleft()


class AccountNews:
    """Tells listeners of the turns that are admitted and settled."""

    def __init__(self) -> None:
        self._listeners: list[AccountListener] = []

    def listen(self, listener: AccountListener) -> None:
        self._listeners.append(listener)

    def tell(self, news: UnendedTurn | TurnSettled) -> None:
        for listener in self._listeners:
            listener(news)


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a store that its ports work with."""

    database: Database
    live: Live
    commands: CommandQueue
    news: AccountNews
    index: SearchIndex
    blobs: Blobs
    workspaces: WorkspaceContents
    clock: Clock
    limits: Limits
    prices: PriceList
    observer: Observer
    vectors: Vectors | None = None

    async def write_said(
        self, said: Sequence[Message], job: Job[T], then: Callable[[T], None] | None = None
    ) -> T:
        """Write what was said, as `Database.write` does; what has megabytes, such as pictures, apart from
        what others say meanwhile, and with all that can be computed of it before.
        """
        if not is_large(said):
            return await self.database.write(job, then)
        return await self.database.write_piece(await asyncio.to_thread(prepared_job, job, said), then)

    def ids_of(self, turn_id: str) -> tuple[str, ...]:
        """Return the ids of a turn that has not ended: its own, and those of the turns that joined it."""
        turn = self.live.get(turn_id)
        return (turn_id,) if turn is None else tuple(turn.ids)


def prepared_job(job: Job[T], said: Sequence[Message]) -> Job[T]:
    """Return the job, for which all is computed of what is large that can be before its transaction."""
    prepared = PreparedMessages([message for message in said if is_large((message,))])

    def run(db: Db) -> T:
        db.prepared = prepared
        try:
            return job(db)
        finally:
            db.prepared = NONE_PREPARED

    return run
