"""The list of skills in the prompt keeps within its bound, whatever there is."""

import pytest

from nanobot.context.skills import skills_index
from nanobot.core.skill import Skill


def skills(number: int, description: str) -> list[Skill]:
    return [Skill(f"skill-{index:03}", description) for index in range(number)]


def test_without_skills_or_room_there_is_nothing() -> None:
    assert skills_index([], 600) == ""
    assert skills_index(skills(1, "x"), 0) == ""


def test_each_skill_has_a_line() -> None:
    introduction, *lines = skills_index(skills(2, "Does it."), 600).split("\n")
    assert "read_skill" in introduction
    assert lines == ["- skill-000: Does it.", "- skill-001: Does it."]


def test_long_descriptions_are_cut_before_a_skill_is_left_out() -> None:
    text = skills_index(skills(10, "word " * 200), 600)
    assert text.count("\n- ") == 10 and "find_skills" not in text
    assert text.endswith("word…")


@pytest.mark.parametrize("number", [3, 30, 400])
@pytest.mark.parametrize("description", ["word " * 200, "报价" * 500, "x" * 1024, "short"])
@pytest.mark.parametrize("tokens", [60, 600])
def test_it_is_never_longer_than_it_may_be(number: int, description: str, tokens: int) -> None:
    text = skills_index(skills(number, description), tokens)
    assert len(text.encode()) <= 3 * tokens
    shown = text.count("\n- ")
    assert (f"({number - shown} more: find_skills)" in text) == (shown < number)
