import json
import stat
from pathlib import Path

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
