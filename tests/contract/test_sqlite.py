"""What the SQLite store promises besides the protocol: what stays, what goes, and how much a turn reads."""

import asyncio
import contextlib
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from nanobot.core.event import MessageAdded, ToolFinished, ToolStarted, TurnEnded
from nanobot.core.memory import NewFact
from nanobot.core.message import AskedCall, Message, Text, ToolCall, ToolResult, user
from nanobot.core.store import Limits, Store
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.ports.store import SqlStore
from nanobot.stores.sqlite.database import ThreadedDatabase
from nanobot.stores.sqlite.opening import DATABASE
from tests.contract.store_harness import StoreHarness, cancelled, done, failed, open_sqlite, said
from tests.watched_database import each_statement, each_step

# Commits ------------------------------------------------------------------------------------------


async def test_many_sessions_at_once_lose_nothing(harness: StoreHarness) -> None:
    async def one(key: str) -> None:
        for number in range(3):
            await harness.admit(key, f"{number}")

    await asyncio.gather(*(one(f"key {number}") for number in range(30)))
    for _ in range(90):
        claim = await harness.engine.claim()
        await harness.store.append(claim, done(f"re {claim.turn.input[0].text}"))
    for number in range(30):
        assert await harness.texts(f"key {number}") == [
            text for number in range(3) for text in (f"U:{number}", f"A:re {number}")
        ]


# Deleting -----------------------------------------------------------------------------------------


async def test_deleting_a_session_removes_every_row_of_every_table(data: Path) -> None:
    harness = StoreHarness(open_sqlite, data, Limits())
    await harness.open()
    await harness.say("other", "1", "one")
    await harness.close()
    before = rows(data)
    await harness.open()
    await harness.say("a", "1", "one", earlier=(user("0"), said("zero")))
    await harness.say("a", "2", "two")
    await harness.say("a", "2b", "two b", earlier=(user("1"), said("one")))
    await harness.say("a", "title", "T", trace=False)
    call = ToolCall("c", "f", "{}")
    claim = await harness.start("a", "3")
    await harness.store.append(
        claim, (MessageAdded(Message("assistant", (call,), "tool_calls")), ToolStarted(call))
    )
    await harness.store.append(claim, (ToolFinished(Message("tool", (ToolResult("c", "42"),))),))
    await harness.admit("a", "4", when_busy="steer")
    await harness.admit("a", "5", dedupe_key="k")
    waiting = await harness.admit("a", "6")
    await harness.store.cancel(waiting.turn_id, "x")
    await harness.store.delete_session("a")
    await harness.close()
    left = rows(data)
    kept = [row for row in left["usage"] if row not in before["usage"]]
    assert {**left, "usage": []} == {**before, "usage": []}
    assert [row[:3] for row in kept] == [(0, "2027-01-15", "")], "totals of a day stay: they name no session"
    assert set(before["usage"]) < set(left["usage"])


def rows(data: Path) -> dict[str, list[tuple[object, ...]]]:
    db = sqlite3.connect(data / DATABASE)
    tables = [
        name
        for (name,) in db.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
    ]
    # the index is seen in its own tables; what is still to be done, and the numbers of old, are no session's
    no_rows = {"search", "chore", "gone_number"}
    found = {
        table: db.execute(f"SELECT * FROM {table}").fetchall() for table in tables if table not in no_rows
    }
    db.close()
    assert len(tables) >= 7
    return found


# How much a turn reads ----------------------------------------------------------------------------


def connections(store: Store) -> Sequence[sqlite3.Connection]:
    """Return the connections of a store in a data directory."""
    assert isinstance(store, SqlStore)
    assert isinstance(store.database, ThreadedDatabase)
    return tuple(store.database.connections)


class Steps:
    """Counts the steps of SQLite's virtual machine on the connections of a store: a scan cannot hide."""

    def __init__(self, store: Store) -> None:
        self.count = 0
        self._watching = contextlib.ExitStack()
        self._watching.enter_context(each_step(connections(store), self._count))

    def _count(self) -> None:
        self.count += 1

    def stop(self) -> int:
        self._watching.close()
        return self.count


async def steps_of_a_turn(harness: StoreHarness, key: str, budget_tokens: int = 2_000) -> int:
    """Return what one turn costs: admission with a resent tail, history, an append with a tool call, the end,
    a look, a retry, a list.
    """
    steps = Steps(harness.store)
    await harness.admit(
        key,
        "next",
        earlier=(user("hello"), said("the last answer")),
        dedupe_key=f"{key}{harness.clock.now()}",
    )
    claim = await harness.engine.claim()
    history = await harness.store.history(key, budget_tokens)
    assert len(history.messages) > 50
    call = ToolCall("c", "f", "{}")
    await harness.store.append(
        claim, (MessageAdded(Message("assistant", (call,), "tool_calls")), ToolStarted(call))
    )
    await harness.store.append(claim, (ToolFinished(Message("tool", (ToolResult("c", "42"),))),))
    await harness.store.append(claim, (MessageAdded(said("x", "incomplete")), cancelled()))
    await harness.store.turn(claim.turn.id)
    await harness.admit(key, "next", is_retry=True)
    await harness.store.sessions(limit=10)
    await harness.store.messages(key, limit=10, after_seq=900)
    return steps.stop()


@pytest.mark.usefixtures("no_spare_work")
async def test_a_turn_at_message_100_000_reads_no_more_than_at_1_000(data: Path) -> None:
    """Counted in steps of SQLite's machine, which a noisy machine does not change."""
    harness = StoreHarness(open_sqlite, data, Limits())
    await harness.open()
    for key, count in (("short", 1_000), ("long", 100_000)):
        earlier = tuple(
            user(f"question {n} " * 4)
            if n % 2 == 0
            else said("the last answer" if n == count - 1 else f"answer {n} " * 4)
            for n in range(count)
        )
        await harness.say(key, "hello", "the last answer", earlier=earlier)
    short = await steps_of_a_turn(harness, "short")
    long = await steps_of_a_turn(harness, "long")
    await harness.close()
    assert long <= short * 1.05, f"{short} steps at message 1,000, {long} at 100,000"


@pytest.mark.usefixtures("no_spare_work")
async def test_nothing_that_a_turn_asks_of_the_database_scans_a_table_that_grows(data: Path) -> None:
    harness = StoreHarness(open_sqlite, data, Limits())
    await harness.open()
    earlier = tuple(
        user(f"question {n} " * 20) if n % 2 == 0 else said("the last answer") for n in range(200)
    )
    await harness.say("a", "hello", "the last answer", earlier=earlier)
    asked: set[str] = set()
    with each_statement(connections(harness.store), asked.add):
        await steps_of_a_turn(harness, "a")
    queries = [query for query in asked if query.startswith(("SELECT", "UPDATE", "DELETE", "INSERT"))]
    details = [
        (detail, query)
        for query in queries
        for (_, _, _, detail) in connections(harness.store)[0].execute(f"EXPLAIN QUERY PLAN {query}")
    ]
    await harness.close()
    assert len(queries) > 10
    assert [
        (detail, query)
        for detail, query in details
        if detail.startswith("SCAN")
        and "subquery" not in detail
        and "LIMIT" not in query
        and "dispatch" not in query
        and detail != "SCAN gone_number"
    ] == []


def bytes_read() -> int:
    """Return how many bytes this process has read so far, from files and all else."""
    text = Path("/proc/self/io").read_text(encoding="ascii")
    return int(text.split("rchar:", 1)[1].split()[0])


@pytest.mark.skipif(sys.platform != "linux", reason="the bytes that were read are counted by Linux")
@pytest.mark.usefixtures("no_spare_work")
async def test_large_messages_cost_later_turns_nothing_of_any_session(data: Path) -> None:
    """Six that a turn was refused for, of 4 MB: what comes after reads none of their pages."""
    harness = StoreHarness(open_sqlite, data, Limits())
    await harness.open()
    cost: dict[str, list[int]] = {"large": [], "other": []}

    async def ten_turns(key: str) -> None:
        before = bytes_read()
        for _ in range(10):
            claim = await harness.start(key, "hello")
            await harness.store.history(key, 2_000)
            await harness.store.append(claim, done("hi"))
            await harness.store.turn(claim.turn.id)
        cost[key].append(bytes_read() - before)

    for key in cost:
        await ten_turns(key)
    for _ in range(6):
        claim = await harness.start("large", "x" * 4_000_000)
        await harness.store.append(claim, (failed("context_too_long", retryable=False),))
    # To move them from the write-ahead log into the database is no turn's business.
    with contextlib.closing(sqlite3.connect(data / DATABASE)) as db:
        db.execute("PRAGMA wal_checkpoint").fetchone()
    for key in cost:
        await ten_turns(key)
    await harness.close()
    assert max(max(each) for each in cost.values()) < 1_000_000, cost


async def test_done_is_told_only_after_the_commit(data: Path) -> None:
    """What a reader of its own connection sees when `append` returns."""
    harness = StoreHarness(open_sqlite, data, Limits())
    await harness.open()
    other = sqlite3.connect(data / DATABASE)
    for number in range(20):
        claim = await harness.start("a", f"{number}")
        assert other.execute("SELECT count(*) FROM message").fetchone() == (2 * number + 1,)
        await harness.store.append(claim, done("ok"))
        assert other.execute("SELECT count(*) FROM message").fetchone() == (2 * number + 2,)
    other.close()
    await harness.close()


# Numbers of rows ----------------------------------------------------------------------------------


async def test_a_number_is_never_given_again(data: Path) -> None:
    """What was begun for a row that is gone, or still names it, would be taken for the next one's."""
    harness = StoreHarness(open_sqlite, data, Limits())
    await harness.open()

    def numbers(db: Db) -> tuple[int, ...]:
        return tuple(
            db.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0] or 0
            for table in ("session", "turn", "fact", "approval")
        )

    given: list[tuple[int, ...]] = []
    for key in ("a", "b", "c"):
        store = harness.store
        assert isinstance(store, SqlStore)
        call = ToolCall("call", "send", "{}", is_withheld=True)
        claim = await harness.start(key)
        asked = AskedCall(key, call.id, call.name, "{}", harness.clock.now() + 60)
        await store.append(
            claim,
            (
                MessageAdded(Message("assistant", (call,), "tool_calls")),
                ToolFinished(Message("tool", (ToolResult(call.id, "not yet"),))),
                MessageAdded(Message("assistant", (Text("May I?"),), "stop", asks=(asked,))),
                TurnEnded("done"),
            ),
        )
        await store.remember(key, NewFact(id=f"mem_{key}", text="likes dodos", origin="user"))
        given.append(await store.database.read(numbers))
        await store.delete_session(key)
        assert await store.database.read(numbers) == (0, 0, 0, 0)
        await harness.reopen()
    assert all(len(set(column)) == len(given) for column in zip(*given, strict=True)), given
    await harness.close()
