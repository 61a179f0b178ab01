import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanobot.stores.sqlite import offline
from nanobot.stores.sqlite.opening import DirectoryLock
from tests.unit.cli.commandline import Nanobot
from tests.unit.cli.stored import fill


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A data directory with two conversations."""
    fill(tmp_path / "data")
    return str(tmp_path / "data")


@contextlib.contextmanager
def server_on(data: str) -> Iterator[None]:
    """Hold the directory as a server does, with a writer that is in a transaction."""
    lock = DirectoryLock(Path(data))
    with contextlib.closing(sqlite3.connect(Path(data) / "nanobot.sqlite3", isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM message")
        yield
    lock.release()


def test_list_shows_the_conversation_used_last_first(nanobot: Nanobot, data: str) -> None:
    head, first, second = nanobot("sessions", "list", "--data", data).out.splitlines()
    assert head.split() == ["KEY", "MESSAGES", "LAST", "USED"]
    assert first.split()[:2] == ["wx:dm:bob", "4"]
    assert second.split()[:2] == ["wx:dm:ann", "2"]


def test_list_takes_a_limit_and_prints_json(nanobot: Nanobot, data: str) -> None:
    (only,) = json.loads(nanobot("sessions", "list", "--limit", "1", "--json", "--data", data).out)
    assert (only["key"], only["messages"]) == ("wx:dm:bob", 4)
    assert only["updated_at"] >= only["created_at"] > 0


def test_show_is_a_transcript_that_cannot_drive_the_terminal(nanobot: Nanobot, data: str) -> None:
    shown = nanobot("sessions", "show", "wx:dm:ann", "--data", data).out
    assert "\x1b" not in shown and "\x07" not in shown
    assert "hello ␛[2J" in shown and "hi␇" in shown
    shown = nanobot("sessions", "show", "wx:dm:bob", "--data", data).out
    for piece in (
        "── user",
        "what is this?",
        "[an image]",
        '[calls calculate {"expression":"6*7"}]',
        "[42]",
        "── assistant",
    ):
        assert piece in shown


def test_export_writes_a_header_and_one_message_a_line(nanobot: Nanobot, data: str) -> None:
    header, asked, called, gave, answered = map(
        json.loads, nanobot("sessions", "export", "wx:dm:bob", "--data", data).out.splitlines()
    )
    assert header == {"format": "nanobot.session", "version": 2, "key": "wx:dm:bob"}
    assert asked["content"] == [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
    ]
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "calculate", "arguments": '{"expression":"6*7"}'},
    }
    assert (called["content"], called["tool_calls"]) == ("Let me see.", [call])
    assert (gave["role"], gave["content"], gave["tool_call_id"]) == ("tool", "42", "call_1")
    assert (answered["role"], answered["content"]) == ("assistant", "42")
    assert {line["turn_id"] for line in (asked, called, gave, answered)} == {"turn_1"}
    assert len({line["id"] for line in (asked, called, gave, answered)}) == 4
    assert all(line["created_at"] > 0 for line in (asked, called, gave, answered))


def test_export_keeps_every_character_and_does_not_write_over_a_file(
    nanobot: Nanobot, data: str, tmp_path: Path
) -> None:
    file = tmp_path / "out.jsonl"
    ran = nanobot("sessions", "export", "wx:dm:ann", str(file), "--data", data)
    assert (ran.status, ran.out) == (0, "")
    assert [json.loads(line).get("content") for line in file.read_text().splitlines()] == [
        None,
        "hello \x1b[2J",
        "hi\x07",
    ]
    before = file.read_bytes()
    ran = nanobot("sessions", "export", "wx:dm:bob", str(file), "--data", data)
    assert ran.status == 2 and "exists already" in ran.err
    assert file.read_bytes() == before and not list(tmp_path.glob("*.partial"))


def test_export_that_cannot_be_written_is_told_in_one_line(
    nanobot: Nanobot, data: str, tmp_path: Path
) -> None:
    ran = nanobot("sessions", "export", "wx:dm:ann", str(tmp_path / "no" / "where"), "--data", data)
    assert ran.status == 2
    assert ran.err.count("\n") == 1 and "cannot write" in ran.err


def test_a_long_conversation_is_read_page_by_page_to_its_end(
    monkeypatch: pytest.MonkeyPatch, nanobot: Nanobot, data: str
) -> None:
    monkeypatch.setattr(offline, "_PAGE", 1)
    assert len(nanobot("sessions", "export", "wx:dm:bob", "--data", data).out.splitlines()) == 5


def test_what_is_written_meanwhile_is_not_in_the_export(monkeypatch: pytest.MonkeyPatch, data: str) -> None:
    """It shows the conversation as of one moment, however many pages it takes."""
    monkeypatch.setattr(offline, "_PAGE", 1)
    with (
        offline.SqliteOffline(Path(data)).open_readonly() as store,
        contextlib.closing(sqlite3.connect(Path(data) / "nanobot.sqlite3")) as writer,
    ):
        found = store.messages("wx:dm:bob")
        next(found)
        writer.execute("DELETE FROM message")
        writer.commit()
        assert len(list(found)) == 3


def test_an_export_is_imported_as_a_new_conversation_and_not_over_one(
    nanobot: Nanobot, data: str, tmp_path: Path
) -> None:
    file = tmp_path / "out.jsonl"
    nanobot("sessions", "export", "wx:dm:bob", str(file), "--data", data)
    ran = nanobot("sessions", "import", "copy", str(file), "--data", data)
    assert (ran.status, ran.out) == (0, "4 messages imported\n")
    again = nanobot("sessions", "export", "copy", "--data", data).out.splitlines()
    before = file.read_text().splitlines()
    assert [{**json.loads(line), "key": 0, "turn_id": 0} for line in again] == [
        {**json.loads(line), "key": 0, "turn_id": 0} for line in before
    ]
    ran = nanobot("sessions", "import", "copy", str(file), "--data", data)
    assert ran.status == 2 and "already" in ran.err
    file.write_text(before[0] + "\n{")
    ran = nanobot("sessions", "import", "other", str(file), "--data", data)
    assert (ran.status, ran.out) == (2, "") and ran.err.startswith("nanobot: line 2: ")
    ran = nanobot("sessions", "import", "other", str(tmp_path / "nothing"), "--data", data)
    assert ran.status == 2 and ran.err.count("\n") == 1


def test_search_shows_the_conversation_and_the_words_in_it(nanobot: Nanobot, data: str) -> None:
    out = nanobot("sessions", "search", "HELL", "--data", data).out
    assert out.startswith("wx:dm:ann  ") and out.endswith("user: hello ␛[2J\n")
    (only,) = json.loads(nanobot("sessions", "search", "what this", "--json", "--data", data).out)
    assert (only["key"], only["match"]["message_id"], only["match"]["snippet"]) == (
        "wx:dm:bob",
        "msg_1",
        "what is this?",
    )
    assert nanobot("sessions", "search", "parrot", "--data", data).out == "nothing found\n"
    ran = nanobot("sessions", "search", "x" * 257, "--data", data)
    assert ran.status == 2 and ran.err.count("\n") == 1


def test_beside_a_running_server_search_finds_what_is_in_the_index(nanobot: Nanobot, data: str) -> None:
    nanobot("sessions", "search", "hello", "--data", data)
    with server_on(data):
        assert nanobot("sessions", "search", "hello", "--data", data).out.startswith("wx:dm:ann  ")


def test_rename_gives_a_title_and_takes_it_away(nanobot: Nanobot, data: str) -> None:
    assert nanobot("sessions", "rename", "wx:dm:ann", "Greetings", "--data", data).status == 0
    assert {
        found["title"] for found in json.loads(nanobot("sessions", "list", "--json", "--data", data).out)
    } == {"Greetings", None}
    assert nanobot("sessions", "rename", "wx:dm:ann", "", "--data", data).status == 0
    assert {
        found["title"] for found in json.loads(nanobot("sessions", "list", "--json", "--data", data).out)
    } == {None}
    assert nanobot("sessions", "rename", "wx:dm:ann", "x" * 257, "--data", data).status == 2


def test_fork_copies_up_to_a_message(nanobot: Nanobot, data: str) -> None:
    ran = nanobot("sessions", "fork", "wx:dm:bob", "copy", "--at", "msg_2", "--data", data)
    assert (ran.status, ran.out) == (0, "2 messages copied\n")
    assert "what is this?" in nanobot("sessions", "show", "copy", "--data", data).out
    for arguments in (
        ("wx:dm:bob", "copy"),
        ("wx:dm:bob", "x", "--at", "msg_99"),
        ("wx:dm:bob", "x", "--at", "second"),
    ):
        ran = nanobot("sessions", "fork", *arguments, "--data", data)
        assert ran.status == 2 and ran.err.count("\n") == 1


def test_delete_leaves_no_byte_of_it_in_the_files(nanobot: Nanobot, data: str) -> None:
    nanobot("sessions", "search", "hello", "--data", data)
    nanobot("sessions", "delete", "wx:dm:ann", "--yes", "--data", data)
    left = b"".join(path.read_bytes() for path in Path(data).glob("nanobot.sqlite3*"))
    assert b"hello" not in left and b"wx:dm:ann" not in left
    assert b"wx:dm:bob" in left


@pytest.mark.parametrize("arguments", [["rename", "wx:dm:ann", "x"], ["fork", "wx:dm:ann", "x"]])
def test_beside_a_running_server_what_changes_says_to_stop_it_first(
    nanobot: Nanobot, data: str, arguments: list[str]
) -> None:
    with server_on(data):
        ran = nanobot("sessions", *arguments, "--data", data)
    assert ran.status == 2 and ran.err.startswith(
        f"nanobot: {data} is in use by a running nanobot: stop it, then "
    )


def test_delete_removes_that_conversation_alone(nanobot: Nanobot, data: str) -> None:
    nanobot("memory", "add", "wx:dm:bob", "likes tea", "--data", data)
    ran = nanobot("sessions", "delete", "wx:dm:bob", "--yes", "--data", data)
    gone = "4 messages, 1 turns, 0 files and 1 versions of facts"
    assert (ran.status, ran.out) == (0, f"{gone} deleted\n")
    assert [
        found["key"] for found in json.loads(nanobot("sessions", "list", "--json", "--data", data).out)
    ] == ["wx:dm:ann"]


def test_delete_asks_and_without_a_terminal_to_ask_on_refuses(nanobot: Nanobot, data: str) -> None:
    ran = nanobot("sessions", "delete", "wx:dm:bob", "--data", data)
    assert ran.status == 2 and "--yes" in ran.err
    assert len(json.loads(nanobot("sessions", "list", "--json", "--data", data).out)) == 2


def test_beside_a_running_server_all_can_be_read_as_it_was_committed(nanobot: Nanobot, data: str) -> None:
    with server_on(data):
        assert len(json.loads(nanobot("sessions", "list", "--json", "--data", data).out)) == 2
        assert nanobot("sessions", "show", "wx:dm:ann", "--data", data).status == 0
        assert nanobot("sessions", "export", "wx:dm:ann", "--data", data).status == 0


def test_beside_a_running_server_delete_says_to_stop_it_first(nanobot: Nanobot, data: str) -> None:
    with server_on(data):
        ran = nanobot("sessions", "delete", "wx:dm:ann", "--yes", "--data", data)
    assert ran.status == 2
    assert (
        ran.err == f"nanobot: {data} is in use by a running nanobot: stop it, then delete the conversation\n"
    )
    assert nanobot("sessions", "show", "wx:dm:ann", "--data", data).status == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "nobody"],
        ["export", "nobody"],
        ["delete", "nobody", "--yes"],
        ["fork", "nobody", "x"],
        ["rename", "nobody", "x"],
    ],
)
def test_an_unknown_key_is_one_line_with_status_2(nanobot: Nanobot, data: str, arguments: list[str]) -> None:
    ran = nanobot("sessions", *arguments, "--data", data)
    assert (ran.status, ran.out, ran.err) == (2, "", "nanobot: no session 'nobody' here\n")


@pytest.mark.parametrize("key", ["", "  ", "a\x1bb", "nanobot:own"])
def test_a_key_that_cannot_be_one_is_refused(nanobot: Nanobot, data: str, key: str) -> None:
    ran = nanobot("sessions", "show", key, "--data", data)
    assert ran.status == 2 and ran.err.count("\n") == 1 and "\x1b" not in ran.err


def test_where_there_is_no_store_it_says_where_it_looked(nanobot: Nanobot, tmp_path: Path) -> None:
    ran = nanobot("sessions", "list", "--data", str(tmp_path / "empty"))
    assert ran.status == 2 and str(tmp_path / "empty") in ran.err
    assert not (tmp_path / "empty").exists()
