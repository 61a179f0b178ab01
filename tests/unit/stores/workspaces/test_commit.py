"""Changes are made all or none, within the quota, and nowhere but in the workspace."""

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nanobot.core.errors import NoSuchFile, WorkspaceError, WorkspaceFull
from nanobot.core.workspace import Change, WorkspaceLimits
from nanobot.stores.workspaces.commit import Commit
from nanobot.stores.workspaces.tree import is_supported

pytestmark = pytest.mark.skipif(not is_supported(), reason="no workspaces on this system")

LIMITS = WorkspaceLimits(max_bytes=1_000, max_files=5, max_file_bytes=600)


class Died(Exception):
    """The server was killed here."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "workspace"
    made.mkdir()
    return made


def files_in(path: Path) -> dict[str, bytes]:
    top = path / "files"
    return {str(each.relative_to(top)): each.read_bytes() for each in top.rglob("*") if each.is_file()}


def make(path: Path, **contents: bytes | None) -> None:
    Commit(path, LIMITS).make([Change(name, content) for name, content in contents.items()])


def test_files_are_written_replaced_and_deleted(path: Path) -> None:
    commit = Commit(path, LIMITS)
    written = commit.make([Change("a/b", b"1"), Change("c", b"2")])
    assert [(entry.path, entry.size_bytes) for entry in written] == [("a/b", 1), ("c", 1)]
    commit.make([Change("c", b"3"), Change("a/b", None)])
    assert files_in(path) == {"c": b"3"}
    assert not (path / "files" / "a").exists(), "a folder is there for the files in it"
    assert os.listdir(path / "staged") == []


def test_a_file_keeps_its_mode(path: Path) -> None:
    make(path, script=b"1")
    (path / "files" / "script").chmod(0o755)
    make(path, script=b"2")
    assert (path / "files" / "script").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("place", ["uploads/x", "Uploads/x", "shared/x", "SHARED/docs/x", "", ".", "uploads"])
def test_views_and_the_top_cannot_be_written(path: Path, place: str) -> None:
    with pytest.raises(WorkspaceError):
        Commit(path, LIMITS).make([Change("ok", b"1"), Change(place, b"1")])
    assert files_in(path) == {}


def test_what_cannot_all_be_changed_is_not_changed_at_all(path: Path) -> None:
    make(path, a=b"1", b=b"2")
    for changes in (
        [Change("a", b"3"), Change("gone", None)],
        [Change("a", b"3"), Change("b/c", b"4")],
        [Change("a", b"3"), Change("a", b"4")],
        [Change("a", b"3"), Change("A", None)],
        [Change("new", b"3"), Change("new/c", b"4")],
    ):
        with pytest.raises(WorkspaceError):
            Commit(path, LIMITS).make(changes)
        assert files_in(path) == {"a": b"1", "b": b"2"}
    with pytest.raises(NoSuchFile):
        make(path, gone=None)


def test_a_name_that_differs_in_case_only_is_refused_with_the_one_that_is_there(path: Path) -> None:
    make(path, **{"README.md": b"1"})
    with pytest.raises(WorkspaceError, match=r"README\.md"):
        make(path, **{"readme.md": b"2"})
    assert files_in(path) == {"README.md": b"1"}


def test_the_quota_holds_in_bytes_files_and_size(path: Path) -> None:
    make(path, a=b"x" * 600)
    with pytest.raises(WorkspaceFull, match="1200 bytes: at most 1000"):
        make(path, b=b"x" * 600)
    with pytest.raises(WorkspaceFull, match="at most 600"):
        make(path, a=b"x" * 601)
    with pytest.raises(WorkspaceFull, match="6 files and folders: at most 5"):
        make(path, **{"d/e/f": b"", "g": b"", "h": b""})
    make(path, a=b"x" * 500, b=b"x" * 500)
    make(path, b=None)
    assert set(files_in(path)) == {"a"}


def test_a_link_in_the_place_of_a_folder_or_file_is_not_written_through(path: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"1")
    make(path, a=b"1")
    (path / "files" / "folder").symlink_to(outside)
    (path / "files" / "file").symlink_to(outside / "secret")
    for place in ("folder/new", "folder/secret", "file"):
        for content in (b"2", None):
            with pytest.raises(WorkspaceError):
                make(path, **{place: content})
    assert {each.name: each.read_bytes() for each in outside.iterdir()} == {"secret": b"1"}


def test_writing_to_a_hard_link_leaves_the_other_name_alone(path: Path, tmp_path: Path) -> None:
    make(path, a=b"1")
    (tmp_path / "secret").write_bytes(b"1")
    os.link(tmp_path / "secret", path / "files" / "b")
    make(path, b=b"2")
    assert (tmp_path / "secret").read_bytes() == b"1" and files_in(path)["b"] == b"2"


@pytest.mark.parametrize("calls", range(1, 30))
def test_a_server_that_dies_anywhere_leaves_all_of_the_changes_or_none(
    path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    before = {"a": b"1", "b/c": b"2", "d": b"3"}
    Commit(path, LIMITS).make([Change(name, content) for name, content in before.items()])
    after = {"a": b"4", "new/e": b"5"}
    left = calls
    for name in ("rename", "unlink", "mkdir", "fsync", "rmdir"):
        original = getattr(os, name)

        def dying(*arguments: object, _original: object = original, **more: object) -> object:
            nonlocal left
            left -= 1
            if not left:
                raise Died
            return _original(*arguments, **more)  # type: ignore[operator]

        monkeypatch.setattr(os, name, dying)
    changes = [Change("a", b"4"), Change("b/c", None), Change("new/e", b"5"), Change("d", None)]
    with contextlib.suppress(Died):
        Commit(path, LIMITS).make(changes)
    monkeypatch.undo()
    Commit(path, LIMITS).finish()
    assert files_in(path) in (before, after)
    assert os.listdir(path / "staged") == []
    Commit(path, LIMITS).make([Change("a", b"6")])
    assert files_in(path)["a"] == b"6"


def test_a_journal_that_cannot_be_made_does_not_stop_all_later_changes(path: Path) -> None:
    make(path, a=b"1")
    (path / "staged" / "journal").write_bytes(b'[["0",["a","b"]],[null,["gone"]]]')
    (path / "staged" / "0").write_bytes(b"x")
    make(path, c=b"2")
    assert files_in(path) == {"a": b"1", "c": b"2"}


NAMES = st.sampled_from(["a", "b", "a/b", "a/b/c", "B", "c", "c/d"])
CHANGES = st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=5)), min_size=1, max_size=4)


@given(st.lists(CHANGES, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_any_changes_leave_what_a_model_of_them_says(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, bytes | None]]]
) -> None:
    path = tmp_path_factory.mktemp("w")
    model: dict[str, bytes] = {}
    for batch in batches:
        try:
            Commit(path, WorkspaceLimits()).make([Change(*each) for each in batch])
        except WorkspaceError:
            pass
        else:
            for name, content in batch:
                if content is None:
                    del model[name]
                else:
                    model[name] = content
        assert (files_in(path) if (path / "files").exists() else {}) == model


# Commands that write at the same time -------------------------------------------------------------


def test_what_takes_the_place_of_a_folder_meanwhile_leads_nowhere(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    make(path, **{"a/x": b"1", "b": b"1"})
    stage = vars(Commit)["_stage"]

    def swapped(commit: Commit, *arguments: Any) -> Any:
        steps = stage(commit, *arguments)
        (path / "files" / "a" / "x").unlink()
        (path / "files" / "a").rmdir()
        (path / "files" / "a").symlink_to(outside)
        return steps

    with monkeypatch.context() as patched:
        patched.setattr(Commit, "_stage", swapped)
        with pytest.raises(WorkspaceError, match=r"'a/x' could not be changed.*the rest was changed"):
            make(path, **{"a/x": b"2", "b": b"2"})
    assert os.listdir(outside) == [] and (path / "files" / "b").read_bytes() == b"2"
    assert os.listdir(path / "staged") == [], "nothing is tried again"
    make(path, c=b"3")
    assert (path / "files" / "c").read_bytes() == b"3"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_what_is_written_belongs_to_whom_the_top_belongs_also_if_that_changes_meanwhile(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(path, **{"a/b": b"1"})
    assert {each.stat().st_uid for each in (path / "files").rglob("*")} == {0}
    stage = vars(Commit)["_stage"]

    def given(commit: Commit, *arguments: Any) -> Any:
        steps = stage(commit, *arguments)
        for each in (path / "files", path / "files" / "a", path / "files" / "a" / "b"):
            os.chown(each, 61_000, 61_000)
        return steps

    monkeypatch.setattr(Commit, "_stage", given)
    make(path, **{"a/b": b"2", "c/d/e": b"2"})
    found = list((path / "files").rglob("*"))
    assert len(found) == 5 and {each.stat().st_uid for each in found} == {61_000}
    assert {each.stat().st_gid for each in found} == {61_000}


def test_a_folder_that_a_command_has_closed_is_opened_again(path: Path) -> None:
    make(path, a=b"1")
    (path / "files" / "a").chmod(0)
    (path / "files").chmod(0)
    make(path, a=b"2")
    (path / "files").chmod(0o700)
    assert (path / "files" / "a").stat().st_mode & 0o777 == 0o600
