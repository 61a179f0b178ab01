"""Uploads: kept whole or not at all, for one session, until they expire or are deleted; nothing of them stays
behind.
"""

import errno
import re
from pathlib import Path

import pytest

from nanobot.core.errors import SessionNotFound, StoreError, UploadNotFound, UploadsFull
from nanobot.core.uploads import Upload
from tests.contract.store_harness import StoreHarness

QUOTA = 1_000


def upload(
    harness: StoreHarness,
    number: int,
    key: str = "ann",
    size: int = 5,
    *,
    name: str = "a.txt",
    ttl_s: float | None = None,
) -> Upload:
    now = harness.clock.now()
    return Upload(
        f"file-{number:026d}", key, name, "user_data", size, now, None if ttl_s is None else now + ttl_s
    )


async def keep(
    harness: StoreHarness,
    number: int,
    key: str = "ann",
    content: bytes = b"hello",
    *,
    ttl_s: float | None = None,
) -> Upload:
    made = upload(harness, number, key, len(content), ttl_s=ttl_s)
    await harness.store.add_upload(made, content, QUOTA)
    return made


def on_disk(disk_harness: StoreHarness) -> set[str]:
    folder = disk_harness.directory / "files"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


async def listed(harness: StoreHarness, key: str = "ann", **options: object) -> list[int]:
    found = await harness.store.uploads(key, limit=100, **options)  # type: ignore[arg-type]
    return [int(made.id.removeprefix("file-")) for made in found.uploads]


async def test_what_was_uploaded_is_there_after_the_next_start(harness: StoreHarness) -> None:
    made = await keep(harness, 1, content=b"\0\xff" * 100)
    await harness.reopen()
    assert await harness.store.open_upload(made.id, "ann") == (made, b"\0\xff" * 100)
    assert await harness.store.upload(made.id, "ann") == made


async def test_the_upload_of_another_session_is_not_there_in_the_same_words(harness: StoreHarness) -> None:
    made = await keep(harness, 1)
    with pytest.raises(UploadNotFound) as foreign:
        await harness.store.upload(made.id, "bob")
    with pytest.raises(UploadNotFound) as missing:
        await harness.store.upload("file-00000000000000000000000009", "ann")
    assert re.sub(r"\d", "0", foreign.value.message) == re.sub(r"\d", "0", missing.value.message)
    for ask in (harness.store.open_upload, harness.store.delete_upload):
        with pytest.raises(UploadNotFound):
            await ask(made.id, "bob")
    with pytest.raises(UploadNotFound):
        await harness.store.uploads("bob", limit=10, after=made.id)
    assert await listed(harness, "bob") == []
    assert (await harness.store.open_upload(made.id, "ann"))[1] == b"hello"


async def test_lists_page_in_either_order_and_by_purpose(harness: StoreHarness) -> None:
    for number in range(1, 6):
        await keep(harness, number)
    first = await harness.store.uploads("ann", limit=2)
    assert [made.id[-1] for made in first.uploads] == ["5", "4"] and first.has_more
    rest = await harness.store.uploads("ann", limit=3, after=first.uploads[-1].id)
    assert [made.id[-1] for made in rest.uploads] == ["3", "2", "1"] and not rest.has_more
    assert await listed(harness, order="asc") == [1, 2, 3, 4, 5]
    assert await listed(harness, order="asc", after="file-00000000000000000000000003") == [4, 5]
    assert await listed(harness, purpose="vision") == []
    assert await listed(harness, purpose="user_data") == [5, 4, 3, 2, 1]


async def test_a_session_has_its_quota_and_what_is_over_it_leaves_nothing(disk_harness: StoreHarness) -> None:
    await keep(disk_harness, 1, content=b"x" * 600)
    with pytest.raises(UploadsFull, match="600"):
        await keep(disk_harness, 2, content=b"x" * 401)
    assert on_disk(disk_harness) == {"file-00000000000000000000000001"}
    await keep(disk_harness, 3, content=b"x" * 400)
    await keep(disk_harness, 4, "bob", content=b"x" * 1000)
    await disk_harness.store.delete_upload("file-00000000000000000000000001", "ann")
    await keep(disk_harness, 5, content=b"x" * 600)


async def test_an_upload_that_has_expired_is_gone_at_once_and_counts_no_more(
    disk_harness: StoreHarness,
) -> None:
    made = await keep(disk_harness, 1, content=b"x" * 900, ttl_s=60)
    kept = await keep(disk_harness, 2, "bob", ttl_s=61)
    disk_harness.clock.advance(60)
    with pytest.raises(UploadNotFound):
        await disk_harness.store.open_upload(made.id, "ann")
    assert await listed(disk_harness) == []
    await keep(disk_harness, 3, content=b"x" * 900)
    assert await disk_harness.store.delete_expired_uploads() == 1
    assert on_disk(disk_harness) == {kept.id, "file-00000000000000000000000003"}
    assert await disk_harness.store.delete_expired_uploads() == 0


async def test_a_deleted_upload_leaves_nothing(disk_harness: StoreHarness) -> None:
    made = await keep(disk_harness, 1)
    await disk_harness.store.delete_upload(made.id, "ann")
    assert on_disk(disk_harness) == set()
    with pytest.raises(UploadNotFound):
        await disk_harness.store.delete_upload(made.id, "ann")


async def test_a_deleted_session_takes_its_uploads_along(disk_harness: StoreHarness) -> None:
    await disk_harness.say("ann", "hello", "hi")
    await keep(disk_harness, 1)
    kept = await keep(disk_harness, 2, "bob")
    await disk_harness.store.delete_session("ann")
    assert on_disk(disk_harness) == {kept.id}
    assert await listed(disk_harness) == []


async def test_uploads_of_a_session_that_never_began_are_deleted_with_it(disk_harness: StoreHarness) -> None:
    await keep(disk_harness, 1)
    await disk_harness.store.delete_session("ann")
    assert on_disk(disk_harness) == set()
    with pytest.raises(SessionNotFound):
        await disk_harness.store.delete_session("ann")


async def test_what_a_crash_left_half_written_is_swept_away_and_nothing_else(
    disk_harness: StoreHarness,
) -> None:
    made = await keep(disk_harness, 1)
    folder = disk_harness.directory / "files"
    (folder / "file-00000000000000000000000002").write_bytes(b"written, and never committed")
    (folder / "file-00000000000000000000000003.part").write_bytes(b"half")
    (folder / "notes.txt").write_bytes(b"somebody's own")
    await disk_harness.reopen()
    assert on_disk(disk_harness) == {made.id, "notes.txt"}


async def test_a_row_whose_content_is_gone_is_an_upload_that_is_not_there(disk_harness: StoreHarness) -> None:
    """As after the restore of a copy of the database alone."""
    made = await keep(disk_harness, 1)
    (disk_harness.directory / "files" / made.id).unlink()
    with pytest.raises(UploadNotFound):
        await disk_harness.store.open_upload(made.id, "ann")
    await disk_harness.store.delete_upload(made.id, "ann")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\0b", "x" * 1000, ".", "CON"])
async def test_a_name_is_never_part_of_a_path(disk_harness: StoreHarness, name: str) -> None:
    made = upload(disk_harness, 1, name=name)
    await disk_harness.store.add_upload(made, b"hello", QUOTA)
    assert on_disk(disk_harness) == {made.id}
    assert (await disk_harness.store.upload(made.id, "ann")).name == name


@pytest.mark.parametrize(
    "file_id", ["", "..", "../nanobot.sqlite3", "file-../x", "file-A", "file-1\n", "file-" + "1" * 65]
)
async def test_what_is_no_id_is_not_found(harness: StoreHarness, file_id: str) -> None:
    with pytest.raises(UploadNotFound):
        await harness.store.open_upload(file_id, "ann")


async def test_where_nothing_can_be_written_nothing_is_kept(
    disk_harness: StoreHarness, tmp_path: Path
) -> None:
    (disk_harness.directory / "files").write_bytes(b"in the way")
    with pytest.raises(StoreError):
        await keep(disk_harness, 1)
    assert await listed(disk_harness) == []


async def test_a_full_disk_is_told_to_whoever_uploads(
    disk_harness: StoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("nanobot.stores.blobs.os.fsync", full)
        with pytest.raises(StoreError) as caught:
            await keep(disk_harness, 1)
    assert "disk is full" in caught.value.public_message
    assert str(disk_harness.directory) not in caught.value.public_message
    assert await listed(disk_harness) == []
