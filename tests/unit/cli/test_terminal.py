from hypothesis import given
from hypothesis import strategies as st

from nanobot.cli.terminal import neutral, one_line, size


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_control_character_but_tab_and_line_feed_is_left(text: str) -> None:
    left = neutral(text)
    assert not [
        character
        for character in left
        if (ord(character) < 32 and character not in "\t\n") or 127 <= ord(character) < 160
    ]


def test_an_escape_sequence_is_shown_as_a_picture_and_ordinary_text_as_it_is() -> None:
    assert neutral("\x1b]0;owned\x07 grün 你好 🎉\r\n\x9b31m") == "␛]0;owned␇ grün 你好 🎉\n�31m"


def test_one_line_has_no_line_break_left() -> None:
    assert one_line("first\n  second\t\x1bthird\r\n") == "first second ␛third"


def test_sizes_are_told_in_the_unit_that_fits() -> None:
    assert [size(count) for count in (0, 999, 1000, 98_362_432, 1_117_320_768)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "98.4 MB",
        "1.12 GB",
    ]
