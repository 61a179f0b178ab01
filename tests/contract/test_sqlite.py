"""What the SQLite store promises besides the protocol: its file, its lock, its migrations, and how much a
turn reads.
"""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from nanobot.core.errors import StoreCorrupt, StoreError, StoreLocked, StoreTooNew
from nanobot.core.event import MessageAdded, ToolFinished, ToolStarted, TurnEnded
from nanobot.core.memory import NewFact
from nanobot.core.message import AskedCall, Message, Text, ToolCall, ToolResult, user
from nanobot.core.store import Limits, Store
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.ports.store import SqlStore
from nanobot.stores.sqlite import migrate
from nanobot.stores.sqlite.backup import backup
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.database import ThreadedDatabase
from nanobot.stores.sqlite.opening import DATABASE, LOCK, open_reader
from nanobot.stores.sqlite.store import open_store
from nanobot.testing import FakeClock
from tests.contract.store_harness import StoreHarness, cancelled, done, failed, open_sqlite, said
from tests.watched_database import each_statement, each_step

CLOCK = FakeClock()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory that is not open."""
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


async def fill(data: Path, sessions: int = 3) -> None:
    """Make a store with some conversations in `data`."""
    harness = StoreHarness(open_sqlite, data, Limits())
    await harness.open()
    for number in range(sessions):
        await harness.say(f"key {number}", "hello " * 200, "hi " * 200)
    await harness.close()


# The lock -----------------------------------------------------------------------------------------


async def test_a_second_server_on_a_data_directory_is_refused(data: Path) -> None:
    store = await open_store(data, CLOCK)
    try:
        with pytest.raises(StoreLocked) as caught:
            await open_store(data, CLOCK)
        assert str(data) in caught.value.message
        assert "--data" in caught.value.message
        await store.check()
    finally:
        await store.close()
    await (await open_store(data, CLOCK)).close()


async def test_the_lock_is_let_go_where_the_store_cannot_be_opened(data: Path) -> None:
    (data / DATABASE).write_bytes(b"not a database" * 500)
    for _ in range(2):
        with pytest.raises(StoreCorrupt):
            await open_store(data, CLOCK)


async def test_a_lock_file_left_by_a_killed_server_locks_nobody_out(data: Path) -> None:
    (data / LOCK).write_text("12345\n")
    await (await open_store(data, CLOCK)).close()


async def test_a_data_directory_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError) as caught:
        await open_store(tmp_path / "file" / "data", CLOCK)
    assert "--data" in caught.value.message


async def test_conversations_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    data = tmp_path / "fresh"
    store = await open_store(data, CLOCK)
    try:
        assert data.stat().st_mode & 0o077 == 0
        assert (data / DATABASE).stat().st_mode & 0o077 == 0
    finally:
        await store.close()


@pytest.mark.skipif(sys.platform == "win32", reason="modes of files are POSIX")
@pytest.mark.parametrize("is_older", [False, True], ids=["a new database", "one that others could read"])
async def test_the_log_of_the_database_is_private_too_in_a_directory_that_is_open(
    tmp_path: Path, *, is_older: bool
) -> None:
    data = tmp_path / "open to others"
    data.mkdir(mode=0o755)
    if is_older:
        await (await open_store(data, CLOCK)).close()
        (data / DATABASE).chmod(0o644)
    store = await open_store(data, CLOCK)
    try:
        assert (data / f"{DATABASE}-wal").exists()
        assert [path.name for path in data.iterdir() if path.stat().st_mode & 0o077] == []
    finally:
        await store.close()


# Files that are not ours --------------------------------------------------------------------------


def not_a_database(path: Path) -> None:
    path.write_bytes(b"My diary, volume one. " * 1000)


def of_another_program(path: Path) -> None:
    db = sqlite3.connect(path)
    db.executescript("CREATE TABLE precious (x); INSERT INTO precious VALUES (1); PRAGMA user_version = 1")
    db.close()


def with_the_id_of_another_program(path: Path) -> None:
    db = sqlite3.connect(path)
    db.executescript("PRAGMA application_id = 42; CREATE TABLE session (x); PRAGMA user_version = 1")
    db.close()


def of_a_newer_version(path: Path) -> None:
    db = sqlite3.connect(path)
    db.executescript("PRAGMA user_version = 999")
    db.close()


def cut_in_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def overwritten_inside(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for start in range(4096, len(content), 4096):
        content[start : start + 200] = b"\xff" * 200
    path.write_bytes(bytes(content))


def with_a_broken_head(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[16:60] = b"\xaa" * 44
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("damage", "is_filled", "expected"),
    [
        (not_a_database, False, StoreCorrupt),
        (of_another_program, False, StoreCorrupt),
        (with_the_id_of_another_program, False, StoreCorrupt),
        (of_a_newer_version, True, StoreTooNew),
        (cut_in_half, True, StoreCorrupt),
        (overwritten_inside, True, StoreCorrupt),
        (with_a_broken_head, True, StoreCorrupt),
    ],
)
async def test_a_file_that_is_not_ours_to_use_is_refused_and_left_as_it_is(
    data: Path, damage: Callable[[Path], None], is_filled: bool, expected: type[StoreError]
) -> None:
    path = data / DATABASE
    if is_filled:
        await fill(data)
    damage(path)
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        await open_store(data, CLOCK)
    assert type(caught.value) is expected
    assert str(path) in caught.value.message
    assert path.read_bytes() == before
    with pytest.raises(StoreError):
        await open_store(data, CLOCK)
    assert path.read_bytes() == before


async def test_a_newer_version_is_told_with_its_number_and_the_way_out(data: Path) -> None:
    await fill(data)
    of_a_newer_version(data / DATABASE)
    with pytest.raises(StoreTooNew) as caught:
        await open_store(data, CLOCK)
    assert "999" in caught.value.message
    assert "upgrade" in caught.value.message


async def test_a_page_that_is_found_damaged_later_is_an_error_that_names_the_file(data: Path) -> None:
    harness = StoreHarness(open_sqlite, data, Limits())
    await harness.open()
    for number in range(40):
        await harness.say("a", f"{number} " * 300, "ok")
    await harness.close()
    path = data / DATABASE
    content = bytearray(path.read_bytes())
    db = sqlite3.connect(path)
    pages = (
        [
            page
            for (page,) in db.execute(
                "SELECT pageno FROM dbstat WHERE name = 'message' AND pagetype = 'leaf'"
            )
        ]
        if has_dbstat(db)
        else []
    )
    db.close()
    if not pages:
        pages = [
            index + 1
            for index in range(len(content) // 4096)
            if b"17 17 17 17" in content[index * 4096 : (index + 1) * 4096]
        ]
    for page in pages:
        content[(page - 1) * 4096 : (page - 1) * 4096 + 100] = b"\xff" * 100
    path.write_bytes(bytes(content))
    store = await open_store(data, CLOCK)
    try:
        with pytest.raises(StoreCorrupt) as caught:
            await store.history("a", 1_000_000)
        assert str(path) in caught.value.message
    finally:
        await store.close()


def has_dbstat(db: sqlite3.Connection) -> bool:
    try:
        db.execute("SELECT 1 FROM dbstat LIMIT 1")
    except sqlite3.OperationalError:
        return False
    return True


# Migrations ---------------------------------------------------------------------------------------


def version(data: Path) -> tuple[int, list[str]]:
    db = sqlite3.connect(data / DATABASE)
    (number,) = db.execute("PRAGMA user_version").fetchone()
    tables = [
        name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    ]
    db.close()
    return number, tables


async def test_a_migration_that_breaks_off_leaves_the_version_before_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(data)
    number, tables = version(data)
    known = migrate.migrations()
    broken = [
        *known,
        (
            number + 1,
            "CREATE TABLE later (x);\nINSERT INTO later VALUES (1);\nINSERT INTO no_such_table VALUES (1);",
        ),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "migrations", lambda: broken)
        with pytest.raises(StoreError):
            await open_store(data, CLOCK)
    assert version(data) == (number, tables)
    store = await open_store(data, CLOCK)
    assert len(await store.messages("key 0", limit=10)) == 2
    await store.close()


async def test_migrations_before_one_that_breaks_off_hold(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(data)
    number, tables = version(data)
    steps = [
        *migrate.migrations(),
        (number + 1, "CREATE TABLE later (x);"),
        (number + 2, "DROP TABLE no_such_table;"),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "migrations", lambda: steps)
        with pytest.raises(StoreError):
            await open_store(data, CLOCK)
    assert version(data) == (number + 1, sorted([*tables, "later"]))


async def test_an_sqlite_without_full_text_search_is_told_with_the_way_out(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = [(1, "CREATE VIRTUAL TABLE search USING fts5_that_is_not_there (text);")]
    monkeypatch.setattr(migrate, "migrations", lambda: lacking)
    with pytest.raises(StoreError, match=r"has no FTS5.*another Python"):
        await open_store(data, CLOCK)


async def test_a_migration_runs_once_and_keeps_what_is_there(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(data)
    number, _ = version(data)
    steps = [*migrate.migrations(), (number + 1, "CREATE TABLE later (x); INSERT INTO later VALUES (1);")]
    monkeypatch.setattr(migrate, "migrations", lambda: steps)
    for _ in range(2):
        store = await open_store(data, CLOCK)
        assert len(await store.sessions(limit=10)) == 3
        await store.close()
    db = sqlite3.connect(data / DATABASE)
    assert db.execute("SELECT count(*) FROM later").fetchone() == (1,)
    db.close()


def rows_of(db: sqlite3.Connection) -> list[object]:
    """Return the shape of a database, and what its tables begin with."""
    schema = db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").fetchall()
    tables = [name for kind, name, sql in schema if kind == "table" and "fts5" not in sql]
    return [schema, *(db.execute(f"SELECT * FROM [{name}]").fetchall() for name in tables)]


def test_a_new_database_has_at_once_what_the_migrations_lead_to_one_after_the_other() -> None:
    known = migrate.migrations()
    with (
        contextlib.closing(sqlite3.connect(":memory:", isolation_level=None, factory=Connection)) as new,
        contextlib.closing(sqlite3.connect(":memory:", isolation_level=None, factory=Connection)) as old,
    ):
        commits: list[str] = []
        new.set_trace_callback(lambda sql: commits.append(sql) if "COMMIT" in sql else None)
        migrate.migrate(new, Path("new"))
        # Each one waits for the disk.
        assert len(commits) == 1
        # One that has something in it is brought on step by step.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(migrate, "migrations", lambda: known[:1])
            migrate.migrate(old, Path("old"))
        migrate.migrate(old, Path("old"))
        assert rows_of(old) == rows_of(new)
        assert old.execute("PRAGMA user_version").fetchone() == (len(known),)


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = [number for number, _ in migrate.migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


# Backup -------------------------------------------------------------------------------------------


def back_up(directory: Path, path: Path) -> None:
    """Do as `nanobot backup`, which has a connection of its own."""
    with contextlib.closing(open_reader(directory)) as db:
        backup(db, path)


async def test_a_backup_made_while_turns_are_written_is_consistent_and_opens(
    data: Path, tmp_path: Path
) -> None:
    harness = StoreHarness(open_sqlite, data, Limits())
    await harness.open()
    await harness.say("a", "0", "re 0")

    async def write() -> None:
        for number in range(1, 150):
            await harness.say("a", f"{number}", f"re {number}")

    writing = asyncio.ensure_future(write())
    copies: list[Path] = []
    while not writing.done() and len(copies) < 5:
        copies.append(tmp_path / f"copy-{len(copies)}")
        back_up(data, copies[-1])
        await asyncio.sleep(0)
    await writing
    await harness.close()
    for path in copies:
        directory = tmp_path / f"restored {path.name}"
        directory.mkdir()
        shutil.copy(path, directory / DATABASE)
        restored = StoreHarness(open_sqlite, directory, Limits())
        await restored.open()
        texts = await restored.texts("a")
        assert texts[:2] == ["U:0", "A:re 0"]
        assert (
            texts
            == [
                text for number in range((len(texts) + 1) // 2) for text in (f"U:{number}", f"A:re {number}")
            ][: len(texts)]
        )
        await restored.close()
        db = sqlite3.connect(path)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()


async def test_a_backup_is_one_file_that_only_its_owner_reads(
    disk_harness: StoreHarness, tmp_path: Path
) -> None:
    await disk_harness.say("a", "hello", "hi")
    back_up(disk_harness.directory, tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("copy")) == ["copy"]


async def test_a_backup_does_not_overwrite_a_file(disk_harness: StoreHarness, tmp_path: Path) -> None:
    path = tmp_path / "backup"
    path.write_text("precious")
    with pytest.raises(StoreError) as caught:
        back_up(disk_harness.directory, path)
    assert str(path) in caught.value.message
    assert path.read_text() == "precious"


async def test_a_backup_that_cannot_be_written_says_so_and_leaves_nothing(
    disk_harness: StoreHarness, tmp_path: Path
) -> None:
    with pytest.raises(StoreError):
        back_up(disk_harness.directory, tmp_path / "no such directory" / "backup")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


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


async def test_an_untidy_stop_is_mended_at_the_next_start(data: Path) -> None:
    """The write-ahead log of a killed server is read, not thrown away."""
    harness = StoreHarness(open_sqlite, data, Limits())
    await harness.open()
    await harness.say("a", "hello", "hi")
    killed = data.parent / "killed"
    shutil.copytree(data, killed)
    await harness.close()
    assert (killed / f"{DATABASE}-wal").stat().st_size > 0
    again = StoreHarness(open_sqlite, killed, Limits())
    await again.open()
    assert await again.texts("a") == ["U:hello", "A:hi"]
    await again.say("a", "more", "yes")
    await again.close()


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


# While the server runs ----------------------------------------------------------------------------


async def checkpointed(data: Path) -> Store:
    """Return a store all of whose rows are in the database file, none in the write-ahead log alone."""
    await fill(data)
    return await open_store(data, CLOCK)


async def test_a_store_whose_files_are_there_is_in_order(data: Path) -> None:
    store = await checkpointed(data)
    try:
        await store.check()
    finally:
        await store.close()


def deleted(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


def overwritten_in_place(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x5a" * (size - 4096))


def zeroed(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(bytes(size))


def shortened(path: Path) -> None:
    os.truncate(path, 8192)


@pytest.mark.parametrize("harm", [deleted, replaced, overwritten_in_place, zeroed, shortened])
async def test_a_file_that_comes_to_harm_under_the_server_is_noticed(
    data: Path, harm: Callable[[Path], None]
) -> None:
    store = await checkpointed(data)
    try:
        harm(data / DATABASE)
        with pytest.raises(StoreError) as caught:
            await store.check()
        assert str(data) in caught.value.message
        assert str(data) not in caught.value.public_message
    finally:
        with contextlib.suppress(StoreError, sqlite3.Error):
            await store.close()


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
