"""The documentation names files that exist, and every import that waits."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
# A path from the root of the repository, or a module of the package without its first folder.
TREES = ("nanobot", "tests", "docs", "bench", "requirements", "scripts")
PACKAGES = tuple(path.name for path in (ROOT / "nanobot").iterdir() if path.is_dir())


def paths(text: str) -> Iterator[Path]:
    """Yield the files and folders of the repository that `text` names in backticks."""
    for word in re.findall(r"`([\w.-]+(?:/[\w.-]*)+)`", text):
        first = word.split("/")[0]
        if first in TREES:
            yield ROOT / word
        elif first in PACKAGES:
            yield ROOT / "nanobot" / word


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_path_of_a_page_exists(page: Path) -> None:
    for path in paths(page.read_text(encoding="utf-8")):
        assert path.exists(), f"{page.relative_to(ROOT)} names {path.relative_to(ROOT)}"


def test_the_pages_name_paths() -> None:
    named = {path for page in PAGES for path in paths(page.read_text(encoding="utf-8"))}
    assert {ROOT / "nanobot" / "http" / "guard.py", ROOT / "tests" / "contract"} <= named


def test_every_page_is_on_the_list_of_pages() -> None:
    listed = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert page.name == "README.md" or f"]({page.name})" in listed, f"docs/README.md misses {page.name}"


def test_each_package_starts_at_files_that_exist() -> None:
    rows = re.findall(r"^\| `([\w.]+/?)` \| .* \| (.*) \|$", ARCHITECTURE, re.MULTILINE)
    assert ("core/", "`turn.py`, `event.py`, `store.py`") in rows
    for package, starts in rows:
        for start in re.findall(r"`([^`]+)`", starts):
            assert (ROOT / "nanobot" / package / start).is_file(), f"{package} starts at {start}"


def late_imports() -> set[str]:
    """Return the modules with an `import` inside a function."""
    found = set()
    for path in (ROOT / "nanobot").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [
            node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        nodes = [node for function in functions for node in ast.walk(function)]
        if any(isinstance(node, ast.Import | ast.ImportFrom) or _imports_by_name(node) for node in nodes):
            found.add(path.relative_to(ROOT).as_posix())
    return found


def _imports_by_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "import_module"


def test_the_architecture_page_lists_every_late_import_and_no_other() -> None:
    (section,) = re.findall(r"^## Late imports$(.*?)^## ", ARCHITECTURE, re.MULTILINE | re.DOTALL)
    assert late_imports() == set(re.findall(r"`(nanobot/[^`]+\.py)`", section))
