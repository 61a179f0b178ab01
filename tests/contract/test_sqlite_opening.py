"""A data directory has one server at a time, and a database that is ours and whole, or it is not opened."""

import contextlib
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nanobot.core.errors import StoreCorrupt, StoreError, StoreLocked, StoreTooNew
from nanobot.core.store import Limits, Store
from nanobot.stores.sqlite.opening import DATABASE, LOCK
from nanobot.stores.sqlite.store import open_store
from tests.contract.sqlite_data import CLOCK, fill
from tests.contract.store_harness import StoreHarness, open_sqlite

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


# After an untidy stop -----------------------------------------------------------------------------


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


async def test_a_file_that_was_emptied_is_noticed_though_the_log_has_what_is_looked_at(data: Path) -> None:
    store = await open_store(data, CLOCK)
    try:
        await store.check()
        assert (data / DATABASE).stat().st_size
        os.truncate(data / DATABASE, 0)
        with pytest.raises(StoreCorrupt, match="shortened"):
            await store.check()
    finally:
        with contextlib.suppress(StoreError, sqlite3.Error):
            await store.close()


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
