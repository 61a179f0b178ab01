"""A backup is consistent, one file, and overwrites nothing."""

import asyncio
import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from nanobot.core.errors import StoreError
from nanobot.core.store import Limits
from nanobot.stores.sqlite.backup import backup
from nanobot.stores.sqlite.opening import DATABASE, open_reader
from tests.contract.store_harness import StoreHarness, open_sqlite


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
