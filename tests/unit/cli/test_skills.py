"""`nanobot skills` lists, checks, copies and removes skills."""

import json
import sys
from pathlib import Path

import pytest

from nanobot.stores.audit_log import FILE
from tests.unit.cli.commandline import Nanobot
from tests.unit.tools.skills.test_library import write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no skills on Windows")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_nanobots_own_are_listed_and_fit_the_format(nanobot: Nanobot, data: Path) -> None:
    listed = nanobot("skills", "list", "--json", "--data", str(data)).out
    assert [(each["name"], each["source"], each["problems"]) for each in json.loads(listed)] == [
        (name, "nanobot", [])
        for name in ("document-summary", "meeting-notes", "message-draft", "table-analysis", "trip-plan")
    ]
    checked = nanobot("skills", "check", "--data", str(data))
    assert checked.status == 0 and checked.out.count("fits the format") == 5


def test_a_skill_is_copied_whole_with_its_programs(nanobot: Nanobot, data: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "from", "offers", "Writes offers.", **{"fill.py": "print(1)"})
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / "text.md").write_text("text")
    (source / "fill.py").chmod(0o700)
    added = nanobot("skills", "add", str(source), "--data", str(data))
    assert added.status == 0 and "offers is in" in added.out
    copy = data / "skills" / "offers"
    assert (copy / "deep" / "er" / "text.md").read_text() == "text"
    assert [(copy / name).stat().st_mode & 0o777 for name in ("fill.py", "SKILL.md", "deep")] == [
        0o755,
        0o644,
        0o755,
    ]
    assert [each.name for each in (data / "skills").iterdir()] == ["offers"]
    assert "nanobot skills add" in (data / FILE).read_text()
    assert "offers\n  Writes offers." in nanobot("skills", "list", "--data", str(data)).out


def test_one_that_is_there_is_replaced_only_if_asked_for(
    nanobot: Nanobot, data: Path, tmp_path: Path
) -> None:
    source = write(tmp_path / "from", "offers", **{"old.md": "old"})
    nanobot("skills", "add", str(source), "--data", str(data))
    (source / "old.md").unlink()
    refused = nanobot("skills", "add", str(source), "--data", str(data))
    assert refused.status == 2 and "--replace" in refused.err
    assert (data / "skills" / "offers" / "old.md").exists()
    assert nanobot("skills", "add", str(source), "--replace", "--data", str(data)).status == 0
    assert [each.name for each in (data / "skills" / "offers").iterdir()] == ["SKILL.md"]


def test_what_cannot_be_used_is_not_copied(nanobot: Nanobot, data: Path, tmp_path: Path) -> None:
    wrong = write(tmp_path / "from", "offers")
    (wrong / "SKILL.md").write_text("---\nname: others\n---\n")
    linked = write(tmp_path / "from", "linked")
    (linked / "passwords").symlink_to("/etc/passwd")
    for source, why in (
        (wrong, "description is missing"),
        (linked, "is a link"),
        (tmp_path, "no SKILL.md"),
        (tmp_path / "none", "is no directory"),
    ):
        ran = nanobot("skills", "add", str(source), "--data", str(data))
        assert ran.status == 2 and why in ran.err, ran.err
    assert not (data / "skills").exists() or list((data / "skills").iterdir()) == []


def test_a_check_says_what_is_wrong_and_fails(nanobot: Nanobot, data: Path, tmp_path: Path) -> None:
    write(data / "skills", "offers", "Writes offers.\nvendor: x")
    write(data / "skills", "bad").joinpath("SKILL.md").write_text("---\nname: \x1b[2Jbad\n---\n")
    checked = nanobot("skills", "check", "--data", str(data))
    assert checked.status == 1 and "\x1b" not in checked.out
    assert "offers: fits the format\n  warning: the field 'vendor'" in checked.out
    assert "bad: cannot be used\n  error: " in checked.out
    one = nanobot("skills", "check", str(data / "skills" / "offers"))
    assert one.status == 0 and one.out.count("fits the format") == 1
    assert nanobot("skills", "check", str(data / "skills")).status == 1
    listed = nanobot("skills", "list", "--data", str(data)).out
    assert "bad\n  left out: " in listed


def test_a_check_says_which_skills_the_settings_name_in_vain(
    nanobot: Nanobot, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "nanobot.toml").write_text('[[agents]]\npattern = "*"\nskills = ["trip-plan", "nowhere"]\n')
    checked = nanobot("skills", "check", "--data", str(data))
    assert "agents[0].skills names 'nowhere', which is not there" in checked.out
    assert "'trip-plan'" not in checked.out


def test_a_skill_is_removed_and_nothing_beside_it(nanobot: Nanobot, data: Path) -> None:
    write(data / "skills", "offers")
    write(data / "skills", "bills")
    assert nanobot("skills", "remove", "offers", "--data", str(data)).status == 0
    assert [each.name for each in (data / "skills").iterdir()] == ["bills"]
    for name in ("offers", "../skills/bills", "bills/", "."):
        assert nanobot("skills", "remove", name, "--data", str(data)).status == 2
    assert [each.name for each in (data / "skills").iterdir()] == ["bills"]


def test_where_the_small_model_answers_it_is_said_that_it_is_told_of_none(
    nanobot: Nanobot, data: Path
) -> None:
    note = "is told of none"
    assert note in nanobot("skills", "list", "--data", str(data)).out
    (data.parent / "nanobot.toml").write_text('[model]\nname = "echo"\n')
    settings = str(data.parent / "nanobot.toml")
    assert note not in nanobot("skills", "list", "--data", str(data), "--config", settings).out
