"""Positions in files lead from a text to where it goes on, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.extent import (
    START,
    WHOLE,
    Extent,
    Mark,
    Position,
    described,
    offset_of,
    position_at,
    wanted,
)

PAGES = "[page 1]\none\ntwo\n\n[page 2]\nthree\n\n[page 3]\n\n[page 4]\nfour"
OF_PAGES = Extent(
    "page", {"page": 4}, marks=tuple(Mark(PAGES.index(f"[page {n}]"), n, 0) for n in (1, 2, 3, 4))
)
SHEET = "[sheet 1: Costs]\n|  | A |\n|---|---|\n| 1 | a |\n| 2 | b |\n| 9 | c |\n"
OF_SHEET = Extent(
    "sheet",
    {"sheet": 1, "row": 9},
    {1: "Costs"},
    (Mark(0, 1, 0), Mark(SHEET.index("| 1"), 1, 1), Mark(SHEET.index("| 9"), 1, 9)),
)


@pytest.mark.parametrize(
    ("at", "position"),
    [
        ("[page 1]", Position(1)),
        ("one", Position(1)),
        ("two", Position(1, 2)),
        ("wo", Position(1, 2, 2)),
        ("[page 2]", Position(2)),
        ("[page 3]", Position(3)),
        ("four", Position(4)),
    ],
)
def test_a_place_in_pages_is_a_page_and_a_line(at: str, position: Position) -> None:
    assert position_at(OF_PAGES, PAGES, PAGES.index(at)) == position


@pytest.mark.parametrize(
    ("at", "row"), [("[sheet", 1), ("|  |", 1), ("|---", 1), ("| 1", 1), ("| 2", 2), ("| 9", 9)]
)
def test_a_place_in_a_sheet_is_its_row_and_nothing_above_the_rows_skips_one(at: str, row: int) -> None:
    assert position_at(OF_SHEET, SHEET, SHEET.index(at)) == Position(1, row)


@pytest.mark.parametrize(
    ("position", "at"),
    [
        (START, "[page 1]"),
        (Position(1, 2), "two"),
        (Position(2), "[page 2]"),
        (Position(4, 1, 3), "ur"),
        # What is not there leads to what follows.
        (Position(1, 90), "[page 2]"),
    ],
)
def test_a_position_leads_back_to_its_place(position: Position, at: str) -> None:
    assert offset_of(OF_PAGES, PAGES, position) == PAGES.index(at)


def test_a_row_that_is_empty_leads_to_the_next_one() -> None:
    assert offset_of(OF_SHEET, SHEET, Position(1, 5)) == SHEET.index("| 9")


@pytest.mark.parametrize("position", [Position(5), Position(4, 9), Position(9, 9, 9)])
def test_what_the_text_does_not_have_has_no_place(position: Position) -> None:
    assert offset_of(OF_PAGES, PAGES, position) is None


def test_what_lies_behind_the_cut_is_not_shown() -> None:
    cut = Extent("page", {"page": 9}, marks=OF_PAGES.marks, cut=Position(4, 1, 5))
    assert offset_of(cut, PAGES, Position(4)) is not None
    assert offset_of(cut, PAGES, Position(4, 1, 5)) is None
    assert offset_of(cut, PAGES, Position(5)) is None


@given(st.text("ab\n", max_size=40), st.data())
def test_every_place_of_a_plain_text_is_led_back_to(text: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(text)))
    assert offset_of(WHOLE, text, position_at(WHOLE, text, offset)) == offset


@pytest.mark.parametrize(
    ("extent", "position", "words", "call"),
    [
        (OF_PAGES, Position(3), "page 3 of 4", "page 3"),
        (OF_PAGES, Position(3, 12), "page 3 of 4, line 12", "page 3 line 12"),
        (OF_SHEET, Position(1, 812), "sheet 1 of 1 'Costs', row 812 of 9", "sheet 1 row 812"),
        (
            Extent("line", {"line": 20_000}),
            Position(1, 1_200, 7),
            "line 1,200 of 20,000, character 7",
            "line 1200 character 7",
        ),
    ],
)
def test_a_position_is_told_in_words(extent: Extent, position: Position, words: str, call: str) -> None:
    assert described(extent, position) == words
    assert wanted(extent.unit, position) == call
