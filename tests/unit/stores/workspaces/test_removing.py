"""A directory goes with all that is in it, whatever a command has made of it."""

import os
from pathlib import Path

import pytest

from nanobot.stores.workspaces.removing import remove_tree
from nanobot.stores.workspaces.tree import is_supported

pytestmark = pytest.mark.skipif(not is_supported(), reason="no workspaces on this system")


def test_what_is_nested_deeper_than_any_stack_goes(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    opened = os.open(top, os.O_RDONLY)
    for _ in range(3_000):
        os.mkdir("d", dir_fd=opened)
        below = os.open("d", os.O_RDONLY, dir_fd=opened)
        os.close(opened)
        opened = below
    os.close(opened)
    assert remove_tree(top) and not top.exists()


def test_closed_folders_links_pipes_and_strange_names_go_and_nothing_outside(tmp_path: Path) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    (top / "a" / "b" / "c").mkdir(parents=True)
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (top / "a" / "link").symlink_to(outside)
    (top / "a" / "b" / "c" / "file").write_text("x")
    (top / "a" / "b" / ".removed-0" / "x").mkdir(parents=True)
    (top / ".removed-0" / "x" / "y").mkdir(parents=True)
    os.mkfifo(top / "a" / "pipe")
    os.link(outside / "kept", top / "hard")
    os.mkdir(os.fsencode(top) + b"/\xff\n")
    os.mkdir(os.fsencode(top) + b"/\xff\n/x")
    for folder, mode in (("a/b/c", 0), ("a/b", 0o500), ("a", 0o100)):
        (top / folder).chmod(mode)
    outside.chmod(0o750)
    assert remove_tree(top) and not top.exists()
    assert (outside / "kept").read_text() == "kept" and outside.stat().st_mode & 0o777 == 0o750


def test_what_is_not_there_is_gone_and_a_link_is_not_followed(tmp_path: Path) -> None:
    assert remove_tree(tmp_path / "none")
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    assert not remove_tree(tmp_path / "link") and (tmp_path / "kept").exists()
