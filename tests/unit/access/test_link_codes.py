"""Codes that link two accounts."""

import random
import re

import pytest

from nanobot.access.link_codes import digest_of_code, new_code


def test_codes_are_random_and_easy_to_read() -> None:
    randomness = random.Random(1)
    codes = {new_code(randomness) for _ in range(1_000)}
    assert len(codes) == 1_000
    assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}", code) for code in codes)
    assert {letter for code in codes for letter in code} == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ-")


@pytest.mark.parametrize("typed", ["70K1Q-04XTR", "70k1q-04xtr", " 7OKiQ 04 xtr ", "70KlQ04XTR"])
def test_a_code_is_known_however_it_is_typed(typed: str) -> None:
    assert digest_of_code(typed) == digest_of_code("70K1Q04XTR")


@pytest.mark.parametrize("other", ["", "70K1Q-04XTS", "70K1Q-04XT", "70K1Q-04XTRR", "\ud800"])
def test_another_code_is_another(other: str) -> None:
    assert digest_of_code(other) != digest_of_code("70K1Q-04XTR")
