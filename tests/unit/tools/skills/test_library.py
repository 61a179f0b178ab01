"""The library offers what the folders have now, and leaves out what cannot be used."""

import os
import sys
from pathlib import Path

import pytest

from nanobot.app.skills import OWN_SKILLS, files_of
from nanobot.core.errors import ToolError
from nanobot.tools.skills.folder import read_folder, scan
from nanobot.tools.skills.library import SkillLibrary

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no skills on Windows")


def write(folder: Path, name: str, description: str = "Does it.", **files: str) -> Path:
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "SKILL.md").write_text(f"---\nname: {name}\ndescription: {description}\n---\nBody of {name}.\n")
    for path, text in files.items():
        (place / path).write_text(text)
    return place


@pytest.fixture
def library(tmp_path: Path) -> SkillLibrary:
    return SkillLibrary({"folder": files_of(tmp_path / "skills"), "nanobot": files_of(tmp_path / "own")})


def names(library: SkillLibrary, chosen: frozenset[str] | None = None) -> list[str]:
    return [skill.name for skill in library.offered(chosen)]


def test_a_folder_that_is_not_there_has_no_skills(library: SkillLibrary) -> None:
    library.refresh()
    assert names(library) == []


def test_skills_come_change_and_go_while_it_is_in_use(library: SkillLibrary, tmp_path: Path) -> None:
    folder = tmp_path / "skills"
    write(folder, "b")
    write(folder, "a")
    write(tmp_path / "own", "a", "Nanobot's.")
    write(tmp_path / "own", "z")
    library.refresh()
    assert names(library) == ["a", "b", "z"]
    before = library.offered(None)
    library.refresh()
    assert library.offered(None) is before, "nothing has changed"
    (folder / "a" / "SKILL.md").unlink()
    write(folder, "b", "Does something else.")
    library.refresh()
    assert [(skill.name, skill.description) for skill in library.offered(None)] == [
        ("b", "Does something else."),
        ("a", "Nanobot's."),
        ("z", "Does it."),
    ]
    assert names(library, frozenset(("a", "nowhere"))) == ["a"]
    assert names(library, frozenset()) == []


def test_what_cannot_be_used_is_left_out_and_said_once(
    library: SkillLibrary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "skills"
    write(folder, "good")
    write(folder, "bad").joinpath("SKILL.md").write_text("---\nname: [\n---\n")
    (folder / "empty").mkdir()
    write(tmp_path / "elsewhere", "linked")
    (folder / "linked").symlink_to(tmp_path / "elsewhere" / "linked")
    write(folder, "inside").joinpath("SKILL.md").unlink()
    (folder / "inside" / "SKILL.md").symlink_to(tmp_path / "elsewhere" / "linked" / "SKILL.md")
    (folder / "README.md").write_text("no skill")
    write(folder, ".hidden")
    library.refresh()
    assert names(library) == ["good"]
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "'bad' is left out: SKILL.md: its front matter is not valid YAML" in said
    assert "'empty' is left out: it has no SKILL.md" in said
    assert "'linked' is left out: it is a link" in said
    assert "'inside' is left out: 'inside/SKILL.md' is no plain file" in said
    assert "README" not in said and "hidden" not in said
    caplog.clear()
    write(folder, "another")
    library.refresh()
    assert names(library) == ["another", "good"] and not caplog.records


def test_files_of_a_skill_are_read_and_nothing_else(library: SkillLibrary, tmp_path: Path) -> None:
    folder = tmp_path / "skills"
    place = write(folder, "a", **{"notes.md": "notes"})
    (place / "scripts").mkdir()
    (place / "scripts" / "run.py").write_text("print(1)")
    (tmp_path / "secret").write_text("canary")
    (place / "link").symlink_to(tmp_path / "secret")
    (place / "out").symlink_to(tmp_path)
    os.mkfifo(place / "pipe")
    library.refresh()
    (skill,) = library.offered(None)
    assert skill.has_files
    assert library.files(skill) == (("notes.md", "scripts/run.py"), True)
    assert library.content(skill, "./scripts//run.py") == b"print(1)"
    assert library.instructions(skill).body == "Body of a."
    for path in ("../../secret", "link", "out/secret", "pipe", "", "scripts", "/etc/passwd", "nowhere"):
        with pytest.raises(ToolError):
            library.content(skill, path)


def test_a_skill_that_has_gone_since_is_said_to_be(library: SkillLibrary, tmp_path: Path) -> None:
    place = write(tmp_path / "skills", "a")
    library.refresh()
    (skill,) = library.offered(None)
    (place / "SKILL.md").unlink()
    with pytest.raises(ToolError):
        library.instructions(skill)


def test_nanobots_own_skills_fit_the_format_and_have_no_files() -> None:
    files = files_of(OWN_SKILLS)
    checked = read_folder(files, scan(files))
    assert len(checked) == 5
    assert all(skill.file.findings == () for skill in checked)
    # Commands are shown the folders of the operator's skills only.
    assert not any(skill.has_files for skill in checked)
