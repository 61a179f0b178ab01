import json
import os
import stat
import sys
from pathlib import Path

import pytest

from tests.unit.cli.commandline import Nanobot
from tests.unit.cli.stored import fill
from tests.unit.cli.test_sessions import server_on


def test_a_backup_made_beside_a_running_server_holds_what_was_committed(
    nanobot: Nanobot, tmp_path: Path
) -> None:
    data, file = tmp_path / "data", tmp_path / "restored" / "nanobot.sqlite3"
    file.parent.mkdir()
    fill(data)
    with server_on(str(data)):
        ran = nanobot("backup", str(file), "--data", str(data))
    assert ran.status == 0
    assert ran.out.endswith(f" written to {file}\n") and "kB" in ran.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    listed = json.loads(nanobot("sessions", "list", "--json", "--data", str(file.parent)).out)
    assert [session["key"] for session in listed] == ["wx:dm:bob", "wx:dm:ann"]


def test_a_file_that_is_there_already_is_left_as_it_is(nanobot: Nanobot, tmp_path: Path) -> None:
    fill(tmp_path / "data")
    file = tmp_path / "mine"
    file.write_text("precious")
    ran = nanobot("backup", str(file), "--data", str(tmp_path / "data"))
    assert ran.status == 2 and "exists already" in ran.err and ran.err.count("\n") == 1
    assert file.read_text() == "precious"


def test_all_that_cannot_be_had_again_is_copied_and_nothing_else(nanobot: Nanobot, tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "kept" / "2026-11-30"
    fill(data)
    kept = {
        "files/file-1": "an upload",
        "workspaces/secret": "s",
        "workspaces/00000001-a/files/deep/notes.md": "of the agent",
        "skills/offers/SKILL.md": "a skill",
        "plugins/p/plugin.json": "{}",
        "cache.secret": "c",
        "log.salt": "l",
        "nanobot.toml": "",
    }
    for name in ("models/weights.gguf", "mcp-logins/token.json", "audit.jsonl", "commands/x"):
        kept_not = data / name
        kept_not.parent.mkdir(parents=True, exist_ok=True)
        kept_not.write_text("not kept")
    for name, content in kept.items():
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o640)
    ran = nanobot("backup", "--all", str(copy), "--data", str(data))
    assert ran.status == 0 and ran.out.endswith(f" written to {copy}\n")
    found = {path.relative_to(copy).as_posix(): path for path in copy.rglob("*") if path.is_file()}
    assert set(found) == {*kept, "nanobot.sqlite3"}
    assert {name: found[name].read_text() for name in kept} == kept
    assert {stat.S_IMODE(found[name].stat().st_mode) for name in kept} == {0o640}
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700
    again = nanobot("backup", "--all", str(copy), "--data", str(data))
    assert again.status == 2 and "exists already" in again.err
    assert [path.name for path in copy.parent.iterdir()] == ["2026-11-30"]


def test_what_cannot_be_written_leaves_nothing(nanobot: Nanobot, tmp_path: Path) -> None:
    fill(tmp_path / "data")
    (tmp_path / "mine").write_text("a file")
    ran = nanobot("backup", "--all", str(tmp_path / "mine" / "x"), "--data", str(tmp_path / "data"))
    assert ran.status == 2 and "cannot write" in ran.err
    ran = nanobot("backup", "--all", str(tmp_path / "x"), "--data", str(tmp_path / "none"))
    assert ran.status != 0 and not (tmp_path / "x").exists() and not (tmp_path / "x.partial").exists()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root gives files away")
def test_copies_that_root_makes_belong_to_the_user_of_the_server(nanobot: Nanobot, tmp_path: Path) -> None:
    data = tmp_path / "data"
    fill(data)
    (data / "files").mkdir()
    (data / "files" / "file-1").write_text("an upload")
    (data / "cache.secret").write_text("c")
    for path in (data, *data.rglob("*")):
        os.chown(path, 4321, 1234)
    assert nanobot("backup", "--all", str(tmp_path / "copy"), "--data", str(data)).status == 0
    copies = [path.stat() for path in (tmp_path / "copy").rglob("*")]
    assert [(each.st_uid, each.st_gid) for each in copies] == [(4321, 1234)] * 4
    # The copies themselves stay root's: who breaks into the server changes none.
    assert (tmp_path / "copy").stat().st_uid == 0
