"""What a killed server has left of its commands goes, and nothing that is in use or somebody else's."""

import os
import sys
from pathlib import Path

import pytest

from nanobot.stores.workspaces.leftovers import remove_leftovers, set_aside
from nanobot.stores.workspaces.tree import is_supported

pytestmark = pytest.mark.skipif(not is_supported(), reason="no workspaces on this system")
if sys.platform != "win32":
    import fcntl


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def test_the_files_of_commands_go_however_they_are_nested(tmp_path: Path) -> None:
    deep = tmp_path / "commands" / "a" / "tmp" / "b"
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    deep.chmod(0)
    (tmp_path / "workspaces").mkdir()
    set_aside(tmp_path)
    assert not (tmp_path / "commands").exists()
    assert remove_leftovers(tmp_path)
    assert names(tmp_path) == {"workspaces"}


def test_those_of_commands_that_were_started_meanwhile_stay(tmp_path: Path) -> None:
    (tmp_path / "commands" / "old").mkdir(parents=True)
    set_aside(tmp_path)
    (tmp_path / "commands" / "new").mkdir(parents=True)
    assert remove_leftovers(tmp_path)
    assert names(tmp_path) == {"commands"} and names(tmp_path / "commands") == {"new"}


def test_the_directory_of_a_probe_goes_once_nobody_holds_it(tmp_path: Path) -> None:
    probe = tmp_path / "probe-a1b2c3d4"
    (probe / "state").mkdir(parents=True)
    (probe / "state" / "file").touch()
    # As `nanobot doctor` does, which may run beside a server.
    held = os.open(probe, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)
    assert remove_leftovers(tmp_path) and (probe / "state" / "file").exists()
    os.close(held)
    assert remove_leftovers(tmp_path) and names(tmp_path) == set()


def test_links_are_neither_followed_nor_removed(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir()
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("kept")
    for name in ("commands", "probe-a1b2c3d4", "removed-00"):
        (data / name).symlink_to(elsewhere)
    set_aside(data)
    assert remove_leftovers(data)
    assert names(data) == {"commands", "probe-a1b2c3d4", "removed-00"}
    assert (elsewhere / "kept").read_text() == "kept"


def test_a_file_and_a_directory_of_another_name_stay(tmp_path: Path) -> None:
    (tmp_path / "commands").write_text("x")
    (tmp_path / "probe-notes").write_text("x")
    (tmp_path / "probes").mkdir()
    set_aside(tmp_path)
    assert remove_leftovers(tmp_path)
    assert names(tmp_path) == {"commands", "probe-notes", "probes"}


def test_there_may_be_nothing(tmp_path: Path) -> None:
    set_aside(tmp_path)
    assert remove_leftovers(tmp_path)
