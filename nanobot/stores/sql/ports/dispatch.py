"""`core.dispatch.Dispatch`: the engine takes turns and writes down what happens in them."""

import logging
from collections.abc import AsyncIterator, Callable
from functools import partial

import msgspec

from nanobot.core.accounts import TurnSettled
from nanobot.core.audience import EMPTY, Audience
from nanobot.core.clock import retries
from nanobot.core.dispatch import Claim, Command, History, LeftOut
from nanobot.core.errors import StoreError
from nanobot.core.event import Fact, MessageAdded, Passing, ToolFinished, with_words
from nanobot.core.message import Message
from nanobot.core.turn import Turn
from nanobot.stores.sql import compaction, facts, queue, running
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.pieces import MOST_BYTES
from nanobot.stores.sql.ports.shared import Shared
from nanobot.stores.sql.running import Applied
from nanobot.stores.sql.window import ANY_BYTES

_log = logging.getLogger(__name__)


class SqlDispatch:
    """Turns of an SQL database for the engine of this process."""

    def __init__(self, shared: Shared) -> None:
        self._database = shared.database
        self._live = shared.live
        self._commands = shared.commands
        self._news = shared.news
        self._clock = shared.clock
        self._prices = shared.prices
        self._shared = shared

    async def orders(
        self,
        max_running: int,
        history_tokens: int = 0,
        left_out_by: Callable[[Turn], LeftOut | None] | None = None,
    ) -> AsyncIterator[Command]:
        self._commands.open(max_running, history_tokens, left_out_by)
        try:
            await self._start_waiting()
            while True:
                yield await self._commands.next()
        finally:
            self.stop_orders()

    def stop_orders(self) -> None:
        self._commands.stop()

    async def _start_waiting(self) -> None:
        """Start the turns that wait since before this start; while the disk is full, try again."""

        def job(db: Db) -> tuple[Claim, ...]:
            return queue.start_next(db, self._commands.capacity, self._clock.now())

        for retry in retries():
            try:
                await self._database.write(job, self._commands.hand_out)
                return
            except StoreError as error:
                if retry.is_told:
                    _log.error(
                        "turns that wait cannot be started, next try in %g s: %s", retry.wait_s, error.message
                    )
            await self._clock.sleep(retry.wait_s)

    async def history(self, session_key: str, budget_tokens: int, *, is_whole: bool = False) -> History:
        rules = self._shared.limits.memory

        def query(db: Db, most_bytes: int) -> History | None:
            history = compaction.history(
                db,
                key=session_key,
                budget_tokens=budget_tokens,
                is_whole=is_whole,
                most_bytes=most_bytes,
            )
            if history is None or not rules.is_read:
                return history
            return msgspec.structs.replace(history, known=facts.known(db, session_key, rules))

        history = await self._database.read(partial(query, most_bytes=MOST_BYTES))
        if history is None:
            # Pictures, or long texts: other queries do not wait for them.
            history = await self._database.read_large(partial(query, most_bytes=ANY_BYTES))
        assert history is not None  # noqa: S101 - whatever it is, it was read
        return history

    async def append(self, claim: Claim, facts: tuple[Fact, ...]) -> tuple[Message, ...]:
        def job(db: Db) -> Applied:
            return running.append(db, claim, facts, self._commands.capacity, self._clock.now(), self._prices)

        said = [fact.message for fact in facts if isinstance(fact, MessageAdded | ToolFinished)]
        applied: Applied = await self._shared.write_said(said, job, partial(self._appended, claim.turn.id))
        return applied.joined

    def _appended(self, turn_id: str, applied: Applied) -> None:
        for parted in applied.parted:
            self._live.part(turn_id, parted)
        if applied.spent is not None:
            self._news.tell(TurnSettled(self._shared.ids_of(turn_id), applied.spent))
        self._live.put(turn_id, with_words(applied.facts))
        self._commands.hand_out(applied.claims)

    def show(self, claim: Claim, event: Passing) -> None:
        self._live.put_delta(claim.turn.id, event)

    def audience(self, claim: Claim) -> Audience:
        return self._live.get(claim.turn.id) or EMPTY

    def take_back(self, claim: Claim) -> bool:
        return self._live.take_back(claim.turn.id)

    async def release(self, claim: Claim) -> None:
        await self._database.write(partial(running.release, claim=claim))

    async def waiting(self) -> int:
        return await self._database.read(queue.count_waiting)
