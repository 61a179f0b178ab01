"""What strangers put into a folder is not followed, not opened and not waited for."""

import os
import socket
from pathlib import Path

import pytest

from nanobot.core.errors import NoSuchFile, WorkspaceError
from nanobot.stores.workspaces.tree import Tree, is_supported

pytestmark = pytest.mark.skipif(not is_supported(), reason="no workspaces on this system")

SECRET = b"of another"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.mkdir()
    (path / "secret").write_bytes(SECRET)
    return path


@pytest.fixture
def top(tmp_path: Path) -> Path:
    path = tmp_path / "files"
    path.mkdir()
    return path


def tree_of(top: Path, max_file_bytes: int = 1_000) -> Tree:
    return Tree(lambda: os.open(top, os.O_RDONLY | os.O_DIRECTORY), max_file_bytes=max_file_bytes)


def test_a_link_to_a_file_is_not_followed(top: Path, outside: Path) -> None:
    (top / "link").symlink_to(outside / "secret")
    with pytest.raises(WorkspaceError, match="no plain file"):
        tree_of(top).read(("link",))


def test_a_link_to_a_folder_is_not_followed_anywhere_in_a_path(top: Path, outside: Path) -> None:
    (top / "link").symlink_to(outside)
    (outside / "below").mkdir()
    (outside / "below" / "secret").write_bytes(SECRET)
    for parts in (("link", "secret"), ("link", "below", "secret")):
        with pytest.raises(NoSuchFile):
            tree_of(top).read(parts)
    with pytest.raises(NoSuchFile):
        tree_of(top).listing(("link",), depth=3, limit=10)
    listed = tree_of(top).listing((), depth=5, limit=10)
    assert [(entry.path, entry.kind) for entry in listed.entries] == [("link", "other")]


def test_a_hard_link_to_a_file_elsewhere_is_not_opened(top: Path, outside: Path) -> None:
    os.link(outside / "secret", top / "mine")
    with pytest.raises(WorkspaceError, match="hard link"):
        tree_of(top).read(("mine",))


def test_a_pipe_and_a_socket_are_not_waited_for(top: Path) -> None:
    os.mkfifo(top / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(top)
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
        for name in ("pipe", "socket"):
            with pytest.raises(WorkspaceError, match="no plain file"):
                tree_of(top).read((name,))


def test_a_link_that_takes_the_place_of_a_file_in_mid_reading_is_not_followed(
    top: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (top / "file").write_bytes(b"own")
    opens = os.open

    def swapped(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "file":
            (top / "file").unlink()
            (top / "file").symlink_to(outside / "secret")
        return opens(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(WorkspaceError):
        tree_of(top).read(("file",))


def test_a_pipe_that_takes_the_place_of_a_file_is_not_read(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (top / "file").write_bytes(b"own")
    opens = os.open

    def swapped(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "file":
            (top / "file").unlink()
            os.mkfifo(top / "file")
        return opens(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(WorkspaceError, match="no plain file"):
        tree_of(top).read(("file",))


def test_a_name_in_another_case_or_unicode_form_is_found(top: Path) -> None:
    (top / "Zoe\u0308.md").write_bytes(b"x")
    entry, content = tree_of(top).read(("zo\u00eb.MD",))
    assert content == b"x" and entry.path == "Zoe\u0308.md"


def test_names_that_cannot_be_written_as_a_path_are_left_out_and_said_so(top: Path) -> None:
    Path(os.fsdecode(os.fsencode(top) + b"/\xff\xfe")).write_bytes(b"x")
    (top / "a\nb").write_bytes(b"x")
    (top / "good").write_bytes(b"x")
    listing = tree_of(top).listing((), depth=1, limit=10)
    assert [entry.path for entry in listing.entries] == ["good"] and not listing.is_whole


def test_what_is_too_large_is_not_read(top: Path) -> None:
    (top / "large").write_bytes(b"x" * 1_001)
    with pytest.raises(WorkspaceError, match="1001 bytes: at most 1000"):
        tree_of(top).read(("large",))


def test_a_listing_ends_at_its_limit_and_says_so(top: Path) -> None:
    for number in range(5):
        (top / f"folder{number}").mkdir()
        (top / f"folder{number}" / "file").write_bytes(b"x")
    whole = tree_of(top).listing((), depth=2, limit=10)
    assert len(whole.entries) == 10 and whole.is_whole
    cut = tree_of(top).listing((), depth=2, limit=7)
    assert len(cut.entries) == 7 and not cut.is_whole
    assert len(tree_of(top).listing((), depth=1, limit=10).entries) == 5
