import contextlib
import json
import os
import shutil
import socketserver
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nanobot.cli import doctor_data, doctor_machine
from nanobot.core.offline import DatabaseLibrary
from nanobot.stores.sqlite.offline import SqliteOffline
from nanobot.stores.sqlite.opening import DirectoryLock
from tests.unit.cli.commandline import Nanobot
from tests.unit.cli.stored import fill


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    """A port on which something listens that is no nanobot: it takes connections and closes them at once."""
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def findings(nanobot: Nanobot, data: Path, *arguments: str) -> dict[str, Any]:
    """Return what the doctor found, by check."""
    found = json.loads(
        nanobot("doctor", "--json", "--port", "0", "--model", "echo", "--data", str(data), *arguments).out
    )["findings"]
    return {finding["check"]: finding for finding in found}


def test_on_a_healthy_machine_every_line_is_ok_and_the_status_0(nanobot: Nanobot, tmp_path: Path) -> None:
    fill(tmp_path / "data")
    ran = nanobot("doctor", "--port", "0", "--model", "echo", "--data", str(tmp_path / "data"))
    assert ran.status == 0, ran.out
    assert {line.split()[0] for line in ran.out.splitlines()} <= {"ok", "warn"}
    for check in ("python", "sqlite", "packages", "data", "disk", "lock", "store", "model", "port"):
        assert f"  {check} " in ran.out


def test_it_changes_nothing(nanobot: Nanobot, tmp_path: Path) -> None:
    found = findings(nanobot, tmp_path / "new")
    assert found["data"]["status"] == "ok" and "will be made" in found["data"]["text"]
    assert not (tmp_path / "new").exists()


def test_a_running_server_is_told_and_is_no_fault(nanobot: Nanobot, tmp_path: Path) -> None:
    fill(tmp_path)
    lock = DirectoryLock(tmp_path)
    try:
        found = findings(nanobot, tmp_path)["lock"]
    finally:
        lock.release()
    assert (found["status"], found["text"]) == ("ok", f"in use by process {os.getpid()}")


def test_a_damaged_database_fails_and_says_how_to_restore(nanobot: Nanobot, tmp_path: Path) -> None:
    fill(tmp_path)
    file = tmp_path / "nanobot.sqlite3"
    content = bytearray(file.read_bytes())
    content[4096 : 4096 * 3] = b"\xff" * 8192
    file.write_bytes(content)
    ran = nanobot("doctor", "--port", "0", "--model", "echo", "--data", str(tmp_path))
    assert ran.status == 1
    (line,) = [line for line in ran.out.splitlines() if line.startswith("fail")]
    assert "damaged" in line and "nanobot backup" in line


def test_a_row_that_breaks_the_rules_of_its_table_is_damage_too(nanobot: Nanobot, tmp_path: Path) -> None:
    fill(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "nanobot.sqlite3", isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = on")
        db.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, 'dedupe_key TEXT', 'dedupe_key TEXT NOT NULL') WHERE"
            " name = 'turn'"
        )
    found = findings(nanobot, tmp_path)["store"]
    assert found["status"] == "fail" and "damaged: NULL value in turn.dedupe_key" in found["text"]
    assert "nanobot backup" in found["remedy"]


@pytest.mark.parametrize(
    ("sql", "remedy"),
    [
        ("PRAGMA user_version = 999", "upgrade nanobot"),
        ("PRAGMA application_id = 7", "name another directory with --data"),
    ],
)
def test_a_database_that_is_newer_or_of_another_program_fails(
    nanobot: Nanobot, tmp_path: Path, sql: str, remedy: str
) -> None:
    fill(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "nanobot.sqlite3")) as db:
        db.execute(sql)
    found = findings(nanobot, tmp_path)["store"]
    assert (found["status"], found["remedy"]) == ("fail", remedy)


def test_a_data_directory_that_is_a_file_fails(nanobot: Nanobot, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = findings(nanobot, tmp_path / "file")["data"]
    assert found["status"] == "fail" and "--data" in found["remedy"]


def test_a_full_disk_fails_and_a_nearly_full_one_warns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for free_bytes, status in ((10_000_000, "fail"), (500_000_000, "warn"), (5_000_000_000, "ok")):
        monkeypatch.setattr(
            shutil, "disk_usage", lambda path, free_bytes=free_bytes: SimpleNamespace(free=free_bytes)
        )
        found = {
            finding.check: finding for finding in doctor_data.directory(tmp_path, SqliteOffline(tmp_path))
        }
        assert found["disk"].status == status
        assert bool(found["disk"].remedy) == (status != "ok")


def test_a_missing_package_fails_and_the_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, nanobot: Nanobot, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor_machine, "_PACKAGES", ("click", "no_such_package"))
    ran = nanobot("doctor", "--port", "0", "--model", "echo", "--data", str(tmp_path))
    assert ran.status == 1
    (line,) = [line for line in ran.out.splitlines() if line.startswith("fail")]
    assert "packages" in line and "-m pip install no_such_package" in line


def test_a_database_library_that_lacks_something_fails_and_names_what() -> None:
    lacking = DatabaseLibrary("3.50.0", "it has no FTS5, which the search in conversations needs")
    result = doctor_machine.sqlite(lacking)
    assert result.status == "fail" and "3.50.0" in result.text and "FTS5" in result.text and result.remedy


def test_a_wrong_setting_fails_with_the_words_that_the_server_would_use(
    nanobot: Nanobot, tmp_path: Path
) -> None:
    found = findings(nanobot, tmp_path, "--port", "99999")["settings"]
    assert found["status"] == "fail" and "99999" in found["text"]


def test_a_model_without_its_key_fails(nanobot: Nanobot, tmp_path: Path) -> None:
    found = findings(nanobot, tmp_path, "--model", "openai:gpt-5-mini")["model"]
    assert found["status"] == "fail" and "OPENAI_API_KEY" in found["text"]


def test_a_port_that_another_program_uses_fails(nanobot: Nanobot, tmp_path: Path) -> None:
    with taken_port() as port:
        found = findings(nanobot, tmp_path, "--port", str(port))["port"]
    assert found["status"] == "fail" and str(port) in found["text"] and "--port" in found["text"]


def test_the_line_of_the_data_directory_says_which_setting_names_it(
    nanobot: Nanobot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert findings(nanobot, tmp_path)["data"]["text"].endswith(f"{tmp_path} (--data)")
    (tmp_path / "nanobot.toml").write_text(f'[server]\n\ndata = "{tmp_path}/in-file"\n')
    assert "in-file will be made at the first start (nanobot.toml:3)" in nanobot("doctor").out
    monkeypatch.setenv("NANOBOT_DATA", str(tmp_path / "in-variable"))
    assert "in-variable will be made at the first start (NANOBOT_DATA)" in nanobot("doctor").out


def test_conversations_in_other_data_directories_are_told(
    nanobot: Nanobot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    fill(tmp_path / "in-variable")
    monkeypatch.setenv("NANOBOT_DATA", str(tmp_path / "in-variable"))
    fill(tmp_path / "home" / ".local" / "share" / "nanobot")
    lines = [
        line
        for line in nanobot("doctor", "--data", str(tmp_path / "new")).out.splitlines()
        if "other data" in line
    ]
    assert len(lines) == 2 and all(line.startswith("warn") for line in lines)
    assert f"{tmp_path / 'in-variable'} (NANOBOT_DATA) has conversations, last used " in lines[0]
    assert "the one that is used has none" in lines[0] and "--data" in lines[0]
    assert "/.local/share/nanobot (default) has conversations" in lines[1]
    fill(tmp_path / "full")
    assert "has conversations too" in nanobot("doctor", "--data", str(tmp_path / "full")).out
    monkeypatch.delenv("NANOBOT_DATA")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "home" / ".local" / "share" / "nanobot")
    assert "other data" not in nanobot("doctor", "--data", str(link)).out
