"""The one thread that writes.

Jobs that arrive while a commit is on its way to the disk share the next one (group commit).
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from nanobot.core.errors import NanobotError, StoreError
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.stores.sqlite.opening import explain

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]
Spare = Callable[[sqlite3.Connection], float | None]
"""Work for when nothing else is to be done, in small pieces; returns the seconds after which it wants to go
on, None: once something was written.
"""
_MOST_JOBS_A_COMMIT = 256


class _Ticket:
    """A job on its way through the writer."""

    __slots__ = ("error", "future", "job", "result", "then")

    def __init__(
        self, job: Job[Any], then: Callable[[Any], None] | None, future: "asyncio.Future[Any]"
    ) -> None:
        self.job = job
        self.then = then
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None


class Writer:
    """Runs jobs one after another, many in one transaction.

    A job that raises leaves nothing behind and does not touch its neighbours.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        path: Path,
        observer: Observer = NULL_OBSERVER,
        spare: Spare | None = None,
        quiet_s: float = 1.0,
    ) -> None:
        """Start the thread.

        `spare` is done when nothing was asked for `quiet_s`: at first, and after jobs; it says when it wants
        to go on.
        """
        self._observer = observer
        self._db = db
        self._spare = spare
        self._quiet_s = quiet_s if spare is not None else None
        self._path = path
        self._tickets: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def do(self, job: Job[T], then: Callable[[T], None] | None = None) -> T:
        """Return what `job` returned, once it is committed. `then` sees it first, on the loop, even if the
        caller is gone by now.

        Raises:
            NanobotError: what the job raised.
            StoreError: it could not be committed.
        """
        if self._closed:
            raise StoreError("the store is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._tickets.put(_Ticket(job, then, future))
        return await future

    async def close(self) -> None:
        """Finish what was handed in, then stop."""
        if not self._closed:
            self._closed = True
            self._tickets.put(None)
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        wait_s = self._quiet_s
        while True:
            try:
                first = self._tickets.get(timeout=wait_s)
            except queue.Empty:
                wait_s = self._spare(self._db) if self._spare is not None else None
                continue
            if first is None:
                return
            wait_s = self._quiet_s
            batch = [first]
            last = self._drain(batch)
            began = time.perf_counter()
            self._commit(batch)
            try:
                self._loop.call_soon_threadsafe(self._deliver, batch, time.perf_counter() - began)
            except RuntimeError:
                # the loop is gone: nobody is left to be told
                return
            if last:
                return

    def _deliver(self, batch: list[_Ticket], seconds: float) -> None:
        self._observer.committed(len(batch), seconds)
        _deliver(batch)

    def _drain(self, batch: list[_Ticket]) -> bool:
        """Add to `batch` what waits already; return whether the end was among it."""
        while len(batch) < _MOST_JOBS_A_COMMIT:
            try:
                ticket = self._tickets.get_nowait()
            except queue.Empty:
                return False
            if ticket is None:
                return True
            batch.append(ticket)
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
            db.execute("ROLLBACK")
        except sqlite3.Error as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
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
        except BaseException as error:  # noqa: BLE001 - handed to whoever asked; the neighbours in the batch go on
            ticket.error = error if isinstance(error, NanobotError) else StoreBug.wrap(error)
        return ticket.error is None or self._db.total_changes == before


class StoreBug(StoreError):
    """A job failed for a reason of its own: a bug; the cause is chained for the log."""

    code = "internal_error"
    http_status = 500

    @classmethod
    def wrap(cls, error: BaseException) -> "StoreBug":
        bug = cls("the store failed")
        bug.__cause__ = error
        return bug


def _deliver(batch: list[_Ticket]) -> None:
    for ticket in batch:
        if ticket.error is not None:
            if not ticket.future.done():
                ticket.future.set_exception(ticket.error)
            continue
        if ticket.then is not None:
            ticket.then(ticket.result)
        if not ticket.future.done():
            ticket.future.set_result(ticket.result)
