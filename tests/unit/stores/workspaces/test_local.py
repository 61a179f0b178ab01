"""Workspaces by session: who has which, what a crash left undone, and who may change one at a time."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nanobot.core.errors import NoSuchFile, StoreError, WorkspaceError
from nanobot.core.workspace import Change, Read, SessionIdentity, WorkspaceLimits
from nanobot.stores.workspaces.folder import WorkspaceFolder
from nanobot.stores.workspaces.local import LocalWorkspaces
from nanobot.stores.workspaces.tree import is_supported
from tests.asgi import BOUND_S

pytestmark = pytest.mark.skipif(not is_supported(), reason="no workspaces on this system")


class Sessions:
    """Sessions by key; `renew` deletes one and begins another under its key."""

    def __init__(self) -> None:
        self._known: dict[str, SessionIdentity] = {}

    async def identify(self, session_key: str) -> SessionIdentity:
        return self._known.setdefault(
            session_key, SessionIdentity(len(self._known) + 1, 1_000.0, session_key)
        )

    def renew(self, session_key: str) -> None:
        known = self._known[session_key]
        self._known[session_key] = msgspec.structs.replace(known, created_at=known.created_at + 1)


@pytest.fixture
def sessions() -> Sessions:
    return Sessions()


@pytest.fixture
async def workspaces(tmp_path: Path, sessions: Sessions) -> AsyncIterator[LocalWorkspaces]:
    made = LocalWorkspaces(WorkspaceFolder(tmp_path), sessions.identify, WorkspaceLimits(), {})
    yield made
    await made.close()


async def write(workspaces: LocalWorkspaces, key: str, path: str, content: bytes | None) -> None:
    await workspaces.change(key, lambda _: (Change(path, content),))


def folders(data: Path) -> list[Path]:
    return [each for each in (data / "workspaces").iterdir() if each.is_dir()]


async def test_each_session_has_its_own_even_where_keys_look_alike(
    workspaces: LocalWorkspaces, tmp_path: Path
) -> None:
    keys = ("wx:dm:a_b", "wx:dm:a:b", "WX:dm:a_b", "..", "a/b", "Zo\u00eb", "Zoe\u0308", "%2e%2e")
    for key in keys:
        await write(workspaces, key, "own", key.encode())
    for key in keys:
        assert (await workspaces.read(key, "own"))[1] == key.encode()
    names = [each.name for each in folders(tmp_path)]
    assert len(names) == len(keys) and not any(key in name for name in names for key in ("a_b", "Zo"))


async def test_a_session_under_the_key_of_a_deleted_one_finds_nothing_even_if_its_files_are_left(
    workspaces: LocalWorkspaces, sessions: Sessions, tmp_path: Path
) -> None:
    await write(workspaces, "ann", "a", b"old")
    sessions.renew("ann")
    with pytest.raises(NoSuchFile):
        await workspaces.read("ann", "a")
    assert (await workspaces.listing("ann", depth=1, limit=10)).entries == ()
    assert len(folders(tmp_path)) == 1


@pytest.mark.parametrize("reads_first", [True, False])
async def test_what_a_crash_left_undone_is_done_before_anything_is_read_or_changed(
    workspaces: LocalWorkspaces, tmp_path: Path, reads_first: bool
) -> None:
    await write(workspaces, "ann", "a", b"1")
    (path,) = folders(tmp_path)
    (path / "staged" / "0").write_bytes(b"2")
    (path / "staged" / "journal").write_bytes(b'[["0",["a"]],[null,["gone"]]]')
    if reads_first:
        assert (await workspaces.read("ann", "a"))[1] == b"2"

    def plan(read: Read) -> Sequence[Change]:
        return (Change("a", read("a") + b"3"),)

    await workspaces.change("ann", plan)
    assert (await workspaces.read("ann", "a"))[1] == b"23"


async def test_changes_of_one_session_that_come_at_once_follow_each_other(
    workspaces: LocalWorkspaces,
) -> None:
    await write(workspaces, "ann", "a", b"")

    def append(read: Read) -> Sequence[Change]:
        return (Change("a", read("a") + b"x"),)

    await asyncio.gather(*(workspaces.change("ann", append) for _ in range(20)))
    assert (await workspaces.read("ann", "a"))[1] == b"x" * 20


async def test_a_change_whose_caller_gives_up_is_made_whole_or_not_at_all(
    workspaces: LocalWorkspaces,
) -> None:
    await write(workspaces, "ann", "a", b"1")
    changing = asyncio.ensure_future(write(workspaces, "ann", "a", b"2" * 100_000))
    await asyncio.sleep(0)
    changing.cancel()
    await asyncio.wait((changing,))
    assert (await workspaces.read("ann", "a"))[1] in (b"1", b"2" * 100_000)
    await write(workspaces, "ann", "a", b"3")


async def test_nobody_else_changes_anything_before_a_change_has_ended_whose_caller_gives_up_again_and_again(
    workspaces: LocalWorkspaces,
) -> None:
    began, may_go_on = threading.Event(), threading.Event()

    def slow(_: Read) -> Sequence[Change]:
        began.set()
        assert may_go_on.wait(BOUND_S)
        return (Change("a", b"slow"),)

    changing = asyncio.ensure_future(workspaces.change("ann", slow))
    assert await asyncio.to_thread(began.wait, BOUND_S)
    for _ in range(3):
        changing.cancel()
        await asyncio.sleep(0)
    other = asyncio.ensure_future(write(workspaces, "ann", "b", b"other"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not changing.done() and not other.done()
    may_go_on.set()
    async with asyncio.timeout(BOUND_S):
        await other
    assert changing.cancelled()
    assert (await workspaces.read("ann", "a"))[1] == b"slow"


async def test_a_change_that_fails_when_its_caller_has_given_up_is_no_error_of_the_event_loop(
    workspaces: LocalWorkspaces,
) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    began, may_go_on = threading.Event(), threading.Event()

    def failing(_: Read) -> Sequence[Change]:
        began.set()
        assert may_go_on.wait(BOUND_S)
        raise WorkspaceError("no")

    changing = asyncio.ensure_future(workspaces.change("ann", failing))
    assert await asyncio.to_thread(began.wait, BOUND_S)
    changing.cancel()
    await asyncio.sleep(0)
    may_go_on.set()
    await asyncio.wait((changing,))
    assert changing.cancelled()
    del changing
    gc.collect()
    assert reported == []


async def test_a_refused_first_change_leaves_no_folder(workspaces: LocalWorkspaces, tmp_path: Path) -> None:
    for path, content in (("../x", b""), ("uploads/x", b""), ("gone", None)):
        with pytest.raises(WorkspaceError):
            await write(workspaces, "ann", path, content)
    assert folders(tmp_path) == []


async def test_without_their_secret_workspaces_are_not_given_to_anybody(
    workspaces: LocalWorkspaces, sessions: Sessions, tmp_path: Path
) -> None:
    await write(workspaces, "ann", "a", b"1")
    (tmp_path / "workspaces" / "secret").write_bytes(b"short")
    later = LocalWorkspaces(WorkspaceFolder(tmp_path), sessions.identify, WorkspaceLimits(), {})
    with pytest.raises(StoreError, match="put it back from a backup"):
        await later.read("ann", "a")
    await later.close()
