"""The name that nanobot is installed under is that of pyproject.toml, in code, texts and documentation."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from nanobot.core.distribution import DISTRIBUTION

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
)
# The other project of that name has a command `nanobot`, too.
FOREIGN = "nanobot-ai"


def texts() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each page, and of each file of the package and of its tests."""
    folders = [
        path for name in ("nanobot", "tests", "bench", "requirements") for path in (ROOT / name).rglob("*")
    ]
    for path in [*PAGES, ROOT / "Makefile", ROOT / "pyproject.toml", *folders]:
        if (
            path.suffix in ("", ".py", ".md", ".txt", ".toml", ".sh")
            and path.is_file()
            and path != Path(__file__)
        ):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8", errors="replace")


def test_the_constant_is_the_name_of_the_project() -> None:
    assert PROJECT["name"] == DISTRIBUTION


def test_the_package_takes_its_name_from_the_constant_alone() -> None:
    naming = {path for path, text in texts() if path.startswith("nanobot/") and DISTRIBUTION in text}
    assert naming == {"nanobot/core/distribution.py"}


def test_the_other_project_is_named_only_where_the_readme_warns_of_it() -> None:
    assert {path for path, text in texts() if FOREIGN in text} == {"README.md"}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not re.search(rf"install[^\n`]*{FOREIGN}", readme)


def test_every_extra_that_a_text_installs_exists_under_the_right_name() -> None:
    found = [
        (path, name, extra)
        for path, text in texts()
        for name, extra in re.findall(r"install [^`\n]*?\"([\w.-]+)\[(\w+)\]\"", text)
    ]
    assert found
    for path, name, extra in found:
        assert name in (DISTRIBUTION, "."), f"{path} installs {name}"
        assert extra in PROJECT["optional-dependencies"], f"{path} installs the extra {extra}"


def test_every_extra_that_the_code_names_exists() -> None:
    named = {
        extra
        for path, text in texts()
        if path.startswith("nanobot/")
        for extra in re.findall(r"install_(?:hint|command)\([\"'](\w+)[\"']\)", text)
    }
    assert named == {"documents", "duckduckgo", "local", "mcp", "telemetry", "vectors"}
    assert named <= set(PROJECT["optional-dependencies"])
