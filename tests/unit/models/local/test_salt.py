"""Prompts of two sessions have no more in common than what the server says to all."""

import re

import pytest

from nanobot.core.message import Usage, user
from nanobot.models.local.salt import (
    BEHIND,
    LABEL,
    LENGTH,
    MEASURES,
    salt_of,
    salted_question,
    salted_system,
    without_luck,
)

SHARED = "You are kind."


def test_a_salt_is_of_letters_and_of_one_session() -> None:
    salts = {salt_of(f"session {number}") for number in range(1_000)}
    assert len(salts) == 1_000
    assert all(re.fullmatch(rf"[a-z]{{{LENGTH}}}", salt) for salt in salts)
    assert salt_of("a") == salt_of("a")


def test_a_request_of_no_session_has_none() -> None:
    assert salt_of("") == ""
    assert salted_system(f"{SHARED}\n\nBe brief.", SHARED, "") == f"{SHARED}\n\nBe brief."
    assert salted_question(user("hi"), "") == user("hi")


def test_it_stands_behind_what_is_shared_and_before_instructions() -> None:
    assert salted_system(SHARED, SHARED, "xyz") == f"{SHARED}\n\n{LABEL}\nxyz"
    assert salted_system(f"{SHARED}\n\nBe brief.", SHARED, "xyz") == f"{SHARED}\n\n{LABEL}\nxyz\n\nBe brief."


def test_it_stands_in_front_of_a_prompt_that_is_not_shared() -> None:
    assert salted_system("Be brief.", SHARED, "xyz") == f"xyz\n{BEHIND}\n\nBe brief."
    assert salted_system("Be brief.", "", "xyz") == f"xyz\n{BEHIND}\n\nBe brief."
    assert salted_system("", SHARED, "xyz") == "xyz"


def test_it_stands_before_the_words_of_a_question() -> None:
    assert salted_question(user("What time is it?"), "xyz") == user("xyz\nWhat time is it?")


def test_the_two_that_measure_have_no_beginning_in_common() -> None:
    one, other = MEASURES
    assert one[0] != other[0]


@pytest.mark.parametrize(
    ("cached", "told"), [(0, 0), (90, 90), (100, 100), (101, 100), (114, 100), (115, 115), (900, 900)]
)
def test_tokens_that_salts_have_in_common_by_chance_are_not_told(cached: int, told: int) -> None:
    assert without_luck(Usage(1_000, 5, cached), 100) == Usage(1_000, 5, told)
