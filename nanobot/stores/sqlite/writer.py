"""The one thread that writes.

Jobs that arrive while a commit is on its way to the disk share the next one (group commit). Pieces of
something long have commits of their own, one between those of jobs: no job waits for more than one.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from nanobot.core import interpreter
from nanobot.core.errors import NanobotError, StoreError
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.core.payer import PAYER, PayerShares
from nanobot.stores.sql.db import Job
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.opening import explain

T = TypeVar("T")
Spare = Callable[[Connection], float | None]
"""Work for when nothing else is to be done, in small pieces: returns after how many seconds it goes on, None
for once something has been written.
"""
_log = logging.getLogger(__name__)
_MOST_JOBS_A_COMMIT = 128
"""A job waits for those that share its commit."""
_MOST_SUBMITTED_AT_ONCE = 64
_MOST_ANSWERED_AT_ONCE = 64
"""What an answer sets going runs at once on the event loop; hundreds of them would hold up everybody."""
_MOST_OF_A_PAYER = 4
"""While others ask, too: those of one commit wait for one another, and what they set going is in the way of
what comes.
"""
_SPARE_AGAIN_S = 300.0
_BETWEEN_S = 1.0
"""How long jobs alone run between two pieces of spare work where it is never quiet, at the least: each piece
holds up those that come meanwhile by some milliseconds.
"""
_JOBS_TO_SPARE = 50
"""So many times as long as a piece took they run alone: some have long texts to index."""
_MANY_JOBS = 6
"""Sixteen clients that ask without a pause have some ten jobs in a commit, 64 streams one or two."""
_COMMITS_AVERAGED = 8


class _Ticket:
    """A job on its way through the writer."""

    __slots__ = ("error", "future", "is_piece", "job", "payer", "result", "then")

    def __init__(
        self,
        job: Job[Any],
        then: Callable[[Any], None] | None,
        future: "asyncio.Future[Any]",
        *,
        is_piece: bool = False,
    ) -> None:
        self.job = job
        self.then = then
        self.future = future
        self.is_piece = is_piece
        self.payer = "" if is_piece else PAYER.get()
        self.result: Any = None
        self.error: BaseException | None = None

    def answer(self) -> None:
        """Tell `then`, then the caller."""
        future, error = self.future, self.error
        # The frames that an error went through hold this ticket.
        del self.future, self.error
        if error is None:
            notify(self.then, self.result)
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(self.result)


def notify(then: Callable[[T], None] | None, result: T) -> None:
    """Tell `then` what was committed.

    A failure there is a bug: it is logged, and the job has still been done.
    """
    if then is None:
        return
    try:
        then(result)
    except Exception:  # noqa: BLE001 - every caller is answered all the same
        _log.exception("what was committed could not be passed on")


class Writer:
    """Runs jobs one after another, many in one transaction.

    A job that raises leaves nothing behind and does not touch its neighbours.
    """

    def __init__(
        self,
        db: Connection,
        path: Path,
        observer: Observer = NULL_OBSERVER,
        spare: Spare | None = None,
        quiet_s: float = 1.0,
        patience_s: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the thread.

        `spare` runs when nothing has been asked for `quiet_s`, at first and after jobs. Where it has
        not been quiet for `patience_s`, a piece is done now and then all the same.
        """
        self._observer = observer
        self._db = db
        self._spare = spare
        self._quiet_s = quiet_s if spare is not None else None
        self._patience_s = patience_s
        self._monotonic = monotonic
        self._spare_due = monotonic() + patience_s
        self._jobs_a_commit = 1.0
        self._is_soon: bool | None = None
        self._path = path
        self._tickets: queue.SimpleQueue[list[_Ticket] | None] = queue.SimpleQueue()
        self._submitted: list[_Ticket] = []
        self._shares = PayerShares[_Ticket](_MOST_OF_A_PAYER, monotonic)
        self._waiters: dict[str, deque[asyncio.Future[None]]] = {}
        self._pieces: deque[_Ticket] = deque()
        self._answers: deque[_Ticket] = deque()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def do(self, job: Job[T], then: Callable[[T], None] | None = None, /) -> T:
        """Do as `stores.sql.db.Database.write`."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._ask(_Ticket(job, then, future))
        try:
            return await future
        finally:
            # An error holds the frames that it went through: with the future in one of them, which holds the
            # error, both would stay, and the request that asked with them.
            del future

    async def do_piece(self, job: Job[T], then: Callable[[T], None] | None = None, /) -> T:
        """Do as `stores.sql.db.Database.write_piece`."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._ask(_Ticket(job, then, future, is_piece=True))
        try:
            return await future
        finally:
            # As in `do`.
            del future

    @property
    def is_shared(self) -> bool:
        return self._shares.is_shared

    async def room(self) -> None:
        """Do as `stores.sql.db.Database.room`."""
        payer = PAYER.get()
        if not self._shares.keeps(payer) and payer not in self._waiters:
            return
        waiter = self._loop.create_future()
        self._waiters.setdefault(payer, deque()).append(waiter)
        try:
            await waiter
        finally:
            # One at a time: what this one asks may have to wait again.
            self._loop.call_soon(self._let_in, payer)

    def _let_in(self, payer: str) -> None:
        """Let in the next one who waits for room, where there is some."""
        waiters = self._waiters.get(payer)
        while waiters and not self._shares.keeps(payer):
            waiter = waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        if not waiters:
            self._waiters.pop(payer, None)

    def _ask(self, ticket: _Ticket) -> None:
        if self._closed:
            raise StoreError("the store is closed", public_message="the store is closed")
        if not ticket.payer or self._shares.take(ticket.payer, ticket):
            self._pass_on(ticket)

    def _pass_on(self, ticket: _Ticket) -> None:
        if not self._submitted:
            self._loop.call_soon(self._submit)
        self._submitted.append(ticket)

    def _submit(self) -> None:
        """Pass on what the event loop has asked for in one go: the thread is woken once, and all shares a
        commit. Woken by the first job, it would be in the way of what asks for the others.
        """
        tickets, self._submitted = self._submitted, []
        if 0 < len(tickets) <= _MOST_SUBMITTED_AT_ONCE:
            self._tickets.put(tickets)
            return
        for at in range(0, len(tickets), _MOST_SUBMITTED_AT_ONCE):
            self._tickets.put(tickets[at : at + _MOST_SUBMITTED_AT_ONCE])

    async def close(self) -> None:
        """Finish the jobs that were submitted, then stop."""
        if not self._closed:
            self._closed = True
            self._submitted += self._shares.let_through()
            for payer in list(self._waiters):
                self._let_in(payer)
            self._submit()
            self._tickets.put(None)
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        wait_s = self._quiet_s
        is_last = False
        while not is_last:
            try:
                first = self._tickets.get(timeout=0.0 if self._pieces else wait_s)
            except queue.Empty:
                if self._pieces:
                    first = []
                else:
                    wait_s = self._do_spare()
                    self._spare_due = self._monotonic() + self._patience_s
                    continue
            wait_s = self._quiet_s
            is_last = first is None
            batch = first or []
            is_last = self._drain(batch) or is_last
            if not self._write(batch):
                return
            # What was written may be large, and the next may be long in coming.
            del first, batch
            if not is_last and (now := self._monotonic()) >= self._spare_due:
                again_s = self._do_spare()
                done = self._monotonic()
                self._spare_due = done + pause_after(done - now, again_s, self._patience_s)
        while self._pieces and self._write([]):
            pass

    def _write(self, batch: list[_Ticket]) -> bool:
        """Commit the jobs of a batch, then the next piece; return False where nobody waits any more."""
        if any(ticket.is_piece for ticket in batch):
            self._pieces.extend([ticket for ticket in batch if ticket.is_piece])
            batch = [ticket for ticket in batch if not ticket.is_piece]
        if batch:
            self._share_interpreter(len(batch))
        for each in (batch, [self._pieces.popleft()] if self._pieces else []):
            if not each:
                continue
            began = time.perf_counter()
            self._commit(each)
            try:
                self._loop.call_soon_threadsafe(self._deliver, each, time.perf_counter() - began)
            except RuntimeError:
                # The loop is closed.
                return False
        return True

    def _share_interpreter(self, jobs: int) -> None:
        """Set how soon threads hand the interpreter over, by how many jobs have shared a commit lately; the
        next one has `jobs`.
        """
        self._jobs_a_commit += (jobs - self._jobs_a_commit) / _COMMITS_AVERAGED
        is_soon = self._jobs_a_commit < _MANY_JOBS or self._shares.is_shared
        if is_soon is not self._is_soon:
            self._is_soon = is_soon
            interpreter.hand_over_after(interpreter.FEW_JOBS_S if is_soon else interpreter.MANY_JOBS_S)

    def _do_spare(self) -> float | None:
        """Do a piece of the spare work; return after how many seconds it goes on.

        A failure there, such as a damaged message, must not end the thread: everybody would wait forever.
        """
        if self._spare is None:
            return None
        try:
            with interpreter.handed_over_soon():
                return self._spare(self._db)
        except Exception:  # noqa: BLE001 - turns go on whatever it is
            _log.exception("spare work of the store failed; next try in %g s", _SPARE_AGAIN_S)
            return _SPARE_AGAIN_S

    def _deliver(self, batch: list[_Ticket], seconds: float) -> None:
        self._observer.committed(len(batch), seconds)
        for ticket in batch:
            if ticket.payer:
                for following in self._shares.give_back(ticket.payer):
                    self._pass_on(following)
                if ticket.payer in self._waiters:
                    self._let_in(ticket.payer)
        if self._answers or len(batch) > _MOST_ANSWERED_AT_ONCE:
            is_answering = bool(self._answers)
            self._answers.extend(batch)
            if not is_answering:
                self._answer_some()
            return
        for ticket in batch:
            ticket.answer()

    def _answer_some(self) -> None:
        """Answer the next tickets, in the order of their commits."""
        for _ in range(min(len(self._answers), _MOST_ANSWERED_AT_ONCE)):
            self._answers.popleft().answer()
        if self._answers:
            self._loop.call_soon(self._answer_some)

    def _drain(self, batch: list[_Ticket]) -> bool:
        """Add to `batch` what waits already; return whether the end was among it."""
        while len(batch) <= _MOST_JOBS_A_COMMIT - _MOST_SUBMITTED_AT_ONCE:
            try:
                tickets = self._tickets.get_nowait()
            except queue.Empty:
                return False
            if tickets is None:
                return True
            batch += tickets
        return False

    def _commit(self, batch: list[_Ticket]) -> None:
        """Run the jobs in one transaction.

        One that fails half-way is the exception: then each runs in a transaction of its own.
        """
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            if all(self._leaves_all_or_nothing(ticket) for ticket in batch):
                db.execute("COMMIT")
                return
            db.roll_back()
        except sqlite3.Error as error:
            db.roll_back()
            reason = explain(error, self._path)
            for ticket in batch:
                ticket.error = ticket.error or reason
            return
        if len(batch) > 1:
            for ticket in batch:
                ticket.error = None
                self._commit([ticket])

    def _leaves_all_or_nothing(self, ticket: _Ticket) -> bool:
        """Run a job; return False where it failed after it had written something."""
        before = self._db.total_changes
        try:
            ticket.result = ticket.job(self._db)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError) as error:
            ticket.error = StoreBug.wrap(error)
        except sqlite3.Error:
            # the disk or the file: it concerns the whole batch
            raise
        except BaseException as error:  # noqa: BLE001 - raised in its caller; others go on
            ticket.error = error if isinstance(error, NanobotError) else StoreBug.wrap(error)
        return ticket.error is None or self._db.total_changes == before


def pause_after(took_s: float, again_s: float | None, patience_s: float) -> float:
    """Return how long jobs alone run after a piece of spare work, where it is never quiet; `again_s`: after
    how many seconds the work wants to go on.
    """
    pause_s = _BETWEEN_S if again_s == 0.0 else max(patience_s, again_s or 0.0)
    return max(pause_s, _JOBS_TO_SPARE * took_s)


class StoreBug(StoreError):
    """A job failed for a reason of its own: a bug; the cause is chained for the log."""

    code = "internal_error"
    http_status = 500
    retryable = False

    @classmethod
    def wrap(cls, error: BaseException) -> "StoreBug":
        bug = cls("the store failed")
        bug.__cause__ = error
        return bug
