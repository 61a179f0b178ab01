"""A folder is copied while others write to it."""

import os
import sys
import threading
from pathlib import Path

import pytest

from nanobot.stores.folder_copy import copy_folder, remove_copy

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")


def test_what_goes_away_meanwhile_is_no_failure_and_what_stays_is_there(tmp_path: Path) -> None:
    source = tmp_path / "files"
    for number in range(40):
        (source / f"{number:02}").mkdir(parents=True)
        for each in range(50):
            (source / f"{number:02}" / str(each)).write_text("x")
    begun = threading.Event()

    def remove() -> None:
        begun.set()
        for path in sorted(source.rglob("*"), reverse=True):
            if path.name != "0":
                path.unlink() if path.is_file() else path.rmdir() if not os.listdir(path) else None

    removing = threading.Thread(target=remove)
    removing.start()
    begun.wait()
    left_out = copy_folder(source, tmp_path / "copy")
    removing.join()
    assert left_out == []
    stayed = {path.relative_to(source) for path in source.rglob("*")}
    assert len(stayed) == 80
    assert stayed <= {path.relative_to(tmp_path / "copy") for path in (tmp_path / "copy").rglob("*")}


def test_links_stay_links_and_nothing_outside_is_read(tmp_path: Path) -> None:
    source, outside = tmp_path / "files", tmp_path / "outside"
    source.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("not the agent's")
    (source / "link").symlink_to(outside)
    (source / "gone").symlink_to("nowhere")
    os.mkfifo(source / "pipe")
    assert copy_folder(source, tmp_path / "copy") == []
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["gone", "link"]
    assert (tmp_path / "copy" / "link").readlink() == outside


def test_a_folder_that_the_operator_has_on_another_disk_is_copied(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "file-1").write_text("x")
    (tmp_path / "files").symlink_to(tmp_path / "disk")
    assert copy_folder(tmp_path / "files", tmp_path / "copy") == []
    assert (tmp_path / "copy" / "file-1").read_text() == "x"
    assert not (tmp_path / "copy").is_symlink()


def test_a_folder_that_nobody_may_change_is_removed_from_a_copy_that_failed(tmp_path: Path) -> None:
    shut = tmp_path / "files" / "shut"
    shut.mkdir(parents=True)
    (shut / "a").write_text("x")
    shut.chmod(0o500)
    copy_folder(tmp_path / "files", tmp_path / "copy")
    remove_copy(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    shut.chmod(0o700)


def test_folders_nested_beyond_reason_are_told_and_the_rest_is_copied(tmp_path: Path) -> None:
    deep = tmp_path / "files" / Path(*["d"] * 150)
    deep.mkdir(parents=True)
    (tmp_path / "files" / "a").write_text("x")
    (line,) = copy_folder(tmp_path / "files", tmp_path / "copy")
    assert line.endswith("nested too deeply")
    assert (tmp_path / "copy" / "a").read_text() == "x"
