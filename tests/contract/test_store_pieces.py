"""Long jobs are done in pieces, between which other sessions' turns are stored; whoever looks sees all of
what such a job makes, or nothing.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator

import pytest

from nanobot.core.errors import InvalidRequest, SessionExists, SessionNotFound
from nanobot.core.message import user
from nanobot.core.sessions import ImportedMessage, RetentionRule
from nanobot.stores.retention import delete_unused
from nanobot.stores.sql.pieces import MOST_ROWS
from nanobot.stores.sql.ports.store import SqlStore
from nanobot.stores.sqlite.database import ThreadedDatabase
from nanobot.stores.sqlite.opening import DATABASE, open_writer
from nanobot.stores.sqlite.upkeep import Upkeep
from tests.asgi import BOUND_S
from tests.contract.store_harness import StoreHarness, said

LENGTH = 5 * MOST_ROWS


def spoken(count: int = LENGTH) -> Iterator[ImportedMessage]:
    for number in range(count):
        text = f"number {number}"
        yield ImportedMessage(said(text) if number % 2 else user(text), 1_000.0 + number, "turn_of_old")


async def make(harness: StoreHarness, key: str = "long") -> None:
    await harness.store.import_session(key, spoken(), title=None, metadata={})


class Transactions:
    """How many rows each transaction of the writer changes."""

    def __init__(self, harness: StoreHarness) -> None:
        store = harness.store
        assert isinstance(store, SqlStore) and isinstance(store.database, ThreadedDatabase)
        self._db = store.database.connections[0]
        self._before = 0
        self.changed: list[int] = []

    def _trace(self, statement: str) -> None:
        if statement.startswith("BEGIN"):
            self._before = self._db.total_changes
        elif statement == "COMMIT":
            self.changed.append(self._db.total_changes - self._before)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        self._db.set_trace_callback(self._trace)
        try:
            yield
        finally:
            self._db.set_trace_callback(None)


Job = Callable[[StoreHarness], Awaitable[object]]
JOBS: dict[str, Job] = {
    "import": lambda harness: make(harness, "new"),
    "fork": lambda harness: harness.store.fork_session("long", "new"),
    "deletion": lambda harness: harness.store.delete_session("long"),
    "retention": lambda harness: delete_unused(harness.store, (RetentionRule("long", 1.0),)),
}


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
async def test_no_transaction_of_a_long_job_is_long(disk_harness: StoreHarness, job: Job) -> None:
    harness = disk_harness
    await make(harness)
    while await harness.store.search("number", limit=1) == ():
        pass
    harness.clock.advance(10)
    transactions = Transactions(harness)
    with transactions.watched():
        await job(harness)
    assert len(transactions.changed) > LENGTH // MOST_ROWS
    # A message out of the index is a few rows there.
    assert max(transactions.changed) <= 4 * MOST_ROWS


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
async def test_a_turn_of_another_session_is_admitted_meanwhile(disk_harness: StoreHarness, job: Job) -> None:
    harness = disk_harness
    await make(harness)
    harness.clock.advance(10)
    running = asyncio.ensure_future(job(harness))
    await asyncio.sleep(0)
    await harness.admit("other", "hello")
    assert not running.done()
    await asyncio.wait_for(running, BOUND_S)
    assert await harness.texts("other") == ["U:hello"]


async def test_an_import_is_seen_once_it_is_whole(harness: StoreHarness) -> None:
    is_half, go_on = threading.Event(), threading.Event()

    def given() -> Iterator[ImportedMessage]:
        for number, each in enumerate(spoken()):
            if number == LENGTH // 2:
                is_half.set()
                go_on.wait(BOUND_S)
            yield each

    importing = asyncio.ensure_future(
        harness.store.import_session("long", given(), title="Long", metadata={})
    )
    assert await asyncio.to_thread(is_half.wait, BOUND_S)
    await harness.say("other", "hello", "hi")
    with pytest.raises(SessionNotFound):
        await harness.store.session("long")
    assert [session.key for session in await harness.store.sessions(limit=10)] == ["other"]
    assert not importing.done()
    go_on.set()
    session = await asyncio.wait_for(importing, BOUND_S)
    assert (session.key, session.title, session.messages) == ("long", "Long", LENGTH)


async def test_an_import_that_fails_leaves_nothing(disk_harness: StoreHarness) -> None:
    harness = disk_harness

    def given() -> Iterator[ImportedMessage]:
        yield from spoken()
        raise InvalidRequest("line 1281: it is not JSON")

    with pytest.raises(InvalidRequest, match="line 1281"):
        await harness.store.import_session("long", given(), title=None, metadata={})
    assert await harness.store.sessions(limit=10) == ()
    assert count_rows(harness) == (0, 0)


async def test_of_two_imports_under_one_key_one_is_refused(disk_harness: StoreHarness) -> None:
    harness = disk_harness
    results = await asyncio.gather(make(harness), make(harness), return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [SessionExists]
    assert count_rows(harness) == (1, LENGTH)


async def test_a_fork_whose_source_is_deleted_meanwhile_is_none(disk_harness: StoreHarness) -> None:
    harness = disk_harness
    await make(harness)
    forked, deleted = await asyncio.gather(
        harness.store.fork_session("long", "new"),
        harness.store.delete_session("long"),
        return_exceptions=True,
    )
    assert isinstance(forked, SessionNotFound)
    assert not isinstance(deleted, BaseException) and deleted.messages == LENGTH
    assert count_rows(harness) == (0, 0)


async def test_a_session_that_is_being_deleted_is_gone_at_once(harness: StoreHarness) -> None:
    await make(harness)
    await harness.say("long", "and now?", "the end", earlier=())
    turn_id = harness.last_id
    deleting = asyncio.ensure_future(harness.store.delete_session("long"))
    await asyncio.sleep(0)
    again = await harness.admit("long", "hello again")
    assert again.history == "new"
    assert await harness.texts("long") == ["U:hello again"]
    deletion = await asyncio.wait_for(deleting, BOUND_S)
    assert (deletion.messages, deletion.turns) == (LENGTH + 2, 1)
    assert turn_id != again.turn_id


@pytest.mark.parametrize("key", ["nanobot:making:1", "nanobot:deleted:1"])
async def test_what_a_crash_left_of_a_long_job_goes_in_the_upkeep(
    disk_harness: StoreHarness, key: str
) -> None:
    harness = disk_harness
    await make(harness)
    await harness.say("long", "and now?", "the end")
    await harness.close()
    db = sqlite3.connect(harness.directory / DATABASE, isolation_level=None)
    db.execute("UPDATE session SET key = ?", (key,))
    db.close()
    await harness.open()
    assert await harness.store.sessions(limit=10) == ()
    await harness.store.close()
    writer = open_writer(harness.directory, "normal")
    upkeep = Upkeep(harness.directory / DATABASE)
    while upkeep(writer) == 0.0:
        pass
    writer.close()
    assert count_rows(harness) == (0, 0)
    await harness.reopen()


def count_rows(harness: StoreHarness) -> tuple[int, int]:
    """Return how many sessions and messages there are, hidden ones too."""
    db = sqlite3.connect(harness.directory / DATABASE)
    (sessions,) = db.execute("SELECT count(*) FROM session").fetchone()
    (messages,) = db.execute("SELECT count(*) FROM message").fetchone()
    db.close()
    return sessions, messages
