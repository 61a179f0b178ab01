"""Session keys as they are read: what is left out around them, what they may not contain."""

import pytest

from nanobot.core.errors import BadSessionKey
from nanobot.core.session_keys import parse_key


@pytest.mark.parametrize("raw", ["a", " a", "a  ", "\ta\t", "\u00a0a", "a\u3000"])
def test_white_space_around_a_key_is_no_part_of_it(raw: str) -> None:
    assert parse_key(raw) == "a"


@pytest.mark.parametrize(
    "control", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\x00", "\x7f", "\x9f"]
)
@pytest.mark.parametrize("place", ["{}a", "a{}", "a{}b", " {}a", "a {} "])
def test_a_control_character_is_refused_wherever_it_stands(control: str, place: str) -> None:
    """`str.strip` takes most of them for white space: two keys would become one."""
    with pytest.raises(BadSessionKey, match=r"control character U\+"):
        parse_key(place.format(control))
