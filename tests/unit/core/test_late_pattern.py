"""A pattern that is compiled at its first use does then what one of `re` does."""

import re
from typing import Any

import pytest

from nanobot.core.late_pattern import LatePattern

TEXT = "ab1 cd22 \u00e9f333"


@pytest.mark.parametrize("name", ["search", "match", "fullmatch"])
def test_it_finds_what_the_pattern_of_the_standard_library_finds(name: str) -> None:
    for expression in (r"([a-z]+)(\d+)", r"nothing", r".*"):
        late, at_once = LatePattern(expression, re.DOTALL), re.compile(expression, re.DOTALL)
        found, expected = getattr(late, name)(TEXT), getattr(at_once, name)(TEXT)
        assert repr(found) == repr(expected)
        assert found is None or found.groups() == expected.groups()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("findall", (TEXT,)), ("split", (TEXT, 1)), ("sub", ("-", TEXT)), ("subn", ("-", TEXT, 2))],
)
def test_it_takes_apart_and_replaces_as_well(name: str, arguments: tuple[Any, ...]) -> None:
    late, at_once = LatePattern(r"\d+"), re.compile(r"\d+")
    for _ in range(2):
        assert getattr(late, name)(*arguments) == getattr(at_once, name)(*arguments)
    assert [each.span() for each in late.finditer(TEXT)] == [each.span() for each in at_once.finditer(TEXT)]


def test_it_is_compiled_once_when_it_is_first_used_and_not_before() -> None:
    late = LatePattern("(")
    with pytest.raises(re.error):
        late.search("x")
    kept = LatePattern(rb"x", re.IGNORECASE)
    assert kept.search(b"aX") and kept.compiled is kept.compiled
    assert kept.search.__self__ is kept.compiled  # type: ignore[attr-defined]
