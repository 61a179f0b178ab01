"""An XLS says what people see in its cells, as an XLSX does."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.reading.formats.biff import looks_of
from tests import xls
from tests.unit.reading.formats.reading import rows_of, text_of

FORMATS = ("0%", '#,##0.00 "€"', "0;(0)", "dd.mm.yyyy")
MONEY = [xls.number(0, at, value, at + 1) for at, value in enumerate((0.25, 1234.5, -3, 46086))]
BLANK = b"\x03\0\0\0\0\0\xff\xff"


@pytest.mark.parametrize("small", [False, True])
def test_numbers_are_shown_as_people_see_them(small: bool) -> None:
    book = xls.book({"Costs": [*MONEY, xls.number(0, 4, 7)]}, FORMATS, small=small)
    assert rows_of(text_of(book)) == ["| 1 | 25% | 1,234.50 € | (3) | 2026-03-05 | 7 |"]


def test_numbers_that_share_a_record_are_shown_each_in_its_format() -> None:
    packed = struct.pack("<HH" + "HI" * 2 + "H", 0, 1, 1, 25 << 2 | 3, 0, 7 << 2 | 2, 2)
    rows = rows_of(text_of(xls.book({"A": [xls.text(0, 0, "a"), xls.record(0x00BD, packed)]}, FORMATS)))
    assert rows == ["| 1 | a | 25% | 7 |"]


def test_hidden_rows_and_columns_and_struck_texts_are_marked_in_each_sheet() -> None:
    second = [
        xls.hidden_columns(1, 1), xls.hidden_row(1), xls.text(0, 0, "gone", 1), xls.number(1, 0, 0.5, 1),
        xls.text(1, 1, "b"),
    ]  # fmt: skip
    text = text_of(xls.book({"First": [xls.number(0, 0, 1)], "Second": second}, FORMATS, struck=True))
    first, _, rest = text.partition("[sheet 2")
    assert rows_of(first) == ["| 1 | 1 |"]
    assert "B (hidden)" in rest
    assert rows_of(rest) == ["| 1 | ~~gone~~ |  |", "| 2 (hidden) | ~~50%~~ | b |"]


def test_errors_are_values() -> None:
    failed = xls.formula(1, 0, b"\x02\0\x07\0\0\0\xff\xff")
    book = xls.book({"A": [xls.error(0, 0, 0x2A), failed, xls.number(2, 0, 1)]})
    assert rows_of(text_of(book)) == ["| 1 | #N/A |", "| 2 | #DIV/0! |", "| 3 | 1 |"]


def test_a_workbook_whose_formulas_nobody_computed_says_so() -> None:
    book = xls.book({"A": [xls.formula(0, 0, BLANK), xls.number(1, 0, 1)]})
    assert rows_of(text_of(book)) == ["| 1 | [a formula that was not computed] |", "| 2 | 1 |"]


def test_an_empty_text_is_a_result_where_others_were_computed() -> None:
    computed = xls.formula(1, 0, struct.pack("<d", 7))
    assert rows_of(text_of(xls.book({"A": [xls.formula(0, 0, BLANK), computed]}))) == ["| 2 | 7 |"]


def test_a_time_beyond_all_clocks_leaves_the_other_sheets_readable() -> None:
    text = text_of(xls.book({"A": [xls.number(0, 0, 123456789012, 5)], "B": MONEY}, (*FORMATS, "[h]:mm:ss")))
    assert "[this sheet cannot be read" in text
    assert "1,234.50 €" in text


@given(st.binary(max_size=40), st.integers(0, 6_000))
def test_whatever_is_damaged_looks_plain(noise: bytes, place: int) -> None:
    content = xls.book({"A": MONEY, "B": MONEY}, FORMATS)
    place %= len(content)
    looks_of(content[:place] + noise + content[place + len(noise) :])


@pytest.mark.parametrize("content", [b"", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600])
def test_what_is_no_xls_has_no_looks(content: bytes) -> None:
    assert looks_of(content) == []
