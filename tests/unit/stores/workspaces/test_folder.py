"""The folder of all workspaces: one secret names them all, however many want the first one at once."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nanobot.core.errors import StoreError
from nanobot.core.workspace import SessionIdentity
from nanobot.stores.workspaces.folder import WorkspaceFolder

AT_ONCE = 8
SESSIONS = tuple(SessionIdentity(number, float(number), f"key {number}") for number in range(1, AT_ONCE + 1))


def made_at_once(folders: Sequence[WorkspaceFolder]) -> list[Path]:
    together = threading.Barrier(len(folders))

    def make(folder: WorkspaceFolder, session: SessionIdentity) -> Path:
        together.wait(10)
        return folder.make(session)

    with ThreadPoolExecutor(len(folders)) as pool:
        return list(pool.map(make, folders, SESSIONS))


@pytest.mark.parametrize("are_processes", [False, True])
def test_first_workspaces_that_are_made_at_once_are_found_again(tmp_path: Path, are_processes: bool) -> None:
    """Those of other processes are other objects."""
    for attempt in range(40):
        directory = tmp_path / str(attempt)
        directory.mkdir()
        folder = WorkspaceFolder(directory)
        made = made_at_once([WorkspaceFolder(directory) if are_processes else folder for _ in SESSIONS])
        later = WorkspaceFolder(directory)
        assert [later.path(session) for session in SESSIONS] == made
        assert later.sweep(frozenset(range(100)), SESSIONS) == 0
        left = {path.name for path in (directory / "workspaces").iterdir()}
        assert left == {"secret", *(path.name for path in made)}


def test_nothing_is_swept_away_by_another_secret(tmp_path: Path) -> None:
    folder = WorkspaceFolder(tmp_path)
    paths = [folder.make(session) for session in SESSIONS]
    (tmp_path / "workspaces" / "secret").write_bytes(bytes(32))
    with pytest.raises(StoreError, match="not the one with which"):
        WorkspaceFolder(tmp_path).sweep(frozenset(range(100)), SESSIONS)
    assert all(path.is_dir() for path in paths)


def test_a_workspace_of_an_earlier_session_of_the_same_number_is_swept_away(tmp_path: Path) -> None:
    folder = WorkspaceFolder(tmp_path)
    kept, other = folder.make(SESSIONS[0]), folder.make(SESSIONS[1])
    earlier = folder.make(SessionIdentity(1, 0.5, "gone"))
    assert folder.sweep(frozenset({1, 2}), SESSIONS[:2]) == 1
    assert kept.is_dir() and other.is_dir() and not earlier.exists()
