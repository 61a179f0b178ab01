"""What the model is told of earlier messages: dated, bounded, as quotations."""

import pytest

from nanobot.context.recalled import RECALLED, recalled_lines
from nanobot.core.message import Role
from nanobot.core.recall import Passage


def passage(text: str, day: int = 0, role: Role = "user") -> Passage:
    return Passage("a", 1, None, role, 1_700_000_000.0 + 86_400 * day, text)


def test_the_oldest_comes_first_whatever_fits_best() -> None:
    said = recalled_lines([passage("new", 3), passage("old", 1, "assistant")], 400)
    assert said.startswith(RECALLED) and said.endswith(")")
    first, second = said.splitlines()[1:]
    assert first.endswith("you said: old") and first.startswith("- 2023-11-1")
    assert second.endswith("I said: new)")


@pytest.mark.parametrize("tokens", [0, 20, 40, 60, 100, 400])
@pytest.mark.parametrize("text", ["word " * 100, "北京" * 100])
def test_it_takes_no_more_than_it_may(tokens: int, text: str) -> None:
    said = recalled_lines([passage(f"{number} {text}") for number in range(8)], tokens)
    assert len(said.encode()) <= 4 * tokens
    assert bool(said) == (tokens >= 100)


def test_nothing_is_said_of_nothing() -> None:
    assert recalled_lines([], 400) == ""
