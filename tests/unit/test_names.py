"""One noun, one meaning, one file: the name of a class is defined in one file of the package."""

import ast
from collections import defaultdict
from pathlib import Path

import nanobot

PACKAGE = Path(nanobot.__file__).parent
_ROUTES = "the routes of a noun are called as the port of the store that they serve"
EXCEPTIONS = {
    "Responses": _ROUTES,
    "Sessions": _ROUTES,
    "Turns": _ROUTES,
}
"""The names that are defined in more than one file, and why."""


def homes() -> dict[str, list[str]]:
    """Return the files in which each class, public or private, is defined."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(file.relative_to(PACKAGE).as_posix())
    return found


def test_a_name_of_a_class_stands_in_one_file() -> None:
    shared = {name: files for name, files in homes().items() if len(set(files)) > 1}
    assert {name: files for name, files in shared.items() if name not in EXCEPTIONS} == {}


def test_no_exception_is_left_without_need() -> None:
    found = homes()
    assert {name for name in EXCEPTIONS if len(found[name]) < 2} == set()
