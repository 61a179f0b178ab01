import json
from pathlib import Path

import pytest

from nanobot.stores.audit_log import FILE
from nanobot.stores.sqlite.offline import SqliteOffline
from nanobot.stores.sqlite.opening import DirectoryLock
from tests.unit.cli.commandline import Nanobot
from tests.unit.cli.stored import fill
from tests.unit.cli.test_keys import holding


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A data directory with the conversations `wx:dm:ann` and `wx:dm:bob`."""
    fill(tmp_path / "data")
    return str(tmp_path / "data")


def test_people_are_listed_and_shown_with_their_accounts(nanobot: Nanobot, data: str) -> None:
    linked = nanobot("people", "link", "wx:bob", "tg:42", "--data", data)
    assert (linked.status, linked.out) == (0, "wx:bob, tg:42 are one person: wx:bob\n")
    head, ann, bob = nanobot("people", "list", "--data", data).out.splitlines()
    assert head.split() == ["PERSON", "SESSIONS", "LAST", "USED"]
    assert ann.split()[:2] == ["wx:ann", "1"]
    assert bob.startswith("wx:bob (= tg:42)")
    shown = nanobot("people", "show", "tg:42", "--data", data).out
    assert shown.startswith("wx:bob (= tg:42): 1 sessions, 0 files\n")
    assert "wx:dm:bob" in shown and "4 messages" in shown and "private" in shown
    assert nanobot("people", "unlink", "tg:42", "--data", data).out == "tg:42 is a person of its own\n"
    assert nanobot("people", "show", "tg:42", "--data", data).status == 2


def test_lists_go_on_and_are_json_for_programs(nanobot: Nanobot, data: str) -> None:
    (first,) = json.loads(nanobot("people", "list", "--limit", "1", "--json", "--data", data).out)
    assert (first["id"], first["names"], first["sessions"]) == ("wx:ann", ["wx:ann"], 1)
    (rest,) = json.loads(nanobot("people", "list", "--after", "wx:ann", "--json", "--data", data).out)
    assert rest["id"] == "wx:bob"
    shown = json.loads(nanobot("people", "show", "wx:bob", "--json", "--data", data).out)
    assert shown["person"]["sessions"] == 1
    assert [(each["key"], each["group"]) for each in shown["sessions"]] == [("wx:dm:bob", None)]


def test_links_are_made_beside_a_server_and_recorded(nanobot: Nanobot, data: str) -> None:
    lock = DirectoryLock(Path(data))
    try:
        assert nanobot("people", "link", "wx:ann", "wx:bob", "--data", data).status == 0
    finally:
        lock.release()
    (entry,) = [json.loads(line) for line in (Path(data) / FILE).read_text().splitlines()]
    assert entry["operation"] == "nanobot people link"
    assert (entry["session_key"], entry["target"]) == ("wx:ann", "wx:bob")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("link", "wx:ann", "wx:ann"), "one person already"),
        (("link", "wx:dm:ann", "tg:42"), "its person is 'wx:ann'"),
        (("unlink", "wx:ann"), "is not linked"),
        (("show", "wx:carol"), "no person 'wx:carol'"),
        (("list", "--after", "wx:carol"), "no person 'wx:carol'"),
    ],
)
def test_what_cannot_be_done_is_said(
    nanobot: Nanobot, data: str, arguments: tuple[str, ...], says: str
) -> None:
    ran = nanobot("people", *arguments, "--data", data)
    assert ran.status == 2
    assert says in ran.err and ran.err.count("\n") == 1


def test_the_settings_say_whom_a_key_speaks_of(nanobot: Nanobot, data: str, tmp_path: Path) -> None:
    (tmp_path / "nanobot.toml").write_text('[[scopes]]\npattern = "{channel}/{user}/x"\n')
    refused = nanobot("people", "link", "irc/ann/x", "tg:42", "--data", data)
    assert "its person is 'irc:ann'" in refused.err
    (tmp_path / "nanobot.toml").write_text('[server]\nport = 1\n\n[[scopes]]\npattern = "{nick}"\n')
    wrong = nanobot("people", "list", "--data", data)
    assert wrong.status == 2
    assert "nanobot.toml:5" in wrong.err and "{nick}" in wrong.err


def test_a_person_is_exported_as_over_the_api_beside_a_server(
    nanobot: Nanobot, data: str, tmp_path: Path
) -> None:
    nanobot("memory", "add", "wx:dm:ann", "likes tea", "--data", data)
    nanobot("memory", "add", "wx:dm:bob", "likes coffee", "--data", data)
    with holding(data):
        told = nanobot("people", "export", "wx:ann", "--data", data)
    exported = json.loads(told.out)
    assert list(exported) == ["format", "version", "id", "names", "sessions", "files", "facts"]
    assert [each["key"] for each in exported["sessions"]] == ["wx:dm:ann"]
    with SqliteOffline(Path(data)).open_readonly() as store:
        said = [row.message.text for row in store.messages("wx:dm:ann")]
    assert [each["content"] for each in exported["sessions"][0]["messages"]] == said
    assert [versions[0]["text"] for versions in exported["facts"]] == ["likes tea"]
    file = tmp_path / "ann.json"
    written = nanobot("people", "export", "wx:ann", str(file), "--data", data)
    assert written.err == f"1 sessions written to {file}\n"
    assert file.read_text() == told.out and file.stat().st_mode & 0o777 == 0o600
    again = nanobot("people", "export", "wx:ann", str(file), "--data", data)
    assert again.status == 2 and "exists already" in again.err
    assert nanobot("people", "export", "wx:carol", "--data", data).status == 2


def test_a_person_is_erased_with_a_receipt(nanobot: Nanobot, data: str) -> None:
    nanobot("memory", "add", "wx:dm:ann", "likes tea", "--data", data)
    nanobot("people", "link", "wx:ann", "tg:42", "--data", data)
    unasked = nanobot("people", "erase", "wx:ann", "--data", data)
    assert unasked.status == 2 and "say --yes" in unasked.err
    erased = nanobot("people", "erase", "wx:ann", "--yes", "--data", data)
    assert erased.status == 0, erased.err
    removed = "1 sessions, 2 messages, 1 turns, 0 files, 1 versions of facts, 2 links; "
    assert erased.out.startswith(f"wx:ann is erased: {removed}")
    assert nanobot("people", "show", "wx:ann", "--data", data).status == 2
    assert nanobot("people", "show", "wx:bob", "--data", data).status == 0
    *_, entry = [json.loads(line) for line in (Path(data) / FILE).read_text().splitlines()]
    assert (entry["operation"], entry["session_key"]) == ("nanobot people erase", "wx:ann")
    receipt = json.loads(nanobot("people", "erase", "wx:bob", "--yes", "--json", "--data", data).out)
    assert receipt["complete"] and receipt["removed"]["sessions"] == 1
    missing = nanobot("people", "erase", "wx:bob", "--yes", "--data", data)
    assert missing.status == 2 and "no person 'wx:bob'" in missing.err


def test_a_person_is_not_erased_where_a_server_is_that_cannot_be_asked(nanobot: Nanobot, data: str) -> None:
    with holding(data):
        refused = nanobot("people", "erase", "wx:ann", "--yes", "--data", data)
    assert "stop it, then erase the person" in refused.err
    assert nanobot("people", "show", "wx:ann", "--data", data).status == 0
