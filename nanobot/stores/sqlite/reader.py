"""A thread that reads. It sees what is committed, and never waits for the writer."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from nanobot.core.errors import NanobotError, StoreError
from nanobot.core.interpreter import handed_over_soon
from nanobot.stores.sql.db import Job
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.opening import explain
from nanobot.stores.sqlite.writer import StoreBug

T = TypeVar("T")
_Ticket = tuple[Job[Any], "asyncio.Future[Any]"]


class Reader:
    """Runs queries one after another, off the event loop. `has_time`: they may take long."""

    def __init__(self, db: Connection, path: Path, *, has_time: bool = False) -> None:
        self._db = db
        self._path = path
        self._tickets: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._computing: Callable[[], AbstractContextManager[None]] = (
            handed_over_soon if has_time else nullcontext
        )
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-reader", daemon=True)
        self._thread.start()

    async def ask(self, query: Job[T], /) -> T:
        """Do as `stores.sql.db.Database.read`."""
        if self._closed:
            raise StoreError("the store is closed", public_message="the store is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._tickets.put((query, future))
        try:
            return await future
        finally:
            # An error holds the frames that it went through: with the future in one of them, which holds the
            # error, both would stay, and the request that asked with them.
            del future

    async def close(self) -> None:
        """Finish the queries that were asked, then stop."""
        if not self._closed:
            self._closed = True
            self._tickets.put(None)
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (ticket := self._tickets.get()) is not None:
            try:
                self._answer(*ticket)
            except RuntimeError:
                # The loop is closed: nobody waits any more.
                return
            # An error holds the frames that it went through, with all that they had of a request.
            del ticket

    def _answer(self, query: Job[Any], future: "asyncio.Future[Any]") -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            with self._computing():
                result = query(self._db)
        except sqlite3.Error as failure:
            error = explain(failure, self._path)
        except BaseException as failure:  # noqa: BLE001 - raised where the query was asked
            error = failure if isinstance(failure, NanobotError) else StoreBug.wrap(failure)
        self._loop.call_soon_threadsafe(_deliver, future, result, error)
        # As in `ask`.
        del future, error


def _deliver(future: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
