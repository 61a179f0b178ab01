import contextlib
import json
import tomllib
from pathlib import Path

import pytest

from nanobot.cli.keys import parse_expiry
from nanobot.config import load
from nanobot.core.accounts import digest_of
from nanobot.core.errors import ConfigError
from nanobot.stores.audit_log import FILE
from nanobot.stores.sqlite.keys import stored_keys
from tests.unit.cli.commandline import Nanobot
from tests.unit.cli.stored import fill
from tests.unit.cli.test_sessions import server_on


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(tmp_path / "data")


def test_a_key_is_shown_once_and_only_its_hash_is_kept(nanobot: Nanobot, data: str) -> None:
    made = nanobot(
        "keys",
        "create",
        "ann",
        "--sessions",
        "wx:*",
        "--scope",
        "chat",
        "--requests-per-minute",
        "5",
        "--data",
        data,
    )
    token = made.out.strip()
    assert made.status == 0
    assert token.startswith("nb-") and len(token) == 3 + 43
    (key,) = stored_keys(Path(data))
    assert (key.name, key.patterns, key.rights, key.quota.requests_per_minute) == (
        "ann",
        ("wx:*",),
        ("chat",),
        5,
    )
    assert key.digest == digest_of(token.encode())
    for file in Path(data).iterdir():
        assert token.encode() not in file.read_bytes()
    listed = nanobot("keys", "list", "--data", data).out
    assert "ann" in listed and key.id in listed and "wx:*" in listed and token not in listed


def test_two_keys_are_never_the_same(nanobot: Nanobot, data: str) -> None:
    assert len({nanobot("keys", "create", name, "--data", data).out for name in "abc"}) == 3


def test_revoking_takes_the_key_off_the_list_and_its_name_is_free_again(nanobot: Nanobot, data: str) -> None:
    nanobot("keys", "create", "ann", "--data", data)
    again = nanobot("keys", "create", "ann", "--data", data)
    assert again.status == 2 and "'ann'" in again.err
    assert nanobot("keys", "revoke", "ann", "--data", data).status == 0
    assert "no API key" in nanobot("keys", "list", "--data", data).out
    (shown,) = json.loads(nanobot("keys", "list", "--all", "--json", "--data", data).out)
    assert (shown["name"], shown["state"]) == ("ann", "revoked")
    assert "digest" not in shown
    assert nanobot("keys", "create", "ann", "--data", data).status == 0
    assert nanobot("keys", "revoke", "bob", "--data", data).status == 2
    assert nanobot("keys", "revoke", shown["id"], "--forget", "--data", data).status == 0
    assert len(json.loads(nanobot("keys", "list", "--all", "--json", "--data", data).out)) == 1


def test_keys_are_made_and_revoked_beside_a_server(nanobot: Nanobot, data: str) -> None:
    fill(Path(data))
    with contextlib.ExitStack() as stack:
        stack.enter_context(holding(data))
        assert nanobot("keys", "create", "ann", "--data", data).status == 0
        assert nanobot("keys", "revoke", "ann", "--data", data).status == 0
    assert [key.revoked_at is not None for key in stored_keys(Path(data))] == [True]


@contextlib.contextmanager
def holding(data: str):  # type: ignore[no-untyped-def]
    from nanobot.stores.sqlite.opening import DirectoryLock

    lock = DirectoryLock(Path(data))
    yield
    lock.release()


def test_a_server_whose_writer_does_not_come_free_is_told(
    nanobot: Nanobot, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(Path(data))
    monkeypatch.setattr("nanobot.stores.sqlite.keys._BUSY_S", 0.01)
    with server_on(data):
        told = nanobot("keys", "create", "ann", "--data", data)
    assert told.status == 2 and "locked" in told.err
    assert stored_keys(Path(data)) == ()


def test_what_is_done_to_keys_and_conversations_is_in_the_audit_log(nanobot: Nanobot, data: str) -> None:
    fill(Path(data))
    token = nanobot("keys", "create", "ann", "--data", data).out.strip()
    nanobot("keys", "revoke", "ann", "--data", data)
    nanobot("sessions", "delete", "wx:dm:ann", "--yes", "--data", data)
    text = (Path(data) / FILE).read_text()
    found = [json.loads(line) for line in text.splitlines()]
    assert [line["operation"] for line in found] == [
        "nanobot keys create",
        "nanobot keys revoke",
        "nanobot sessions delete",
    ]
    assert found[0]["target"] == found[1]["target"] == stored_keys(Path(data))[0].id
    assert found[2]["session_key"] == "wx:dm:ann"
    assert all(line["client"].startswith("cli:") for line in found)
    assert token not in text


def test_a_key_for_the_config_file_is_printed_and_not_kept(
    nanobot: Nanobot, data: str, tmp_path: Path
) -> None:
    options = (
        "--sessions",
        'a"b*',
        "--session-key",
        'a"bc',
        "--expires",
        "2099-01-31",
        "--money-per-day",
        "1.5",
        "--scope",
        "admin",
        "--history",
        "whole",
    )
    table, _, token = (
        nanobot("keys", "create", "ci", "--for-config", *options, "--data", data).out.strip().rpartition("\n")
    )
    assert not Path(data).exists()
    file = tmp_path / "given.toml"
    file.write_text(table)
    (key,) = load(file, {}, {}).keys
    assert key.hash == f"sha256:{digest_of(token.encode()).hex()}"
    assert (key.name, key.sessions, key.session_key, key.scopes, key.quota.money_per_day) == (
        "ci",
        ('a"b*',),
        'a"bc',
        ("admin",),
        1.5,
    )
    assert key.history == "whole"
    assert str(tomllib.loads(table)["keys"][0]["expires"]) == "2099-02-01 00:00:00+00:00"


@pytest.mark.parametrize(
    ("options", "needle"),
    [
        (("--session-key", "b:1", "--sessions", "a:*"), "matches none"),
        (("--session-key", "nanobot:x"), "nanobot:"),
        (("--expires", "2020-01-01"), "past"),
        (("--expires", "soon"), "--expires"),
        (("--sessions", " "), "pattern"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(
    nanobot: Nanobot, data: str, options: tuple[str, ...], needle: str
) -> None:
    told = nanobot("keys", "create", "ann", *options, "--data", data)
    assert told.status == 2 and needle in told.err
    assert stored_keys(Path(data)) == ()


# 2027-01-15 08:00 UTC
NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", 1_800),
        ("2d", 172_800),
        ("2027-01-15", 57_600),
        ("2027-01-15T09:00Z", 3_600),
        ("2027-01-15T09:00+02:00", None),
    ],
)
def test_an_end_is_a_span_a_day_to_its_end_or_a_time(text: str, seconds: int | None) -> None:
    if seconds is None:
        with pytest.raises(ConfigError, match="past"):
            parse_expiry(text, NOW)
    else:
        assert parse_expiry(text, NOW) == NOW + seconds


@pytest.mark.parametrize("command", [("keys", "list"), ("sessions", "list"), ("keys", "create", "ann")])
def test_a_data_directory_that_is_a_file_is_told(
    nanobot: Nanobot, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "file").touch()
    ran = nanobot(*command, "--data", str(tmp_path / "file"))
    assert (ran.status, ran.out) == (2, "")
    assert "is a file, and no data directory" in ran.err
