"""Long jobs are done in pieces, between which other sessions' turns are stored; whoever looks sees all of
what such a job makes, or nothing.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from nanobot.core.errors import InvalidRequest, SessionBusy, SessionExists, SessionNotFound
from nanobot.core.message import Message, ToolCall, ToolResult, user
from nanobot.core.sessions import ImportedMessage, RetentionRule
from nanobot.core.turn import Identity
from nanobot.stores.retention import delete_unused
from nanobot.stores.sql import retention
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.pieces import MOST_ROWS
from nanobot.stores.sql.ports.store import SqlStore
from nanobot.stores.sqlite import writer
from nanobot.stores.sqlite.database import ThreadedDatabase
from nanobot.stores.sqlite.opening import DATABASE, open_writer
from nanobot.stores.sqlite.upkeep import Upkeep
from tests.asgi import BOUND_S
from tests.contract.store_harness import StoreHarness, done, said, shown
from tests.watched_database import each_statement

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
        self._then: Callable[[], object] = lambda: None

    def _trace(self, statement: str) -> None:
        if statement.startswith("BEGIN"):
            self._before = self._db.total_changes
        elif statement == "COMMIT":
            self.changed.append(self._db.total_changes - self._before)
            self._then()

    @contextlib.contextmanager
    def watched(self, then: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Watch the writer; call `then` in its thread before each commit."""
        self._then = then
        with each_statement((self._db,), self._trace):
            yield


Job = Callable[[StoreHarness], Awaitable[object]]
SENT = tuple(said(f"said {number}") if number % 2 else user(f"asked {number}") for number in range(LENGTH))
"""A list that a client holds, and the transcript lacks."""

JOBS: dict[str, Job] = {
    "list taken in": lambda harness: harness.admit("new", "and now?", earlier=SENT),
    "list in place of a transcript": lambda harness: harness.admit("long", "and now?", earlier=SENT),
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


async def test_which_sessions_are_unused_is_looked_up_beside_the_writer(disk_harness: StoreHarness) -> None:
    """All sessions are looked at for it, every ten minutes."""
    harness = disk_harness
    await harness.say("kept", "hello", "hi")
    await harness.say("old", "hello", "hi")
    harness.clock.advance(1_000)
    await harness.say("new", "hello", "hi")
    rules = (RetentionRule("kept", 0.0), RetentionRule("*", 500.0))
    transactions = Transactions(harness)
    with transactions.watched():
        await delete_unused(harness.store, (RetentionRule("*", 5_000.0),))
        await delete_unused(harness.store, (RetentionRule("*", 0.0),))
    assert transactions.changed == []
    await delete_unused(harness.store, rules)
    assert {session.key for session in await harness.store.sessions(limit=9)} == {"kept", "new"}


async def test_a_session_that_is_used_again_at_the_last_moment_is_kept(
    harness: StoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.say("old", "hello", "hi")
    harness.clock.advance(1_000)
    delete = retention.delete

    def late(db: Db, *, keys: Sequence[str], rules: Sequence[RetentionRule], now: float) -> Any:
        db.execute("UPDATE session SET updated_at = ? WHERE key = ?", (now, *keys))
        return delete(db, keys=keys, rules=rules, now=now)

    monkeypatch.setattr(retention, "delete", late)
    assert await harness.store.delete_unused((RetentionRule("*", 500.0),)) == 0
    assert await harness.texts("old") == ["U:hello", "A:hi"]


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


# Lists of clients ---------------------------------------------------------------------------------


async def test_a_long_list_becomes_the_history(harness: StoreHarness) -> None:
    admission = await harness.admit("a", "and now?", earlier=SENT)
    assert admission.history == "imported"
    claim = await harness.engine.claim()
    await harness.store.append(claim, done("the end"))
    texts = await harness.texts("a")
    assert (len(texts), texts[0], texts[-2:]) == (LENGTH + 2, "U:asked 0", ["U:and now?", "A:the end"])
    again = await harness.admit("a", "go on", earlier=(*SENT, user("and now?"), said("the end")))
    assert again.history == "matched"
    assert [branch.messages for branch in await harness.store.branches("a")] == [LENGTH + 3]


@pytest.mark.parametrize("shared", [0, 2, 4])
async def test_a_long_list_takes_the_place_of_what_it_departs_from(
    harness: StoreHarness, shared: int
) -> None:
    spoken = (user("1"), said("one"), user("2"), said("two"))
    await harness.say("a", "1", "one")
    await harness.say("a", "2", "two", earlier=spoken[:2])
    admission = await harness.admit("a", "and now?", earlier=(*spoken[:shared], *SENT))
    assert admission.history == "replaced"
    await harness.store.append(await harness.engine.claim(), done("the end"))
    texts = await harness.texts("a")
    assert texts[: shared + 1] == [*["U:1", "A:one", "U:2", "A:two"][:shared], "U:asked 0"]
    assert len(texts) == shared + LENGTH + 2
    lines = await harness.store.branches("a")
    assert len(lines) == (1 if shared == 4 else 2)
    back = await harness.admit("a", "3", earlier=spoken)
    assert back.history == "rewound"


async def test_a_long_list_whose_calls_are_answered_is_found_again(harness: StoreHarness) -> None:
    call = ToolCall("c", "f", "{}", for_client=True)
    asked = (*SENT, user("6*7?"), Message("assistant", (call,), "tool_calls"))
    turn = msgspec.structs.replace(harness.turn("a"), input=(Message("tool", (ToolResult("c", "42"),)),))
    admission = await harness.store.admit(turn, Identity(b"1" * 32), asked)
    assert admission.history == "imported"
    claim = await harness.engine.claim()
    assert claim.turn.input[0].tool_results == (ToolResult("c", "42"),)


async def test_a_long_list_of_a_turn_without_a_trace_is_shown_nowhere(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    claim = await harness.start("a", "title?", trace=False, earlier=SENT)
    history = await harness.store.history("a", 10_000_000)
    assert len(history.messages) == LENGTH + 1
    assert await harness.texts("a") == ["U:1", "A:one"]
    await harness.store.append(claim, done("T"))
    assert await harness.texts("a") == ["U:1", "A:one"]
    assert len(await harness.store.branches("a")) == 1
    assert (await harness.admit("a", "2", earlier=SENT)).history == "replaced"


async def test_a_long_list_is_not_taken_in_while_a_turn_of_its_session_runs(harness: StoreHarness) -> None:
    await harness.start("a", "1")
    with pytest.raises(SessionBusy, match=f"{LENGTH} messages of the request are not in its transcript"):
        await harness.admit("a", "2", earlier=SENT)
    assert await harness.texts("a") == ["U:1"]


async def test_two_long_lists_at_once_are_both_whole(disk_harness: StoreHarness) -> None:
    harness = disk_harness
    await harness.say("a", "1", "one")
    # Nothing of one is in the other: the front of a list may be left out by a client.
    other = tuple(
        said(f"told {number}") if number % 2 else user(f"wanted {number}") for number in range(LENGTH)
    )
    lists = {"x": SENT, "y": other}
    results = await asyncio.gather(
        *(harness.admit("a", asked, earlier=sent) for asked, sent in lists.items()), return_exceptions=True
    )
    # One that comes to it only when the other is in is told to come again: it is for the client to wait.
    missed = [asked for asked, found in zip(lists, results, strict=True) if isinstance(found, SessionBusy)]
    assert len(missed) < len(lists)
    for _ in lists:
        claim = await harness.engine.claim()
        asked = claim.turn.input[0].text
        assert await harness.texts("a") == [*(shown(message) for message in lists[asked]), f"U:{asked}"]
        await harness.store.append(claim, done("answer"))
        for again in missed:
            assert (await harness.admit("a", again, earlier=lists[again])).history == "replaced"
        missed = []


async def give_up(harness: StoreHarness, key: str, committed: int) -> None:
    """Send a long list, and go when so many transactions of it are about to be known to be committed."""
    coming = asyncio.ensure_future(harness.admit(key, "2", earlier=SENT))
    loop = asyncio.get_running_loop()
    transactions = Transactions(harness)

    def look() -> None:
        if len(transactions.changed) == committed:
            loop.call_soon_threadsafe(coming.cancel)

    with transactions.watched(look):
        await asyncio.wait([coming], timeout=BOUND_S)
    assert coming.cancelled()


async def test_what_is_left_of_a_list_goes_in_the_upkeep(disk_harness: StoreHarness) -> None:
    harness = disk_harness
    await harness.say("a", "1", "one")
    before = count_rows(harness)
    for key in ("a", "b"):
        for committed in (1, 3):
            await give_up(harness, key, committed)
    await harness.store.check()
    assert await harness.texts("a") == ["U:1", "A:one"]
    assert len(await harness.store.branches("a")) == 1
    await harness.store.close()
    clear_up(harness)
    assert count_rows(harness) == before
    await harness.reopen()
    assert [session.key for session in await harness.store.sessions(limit=10)] == ["a"]
    await harness.say("a", "2", "two")
    assert await harness.texts("a") == ["U:1", "A:one", "U:2", "A:two"]


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


def expected(db: Db) -> list[tuple[object, ...]]:
    """Return what is counted of deletions under way."""
    return db.execute("SELECT * FROM purged").fetchall()


@pytest.mark.parametrize("sessions", [1, 3])
async def test_all_that_a_deletion_removes_is_counted_where_the_upkeep_never_rests(
    disk_harness: StoreHarness, monkeypatch: pytest.MonkeyPatch, sessions: int
) -> None:
    harness = disk_harness
    keys = [f"wx:group:{number}:user:ann" for number in range(sessions)]
    for key in keys:
        await make(harness, key)
        await harness.say(key, "and now?", "the end")
    store = harness.store
    assert isinstance(store, SqlStore) and isinstance(store.database, ThreadedDatabase)
    monkeypatch.setattr(writer, "_BETWEEN_S", 0.0)
    monkeypatch.setattr(vars(store.database)["_writer"], "_spare_due", 0.0)
    erased = await store.erase_person("wx:ann")
    assert (erased.sessions, erased.messages, erased.turns) == (
        sessions,
        sessions * (LENGTH + 2),
        sessions,
    )
    assert await store.database.write(expected) == []


async def test_what_a_deletion_leaves_that_breaks_off_goes_in_the_upkeep(disk_harness: StoreHarness) -> None:
    harness = disk_harness
    await make(harness)
    deleting = asyncio.ensure_future(harness.store.delete_session("long"))
    while await harness.store.sessions(limit=1):
        pass
    deleting.cancel()
    await asyncio.wait([deleting])
    store = harness.store
    assert isinstance(store, SqlStore) and await store.database.write(expected) == []
    await store.close()
    clear_up(harness)
    assert count_rows(harness) == (0, 0)
    await harness.reopen()


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
    clear_up(harness)
    assert count_rows(harness) == (0, 0)
    await harness.reopen()


def clear_up(harness: StoreHarness) -> None:
    """Do what the writer of a closed store would have done when idle."""
    writer = open_writer(harness.directory, "normal")
    upkeep = Upkeep(harness.directory / DATABASE)
    while upkeep(writer) == 0.0:
        pass
    writer.close()


def count_rows(harness: StoreHarness) -> tuple[int, int]:
    """Return how many sessions and messages there are, hidden ones too."""
    db = sqlite3.connect(harness.directory / DATABASE)
    (sessions,) = db.execute("SELECT count(*) FROM session").fetchone()
    (messages,) = db.execute("SELECT count(*) FROM message").fetchone()
    db.close()
    return sessions, messages


async def test_a_long_list_that_is_sent_again_while_it_is_taken_in_is_taken_in_once(
    disk_harness: StoreHarness,
) -> None:
    harness = disk_harness
    first, again, third = await asyncio.gather(
        harness.admit("new", "and now?", earlier=SENT),
        harness.admit("new", "and now?", earlier=SENT, is_retry=True),
        harness.admit("new", "and now?", earlier=SENT, is_retry=True),
    )
    assert {first.answered_by, again.answered_by, third.answered_by} == {first.turn_id}
    rows = await vars(harness.store)["database"].read(
        lambda db: db.execute("SELECT count(*) FROM message").fetchone()[0]
    )
    assert rows == LENGTH + 1


async def test_a_long_list_that_is_sent_again_does_not_overtake_itself_where_others_write_meanwhile(
    disk_harness: StoreHarness,
) -> None:
    harness = disk_harness
    for number in range(8):
        key = f"session {number}"
        claim = await harness.start(key, "and now?", earlier=SENT)
        await harness.store.append(claim, done("this"))
        sent = (*SENT, user("and now?"), said("this"))
        first, _, again = await asyncio.gather(
            harness.admit(key, "and then?", earlier=sent),
            harness.admit(key, "something else"),
            harness.admit(key, "and then?", earlier=sent, is_retry=True),
        )
        assert again.answered_by == first.turn_id
