"""`nanobot memory`: what is remembered is listed, searched, added, exported and forgotten on the server."""

import json
from pathlib import Path

import pytest

from nanobot.stores.sqlite.opening import DirectoryLock
from tests.unit.cli.commandline import Nanobot
from tests.unit.cli.stored import fill

ANN, GROUP = "wx:dm:ann", "wx:group:g:user:ann"


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A data directory with conversations."""
    fill(tmp_path / "data")
    return str(tmp_path / "data")


def test_what_is_added_is_listed_searched_shown_and_forgotten(nanobot: Nanobot, data: str) -> None:
    fact_id = nanobot(
        "memory", "add", ANN, "likes\ntea\x1b[2J", "--about", "Bob", "--pin", "--data", data
    ).out.strip()
    nanobot("memory", "add", ANN, "lives in Rome", "--data", data)
    listed = nanobot("memory", "list", ANN, "--data", data).out
    assert "Bob: likes tea[2J (person, operator, pinned)" in listed
    assert "\x1b" not in listed
    assert nanobot("memory", "list", "wx:dm:bob", "--data", data).out == "nothing is remembered\n"
    assert "Rome" not in nanobot("memory", "search", ANN, "tea", "--data", data).out
    nanobot("memory", "add", ANN, "likes coffee", "--replaces", "tea", "--data", data)
    now, before = nanobot("memory", "show", ANN, fact_id, "--data", data).out.splitlines()
    assert "now: Bob: likes coffee" in now
    assert "before: Bob: likes tea" in before
    assert (
        nanobot("memory", "forget", ANN, "coffee", "--yes", "--data", data).out == "forgotten: likes coffee\n"
    )
    (left,) = json.loads(nanobot("memory", "list", ANN, "--json", "--data", data).out)
    assert left["text"] == "lives in Rome"


def test_a_fact_is_corrected_pinned_and_made_public(nanobot: Nanobot, data: str) -> None:
    fact_id = nanobot("memory", "add", ANN, "lives in Rome", "--data", data).out.strip()
    changed = nanobot("memory", "change", ANN, "rome", "--text", "lives in Berlin", "--pin", "--data", data)
    assert changed.out.strip() == fact_id
    now, before = nanobot("memory", "show", ANN, fact_id, "--data", data).out.splitlines()
    assert "now: lives in Berlin (person, operator, pinned)" in now and "before: lives in Rome" in before
    nanobot("memory", "change", ANN, fact_id, "--public", "--unpin", "--about", "Ann", "--data", data)
    assert (
        "Ann: lives in Berlin (person, operator, public)"
        in nanobot("memory", "list", ANN, "--data", data).out
    )
    nothing = nanobot("memory", "change", ANN, fact_id, "--data", data)
    assert nothing.status == 2 and "say what is to be different" in nothing.err
    missing = nanobot("memory", "change", ANN, "xyzzy", "--pin", "--data", data)
    assert missing.status == 2 and "no fact 'xyzzy'" in missing.err


def test_a_fact_is_shown_by_its_id_or_by_words_that_only_it_has(nanobot: Nanobot, data: str) -> None:
    fact_id = nanobot("memory", "add", ANN, "lives in Rome", "--public", "--data", data).out.strip()
    nanobot("memory", "add", ANN, "likes Rome", "--data", data)
    by_id = nanobot("memory", "show", ANN, fact_id, "--data", data).out
    assert "now: lives in Rome" in by_id
    assert nanobot("memory", "show", ANN, "LIVES", "--data", data).out == by_id
    unclear = nanobot("memory", "show", ANN, "rome", "--data", data)
    assert unclear.status == 2 and "2 facts say 'rome'" in unclear.err
    missing = nanobot("memory", "show", ANN, "xyzzy", "--data", data)
    assert missing.status == 2 and "no fact 'xyzzy'" in missing.err
    # The group is told it, though nobody may change it there.
    assert "now: lives in Rome" in nanobot("memory", "show", GROUP, "rome", "--data", data).out


def test_layers_are_those_of_the_key(nanobot: Nanobot, data: str) -> None:
    nanobot("memory", "add", ANN, "is allergic", "--data", data)
    nanobot("memory", "add", ANN, "is called Ann", "--public", "--data", data)
    nanobot("memory", "add", GROUP, "meets on Monday", "--data", data)
    listed = nanobot("memory", "list", GROUP, "--data", data).out
    assert "Ann" in listed and "Monday" in listed and "allergic" not in listed
    assert "Monday" not in nanobot("memory", "list", GROUP, "--layer", "person", "--data", data).out
    refused = nanobot("memory", "add", ANN, "x", "--layer", "group", "--data", data)
    assert (refused.status, refused.out) == (2, "")
    assert "may not write facts of the group" in refused.err


def test_facts_are_exported_to_a_new_file_that_only_its_owner_reads(
    nanobot: Nanobot, data: str, tmp_path: Path
) -> None:
    nanobot("memory", "add", ANN, "lives in Rome", "--data", data)
    file = tmp_path / "memory.json"
    assert nanobot("memory", "export", ANN, str(file), "--data", data).err == f"1 facts written to {file}\n"
    assert json.loads(file.read_text())["facts"][0]["history"][0]["text"] == "lives in Rome"
    assert file.stat().st_mode & 0o077 == 0
    again = nanobot("memory", "export", ANN, str(file), "--data", data)
    assert again.status == 2 and "exists already" in again.err
    assert "- lives in Rome" in nanobot("memory", "export", ANN, "--format", "markdown", "--data", data).out


def test_beside_a_server_that_cannot_be_asked_facts_are_read_and_not_changed(
    nanobot: Nanobot, data: str
) -> None:
    nanobot("memory", "add", ANN, "lives in Rome", "--data", data)
    lock = DirectoryLock(Path(data))
    try:
        assert "Rome" in nanobot("memory", "list", ANN, "--data", data).out
        for command in (
            ("add", ANN, "x"),
            ("change", ANN, "rome", "--pin"),
            ("forget", ANN, "rome", "--yes"),
        ):
            refused = nanobot("memory", *command, "--data", data)
            assert refused.status == 2
            assert "is in use by a running nanobot: stop it, then" in refused.err
    finally:
        lock.release()


def test_a_fact_that_is_not_there_or_not_clear_is_not_forgotten(nanobot: Nanobot, data: str) -> None:
    for text in ("likes green tea", "likes black tea"):
        nanobot("memory", "add", ANN, text, "--data", data)
    assert "2 facts say 'tea'" in nanobot("memory", "forget", ANN, "tea", "--yes", "--data", data).err
    assert "no fact 'xyzzy'" in nanobot("memory", "forget", ANN, "xyzzy", "--yes", "--data", data).err
    asked = nanobot("memory", "forget", ANN, "green", "--data", data)
    assert "say --yes to forget" in asked.err


def test_changes_stand_in_the_audit_log(nanobot: Nanobot, data: str) -> None:
    fact_id = nanobot("memory", "add", ANN, "lives in Rome", "--data", data).out.strip()
    nanobot("memory", "forget", ANN, fact_id, "--yes", "--data", data)
    entries = [json.loads(line) for line in (Path(data) / "audit.jsonl").read_text().splitlines()]
    assert [(entry["operation"], entry["target"]) for entry in entries[-2:]] == [
        ("nanobot memory add", fact_id),
        ("nanobot memory forget", fact_id),
    ]
