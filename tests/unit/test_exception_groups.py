"""What is raised out of a group of exceptions is one exception, in each Python that nanobot runs on."""

import ast
from collections.abc import Iterator
from pathlib import Path

import nanobot

PACKAGE = Path(nanobot.__file__).parent


def raised_in_except_star(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of `raise` in the clauses of `except*`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.TryStar):
            for handler in node.handlers:
                yield from (inner.lineno for inner in ast.walk(handler) if isinstance(inner, ast.Raise))


def test_nothing_is_raised_in_a_clause_of_except_star() -> None:
    """Python 3.11.2, Debian's, puts it into a group again, which answers a request with a 500."""
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line in raised_in_except_star(ast.parse(path.read_bytes()))
    ]
    assert found == []
    assert list(raised_in_except_star(ast.parse("try:\n    pass\nexcept* OSError:\n    raise"))) == [4]
