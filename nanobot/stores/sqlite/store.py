"""The embedded store: one SQLite file a data directory, one thread that writes, one that reads, followers in
memory.

`dispatch` is part of it: the transaction that admits a turn, or ends one, also starts what may run next.
"""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from nanobot.core.accounts import ApiKey, Grouping, PriceList, SpendingOf, TurnCost, UnendedTurn, UsageRow
from nanobot.core.clock import Clock
from nanobot.core.dispatch import Cancel, Claim, Command, History
from nanobot.core.errors import NanobotError, SessionNotFound, ShuttingDown, StoreError, TurnCancelled
from nanobot.core.event import Delta, Fact, TurnAdmitted, TurnEnded, TurnError, TurnStarted
from nanobot.core.message import Message
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.core.sessions import Deletion, RetentionRule
from nanobot.core.store import Limits
from nanobot.core.turn import Admission, Answer, Identity, Turn, TurnState
from nanobot.stores.blobs import BlobFolder
from nanobot.stores.live.lines import Batch, LiveTurn, replay
from nanobot.stores.sql import admission, catalogue, keys, retention, transcript, turns, uploads, usage
from nanobot.stores.sql.turns import Capacity
from nanobot.stores.sqlite.backup import backup
from nanobot.stores.sqlite.opening import (
    DATABASE,
    DirectoryLock,
    Synchronous,
    explain,
    make_directory,
    open_reader,
    open_writer,
)
from nanobot.stores.sqlite.reader import Reader
from nanobot.stores.sqlite.responses import SqliteResponses
from nanobot.stores.sqlite.sessions import SqliteSessions
from nanobot.stores.sqlite.upkeep import Upkeep
from nanobot.stores.sqlite.uploads import SqliteUploads
from nanobot.stores.sqlite.watched import SqliteWatching
from nanobot.stores.sqlite.writer import Writer

_log = logging.getLogger(__name__)
_STOPPING = TurnEnded(
    "failed",
    error=TurnError(
        ShuttingDown.code,
        "the server is stopping; the turn goes on when it starts again",
        ShuttingDown.http_status,
        retryable=True,
    ),
)
"""What followers are told in place of an end when the server stops; nothing of it is stored."""


class SqliteStore(SqliteSessions, SqliteWatching, SqliteUploads, SqliteResponses):
    """`core.store.Store` on SQLite. Make one with `open_store`."""

    def __init__(
        self,
        directory: Path,
        lock: DirectoryLock,
        writer: sqlite3.Connection,
        reader: sqlite3.Connection,
        clock: Clock,
        limits: Limits,
        observer: Observer = NULL_OBSERVER,
        prices: PriceList | None = None,
    ) -> None:
        path = directory / DATABASE
        # before another thread has the connection
        unended = turns.live(writer)
        SqliteSessions.__init__(
            self, directory, Writer(writer, path, observer, Upkeep(path)), Reader(reader, path), clock
        )
        SqliteUploads.__init__(self, directory)
        self._observer = observer
        self._lock = lock
        self._write_db = writer
        self._read_db = reader
        self._limits = limits
        self._prices = prices or PriceList()
        self.on_spent: Callable[[TurnCost], None] = _forget
        SqliteWatching.__init__(self)
        self._orders: asyncio.Queue[Command] = asyncio.Queue()
        self._capacity = Capacity()
        self._is_hung_up = False
        self._is_closed = False
        for live in unended:
            self._lines[live.id] = LiveTurn(
                live.id, live.made, session_key=live.session_key, input=live.input
            )
            for other in live.joined:
                self._share_line(live.id, other)

    # Doors ----------------------------------------------------------------------------------------

    async def admit(
        self,
        turn: Turn,
        identity: Identity,
        earlier: tuple[Message, ...] = (),
        refusal: NanobotError | None = None,
    ) -> Admission:
        if self._is_hung_up:
            raise ShuttingDown("the server is stopping: try again in a moment", retry_after_s=1)
        job = partial(self._admit, turn=turn, identity=identity, earlier=earlier, refusal=refusal)
        self._observer.turn_offered(turn)
        is_new = False
        try:
            admitted: admission.Admitted = await self._writer.do(job, partial(self._admitted, turn))
            is_new = admitted.admission.turn_id == turn.id and admitted.joins is None
        finally:
            if not is_new:
                self._observer.turn_dropped(turn)
        return admitted.admission

    def _admit(
        self,
        db: sqlite3.Connection,
        *,
        turn: Turn,
        identity: Identity,
        earlier: tuple[Message, ...],
        refusal: NanobotError | None,
    ) -> admission.Admitted:
        now = self._clock.now()
        return admission.admit(
            db,
            turn,
            identity,
            earlier,
            limits=self._limits,
            capacity=self._capacity,
            now=now,
            refusal=refusal,
        )

    def _admitted(self, turn: Turn, admitted: admission.Admitted) -> None:
        if admitted.line is not None:
            line = LiveTurn(
                admitted.line.turn_id,
                admitted.line.made,
                session_key=turn.session_key if turn.trace else None,
                input=turn.input,
            )
            self._lines[admitted.line.turn_id] = line
            for joined in admitted.line.joiners:
                self._share_line(admitted.line.turn_id, joined)
            self._tell(line, TurnAdmitted(turn.input))
        if admitted.joins is not None:
            self._share_line(admitted.joins, admitted.admission.turn_id)
            self._tell(
                self._lines[admitted.joins],
                TurnAdmitted(turn.input, admitted.joins),
                admitted.admission.turn_id,
            )
        if admitted.cancel is not None:
            self._orders.put_nowait(admitted.cancel)
        self._hand_out(() if admitted.claim is None else (admitted.claim,))

    async def knows(self, session_key: str, identity: Identity) -> bool:
        asked = partial(admission.knows, key=session_key, identity=identity, limits=self._limits)
        return await self._reader.ask(lambda db: asked(db, now=self._clock.now()))

    async def turn(self, turn_id: str) -> TurnState:
        return await self._reader.ask(partial(turns.look, turn_id=turn_id))

    async def follow(self, turn_id: str, after: int = 0) -> AsyncIterator[Batch]:
        while (line := self._lines.get(turn_id)) is not None:
            async for batch in line.follow(after):
                has_parted = isinstance(batch[-1][1], TurnEnded) and self._has_parted(turn_id, line)
                # the end of the other turn is not the end of this one
                if heard := batch[:-1] if has_parted else batch:
                    yield heard
                if has_parted:
                    break
            else:
                return
            after = 0
        answer = await self.ended(turn_id)
        if batch := replay(answer.messages, answer.end, after):
            yield batch

    async def ended(self, turn_id: str) -> Answer:
        while (line := self._lines.get(turn_id)) is not None:
            while line.end is None:
                await line.more()
            if not self._has_parted(turn_id, line):
                return Answer(turn_id, line.messages, line.end)
        found = await self._reader.ask(partial(turns.look, turn_id=turn_id))
        if found.end is None and not self._is_hung_up:
            raise StoreError(f"turn {turn_id} is shown by no line though it has not ended")
        return Answer(turn_id, found.messages, found.end or _STOPPING)

    def _has_parted(self, turn_id: str, line: LiveTurn) -> bool:
        """Whether the turn, shown on another's line so far, has become one of its own."""
        return turn_id not in line.ids

    async def cancel(self, turn_id: str, why: str) -> bool:
        found = await self._reader.ask(partial(turns.look, turn_id=turn_id))
        line = self._lines.get(turn_id)
        if line is None or line.end is not None:
            return False
        if found.status == "queued":
            job = partial(self._cancel_waiting, turn_id=line.ids[0], why=why)
            if await self._writer.do(job, self._cancelled_waiting) is not None:
                return True
        self._orders.put_nowait(Cancel(line.ids[0], why))
        return True

    def _cancel_waiting(
        self, db: sqlite3.Connection, *, turn_id: str, why: str
    ) -> tuple[str, TurnEnded] | None:
        found = db.execute("SELECT n FROM turn WHERE id = ? AND status = 'queued'", (turn_id,)).fetchone()
        if found is None:
            return None
        end = TurnEnded("cancelled", error=TurnError(TurnCancelled.code, why, TurnCancelled.http_status))
        turns.cancel_waiting(db, found[0], end, self._clock.now())
        return turn_id, end

    def _cancelled_waiting(self, result: tuple[str, TurnEnded] | None) -> None:
        if result is not None:
            turn_id, end = result
            self._observer.turn_withdrawn(turn_id)
            self._put(turn_id, (end,))

    # Engine ---------------------------------------------------------------------------------------

    async def orders(self, max_running: int, history_tokens: int = 0) -> AsyncIterator[Command]:
        self._capacity = Capacity(max_running, history_tokens)
        try:
            await self._start_waiting()
            while True:
                yield await self._orders.get()
        finally:
            self._capacity = Capacity()

    async def _start_waiting(self) -> None:
        """Start what waits since before this start; while the disk is full, try again."""
        wait_s = 1.0
        while True:
            try:
                await self._writer.do(
                    lambda db: turns.start_next(db, self._capacity, self._clock.now()), self._hand_out
                )
                return
            except StoreError as error:
                _log.error("turns that wait cannot be started, next try in %g s: %s", wait_s, error.message)
            await self._clock.sleep(wait_s)
            wait_s = min(2 * wait_s, 30.0)

    def stop_orders(self) -> None:
        self._capacity = Capacity()

    def _hand_out(self, claims: Iterable[Claim]) -> None:
        for claim in claims:
            self._orders.put_nowait(claim)
            line = self._lines.get(claim.turn.id)
            if line is not None:
                line.attempt = claim.attempt
                self._tell(line, TurnStarted(claim.attempt))

    async def history(self, session_key: str, budget_tokens: int) -> History:
        return await self._reader.ask(partial(_history, key=session_key, budget_tokens=budget_tokens))

    async def append(self, claim: Claim, facts: tuple[Fact, ...]) -> tuple[Message, ...]:
        job = partial(self._append, claim=claim, facts=facts)
        applied: turns.Applied = await self._writer.do(job, partial(self._appended, claim.turn.id))
        return applied.joined

    def _append(self, db: sqlite3.Connection, *, claim: Claim, facts: tuple[Fact, ...]) -> turns.Applied:
        return turns.append(db, claim, facts, self._capacity, self._clock.now(), self._prices)

    def _appended(self, turn_id: str, applied: turns.Applied) -> None:
        for parted in applied.parted:
            line = self._lines[turn_id]
            line.ids.remove(parted)
            self._lines[parted] = LiveTurn(parted, session_key=line.session_key)
        self._put(turn_id, applied.facts)
        self._hand_out(applied.claims)
        if applied.spent is not None:
            self.on_spent(applied.spent)

    def shown_as(self, turn_id: str) -> str:
        line = self._lines.get(turn_id)
        return turn_id if line is None else line.ids[0]

    def show(self, claim: Claim, delta: Delta) -> None:
        line = self._lines.get(claim.turn.id)
        if line is not None:
            line.put((delta,))
            if line.session_key in self._views:
                self._show_newest(line, 1)

    async def release(self, claim: Claim) -> None:
        await self._writer.do(partial(turns.release, claim=claim))

    # Sessions: what touches those who follow; the rest is in `SqliteSessions` ---------------------

    async def delete_session(self, session_key: str) -> Deletion:
        deleted, _ = await self._writer.do(partial(self._delete, key=session_key), self._deleted)
        await asyncio.to_thread(self._blobs.delete, deleted.files)
        return deleted.removed

    def _delete(self, db: sqlite3.Connection, *, key: str) -> tuple[catalogue.Deleted, tuple[Claim, ...]]:
        now = self._clock.now()
        spent = turns.charge_live(db, key, self._prices, now)
        deleted = msgspec.structs.replace(catalogue.delete(db, key=key), spent=spent)
        return deleted, turns.start_next(db, self._capacity, now)

    async def delete_unused(self, rules: Sequence[RetentionRule]) -> int:
        """Delete some of the sessions that nobody has used for as long as the first rule that fits says;
        returns how many, 0 once none is left.
        """
        job = partial(retention.delete_some, rules=rules, now=self._clock.now())
        deleted: tuple[catalogue.Deleted, ...] = await self._writer.do(job, self._swept)
        await asyncio.to_thread(self._blobs.delete, [id_ for each in deleted for id_ in each.files])
        return len(deleted)

    def _swept(self, deleted: tuple[catalogue.Deleted, ...]) -> None:
        for each in deleted:
            self._views.end(each.key)

    def _deleted(self, result: tuple[catalogue.Deleted, tuple[Claim, ...]]) -> None:
        deleted, claims = result
        for turn_id in deleted.live:
            self._observer.turn_withdrawn(turn_id)
            self._orders.put_nowait(Cancel(turn_id, "its session was deleted"))
            error = TurnError(
                SessionNotFound.code, "the session of this turn was deleted", SessionNotFound.http_status
            )
            self._put(turn_id, (TurnEnded("cancelled", error=error),))
        for spent in deleted.spent:
            self.on_spent(spent)
        self._views.end(deleted.key)
        self._hand_out(claims)

    # Keys and costs -------------------------------------------------------------------------------

    async def api_keys(self) -> tuple[ApiKey, ...]:
        return await self._reader.ask(keys.all_keys)

    async def keys_version(self) -> str:
        return await self._reader.ask(keys.version)

    async def usage(
        self,
        *,
        first_day: str,
        last_day: str,
        group: Sequence[Grouping],
        key_id: str | None = None,
        only_key: bool = False,
    ) -> tuple[UsageRow, ...]:
        query = partial(
            usage.report,
            first_day=first_day,
            last_day=last_day,
            group=group,
            key_id=key_id,
            only_key=only_key,
        )
        return await self._reader.ask(query)

    async def session_usage(
        self, session_key: str, *, first_day: str, last_day: str, group: Sequence[Grouping]
    ) -> tuple[UsageRow, ...]:
        return await self._reader.ask(
            partial(
                usage.report_session, key=session_key, first_day=first_day, last_day=last_day, group=group
            )
        )

    async def spending(self, day: str, *, by_session: bool) -> tuple[SpendingOf, ...]:
        return await self._reader.ask(partial(usage.spending, day=day, by_session=by_session))

    async def live_turns(self) -> tuple[UnendedTurn, ...]:
        return await self._reader.ask(usage.live_turns)

    def is_live(self, turn_id: str) -> bool:
        return turn_id in self._lines

    # The house ------------------------------------------------------------------------------------

    async def check(self) -> None:
        await self._writer.do(_commit_something)

    async def waiting(self) -> int:
        return await self._reader.ask(_count_waiting)

    async def backup(self, path: str) -> None:
        await self._reader.ask(partial(backup, path=Path(path)))

    def hang_up(self) -> None:
        self._is_hung_up = True
        self._views.end_all()
        for line in set(self._lines.values()):
            line.put((_STOPPING,))
        self._lines.clear()

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        await self._writer.close()
        await self._reader.close()
        await self._close_searcher()
        self._read_db.close()
        self._write_db.close()
        self._lock.release()

    # Lines ----------------------------------------------------------------------------------------

    def _share_line(self, target_id: str, turn_id: str) -> None:
        line = self._lines[target_id]
        line.ids.append(turn_id)
        self._lines[turn_id] = line

    def _put(self, turn_id: str, facts: tuple[Fact, ...]) -> None:
        line = self._lines.get(turn_id)
        if line is None:
            return
        line.put(facts)
        if line.session_key in self._views:
            self._show_newest(line, len(facts))
        if line.end is not None:
            for shown in line.ids:
                self._lines.pop(shown, None)


def _forget(spent: TurnCost) -> None:
    """Where nobody keeps an account."""


def _commit_something(db: sqlite3.Connection) -> None:
    """Write the header as it is: a commit that the disk has to take, and that changes nothing."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    db.execute(f"PRAGMA user_version = {version}")


def _count_waiting(db: sqlite3.Connection) -> int:
    (count,) = db.execute("SELECT count(*) FROM dispatch WHERE running = 0").fetchone()
    return int(count)


def _history(db: sqlite3.Connection, key: str, budget_tokens: int) -> History:
    head = transcript.find_head(db, key)
    if head is None:
        return History(())
    return transcript.window(db, head, budget_tokens)


async def open_store(
    directory: Path,
    clock: Clock,
    limits: Limits | None = None,
    synchronous: Synchronous = "full",
    observer: Observer = NULL_OBSERVER,
    prices: PriceList | None = None,
) -> SqliteStore:
    """Open, or make, the store of a data directory; turns that a crash cut off are put back in the queue.
    `prices`: what models cost.

    Raises:
        StoreLocked: another server has it.
        StoreCorrupt, StoreTooNew: it was left as it is.
        StoreError: the directory cannot be used.
    """
    limits = limits or Limits()
    prices = prices or PriceList()
    lock, writer, reader = await asyncio.to_thread(
        _open, directory, synchronous, limits.max_attempts, clock.now(), prices
    )
    return SqliteStore(directory, lock, writer, reader, clock, limits, observer, prices)


def _open(
    directory: Path, synchronous: Synchronous, max_attempts: int, now: float, prices: PriceList
) -> tuple[DirectoryLock, sqlite3.Connection, sqlite3.Connection]:
    make_directory(directory)
    lock = DirectoryLock(directory)
    try:
        writer = open_writer(directory, synchronous)
        _recover(writer, directory / DATABASE, max_attempts, now, prices)
        BlobFolder(directory).sweep(uploads.all_ids(writer))
        return lock, writer, open_reader(directory)
    except StoreError:
        lock.release()
        raise


def _recover(db: sqlite3.Connection, path: Path, max_attempts: int, now: float, prices: PriceList) -> None:
    try:
        db.execute("BEGIN IMMEDIATE")
        turns.recover(db, max_attempts, now, prices)
        db.execute("COMMIT")
    except sqlite3.Error as error:
        db.close()
        raise explain(error, path) from error
