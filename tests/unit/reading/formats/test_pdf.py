"""A PDF says what people see on its pages, in the order in which they read it."""

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanobot.reading.formats.pdf_pictures import png
from nanobot.reading.kinds import image_type
from tests import files, pdfs
from tests.unit.reading.formats.reading import extracted, text_of

_FORM = "/AcroForm << /Fields [10 0 R] /DR << /Font << /F1 3 0 R >> >> /DA (/F1 10 Tf 0 g) >>"


def lines_of(content: bytes) -> list[str]:
    return text_of(content).split("\n")


def test_words_are_apart_where_there_is_a_gap_and_no_space() -> None:
    drawn = "BT /F1 10 Tf 72 700 Td [(Think) -300 (of) -300 (it)] TJ ET"
    assert text_of(pdfs.page(drawn)) == "[page 1]\nThink of it"


def test_letters_that_are_drawn_one_by_one_are_words() -> None:
    letters = [pdfs.at(72 + 6 * number, 700, letter) for number, letter in enumerate("names")]
    assert text_of(pdfs.page(*letters)) == "[page 1]\nnames"


def test_rows_without_lines_around_them_are_a_table_with_its_empty_cells() -> None:
    rows = [("Name", "Q1", "Q2"), ("Ann", "", "7"), ("Bob", "5", "8")]
    drawn = [
        pdfs.at(72 + 120 * column, 700 - 14 * row, text)
        for row, cells in enumerate(rows)
        for column, text in enumerate(cells)
        if text
    ]
    assert lines_of(pdfs.page(*drawn))[1:] == [
        "| Name | Q1 | Q2 |",
        "|---|---|---|",
        "| Ann |  | 7 |",
        "| Bob | 5 | 8 |",
    ]


def test_cells_with_lines_around_them_keep_the_lines_of_their_text_together() -> None:
    drawn = [pdfs.line(60, y, 300, y) for y in (720, 700, 660)]
    drawn += [pdfs.line(x, 660, x, 720) for x in (60, 180, 300)]
    drawn += [pdfs.at(65, 706, "what"), pdfs.at(185, 706, "price"), pdfs.at(65, 688, "green")]
    drawn += [pdfs.at(65, 674, "tea"), pdfs.at(185, 688, "2.50")]
    assert [line for line in lines_of(pdfs.page(*drawn))[1:] if line] == [
        "| what | price |",
        "|---|---|",
        "| green tea | 2.50 |",
    ]


def test_a_page_in_two_columns_is_read_one_column_after_the_other() -> None:
    left = [f"the left column has a line number {number} here" for number in range(8)]
    right = [f"and the right one has the line number {number} too" for number in range(8)]
    drawn = [pdfs.at(50, 700 - 12 * row, text) for row, text in enumerate(left)]
    drawn += [pdfs.at(330, 700 - 12 * row, text) for row, text in enumerate(right)]
    text = text_of(pdfs.page(pdfs.at(50, 740, "A title over both of the columns", 16), *drawn))
    assert "# A title over both of the columns" in text
    assert text.index(left[-1]) < text.index(right[0])
    assert " | " not in text


def test_a_larger_line_is_a_heading_and_a_raised_number_an_exponent() -> None:
    drawn = [pdfs.at(72, 740, "Results", 18), pdfs.at(72, 700, "about 10"), pdfs.at(110, 704, "6", 6)]
    text = text_of(pdfs.page(*drawn, pdfs.at(72, 680, "more text that is as small as most of it")))
    assert "# Results" in text
    assert "about 10^6" in text


def test_text_that_is_turned_is_read_along_its_lines() -> None:
    drawn = [pdfs.at(100, 100, "first line", turned=True), pdfs.at(114, 100, "second line", turned=True)]
    assert lines_of(pdfs.page(*drawn))[1:] == ["first line", "second line"]


def test_the_value_of_a_field_is_shown_even_if_nobody_drew_it() -> None:
    field = (
        "<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (Ann Miller) /Rect [150 695 300 710]"
        " /F 4 /DA (/F1 10 Tf 0 g) >>"
    )
    content = pdfs.page(pdfs.at(72, 700, "Name:"), annotations=[field], catalog=_FORM)
    assert "Ann Miller" in text_of(content)


@pytest.mark.parametrize(("state", "sign"), [("Yes", "[x]"), ("Off", "[ ]")])
def test_a_check_box_says_whether_it_is_checked(state: str, sign: str) -> None:
    field = (
        f"<< /Type /Annot /Subtype /Widget /FT /Btn /T (ok) /V /{state} /AS /{state} /F 4"
        " /Rect [120 698 130 708] /AP << /N << /Yes 11 0 R /Off 12 0 R >> >> >>"
    )
    form = pdfs.stream(b"", "/Type /XObject /Subtype /Form /BBox [0 0 10 10]")
    content = pdfs.page(pdfs.at(72, 700, "Agreed"), annotations=[field], more=[form, form], catalog=_FORM)
    assert sign in text_of(content)


def test_a_password_that_is_in_a_form_is_not_shown() -> None:
    field = (
        "<< /Type /Annot /Subtype /Widget /FT /Tx /Ff 8192 /T (pin) /V (4711) /Rect [150 695 300 710] /F 4 >>"
    )
    assert "4711" not in text_of(pdfs.page(pdfs.at(72, 700, "PIN:"), annotations=[field], catalog=_FORM))


def test_a_comment_stands_behind_the_line_that_it_is_on() -> None:
    note = "<< /Type /Annot /Subtype /Text /Rect [200 698 220 718] /Contents (wrong) /T (Ann) >>"
    content = pdfs.page(pdfs.at(72, 700, "The price is 5."), pdfs.at(72, 600, "The end."), annotations=[note])
    assert "The price is 5. [comment by Ann: wrong]" in text_of(content)


def test_a_link_says_where_it_leads_unless_its_text_does() -> None:
    def link(y: int, url: str) -> str:
        return (
            f"<< /Type /Annot /Subtype /Link /Rect [70 {y - 3} 200 {y + 10}] /A << /S /URI /URI ({url}) >> >>"
        )

    content = pdfs.page(
        pdfs.at(72, 700, "our page"),
        pdfs.at(72, 600, "example.org"),
        annotations=[link(700, "https://example.org/x"), link(600, "https://example.org/")],
    )
    assert lines_of(content)[1:] == ["[our page](https://example.org/x)", "", "example.org"]


def test_a_page_says_what_it_calls_itself() -> None:
    labels = "/PageLabels << /Nums [0 << /S /r /St 4 >>] >>"
    assert lines_of(pdfs.page(pdfs.at(72, 700, "preface"), catalog=labels))[0] == "[page 1: iv]"


def test_a_page_without_text_is_a_picture_where_the_model_sees_and_else_says_so() -> None:
    content = pdfs.page("0.5 g 100 100 300 300 re f")
    seen = extracted(content, wants_pictures=True)
    assert [picture.media_type for picture in seen.pictures] == ["image/png"]
    assert "[picture 1" in seen.text
    assert "no text" in extracted(content).text


def test_a_scan_among_other_pages_does_not_hide_them() -> None:
    assert "Invoice" in text_of(files.pdf("Invoice 4711", pages=2))


def test_a_font_that_does_not_say_what_it_shows_is_said_to_be_unreadable() -> None:
    # Numbers of signs where characters should be, in a font without names.
    font = "/Font << /F1 << /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /Identity-H /DescendantFonts"
    font += " [<< /Type /Font /Subtype /CIDFontType2 /BaseFont /X /CIDSystemInfo << /Registry (Adobe)"
    font += " /Ordering (Identity) /Supplement 0 >> >>] >> >>"
    drawn = "BT /F1 10 Tf 72 700 Td <00010002000300040005000600070008000900100011> Tj ET"
    text = text_of(pdfs.page(drawn, resources=font))
    assert "cannot be read" in text or "no text" in text


def test_a_damaged_table_of_objects_does_not_hide_the_text() -> None:
    content = files.pdf("Invoice 4711").replace(b"0000000009", b"0000009999")
    start = content.index(b"startxref")
    assert "Invoice 4711" in text_of(content[:start] + b"startxref\n7\n%%EOF\n")


def test_a_png_is_written_as_the_format_says() -> None:
    picture = png(2, 1, iter([b"\x01\x02\x03\x04\x05\x06"]))
    assert image_type(picture[:16]) == "image/png"
    start = picture.index(b"IDAT") + 4
    assert zlib.decompress(picture[start : picture.index(b"IEND") - 8]) == b"\0\x01\x02\x03\x04\x05\x06"


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 600), st.floats(0, 780), st.sampled_from(["a", "word", "12", "two words"]),
            st.floats(0.1, 40), st.booleans(),
        ),
        max_size=30,
    )
)  # fmt: skip
def test_a_page_is_read_wherever_its_words_stand(drawn: list[tuple[float, float, str, float, bool]]) -> None:
    content = pdfs.page(
        pdfs.at(10, 10, "begin"), *(pdfs.at(x, y, text, size, turned=t) for x, y, text, size, t in drawn)
    )
    assert "begin" in text_of(content)


def test_words_that_stand_askew_are_whole() -> None:
    drawn = "BT /F1 10 Tf 0.866 0.5 -0.5 0.866 200 300 Tm (summer mornings) Tj ET"
    assert text_of(pdfs.page(drawn)) == "[page 1]\nsummer mornings"


def test_lines_through_words_are_no_table() -> None:
    words = [pdfs.at(72, 700 - 14 * row, "several words that go on across the lines") for row in range(6)]
    lines = [pdfs.line(x, 600, x, 720) for x in (60, 103, 151, 203, 280)]
    lines += [pdfs.line(60, y, 280, y) for y in (600, 663, 720)]
    assert "|" not in text_of(pdfs.page(*words, *lines))


def test_letters_that_one_sign_shows_do_not_part_the_word() -> None:
    content = pdfs.page(pdfs.at(72, 700, "an o\\001er of \\002ne co\\001ee"))
    signs = b"/Encoding << /BaseEncoding /WinAnsiEncoding /Differences [1 /ff /fi] >>"
    signs += b"/FirstChar 1 /LastChar 122 /Widths [%b]" % b" ".join([b"600"] * 122)
    assert (
        text_of(content.replace(b"/Encoding /WinAnsiEncoding", signs)) == "[page 1]\nan offer of fine coffee"
    )


def test_letters_that_are_set_apart_are_the_words_that_they_spell() -> None:
    drawn = "BT /F1 12 Tf 3.2 Tc 72 700 Td (Quarterly report, all) Tj ET"
    assert text_of(pdfs.page(drawn)) == "[page 1]\nQuarterly report, all"


def test_letters_and_digits_that_stand_apart_for_themselves_stay_so() -> None:
    letters = "BT /F1 12 Tf 72 700 Td (A B C D E F G) Tj ET "
    digits = "".join(pdfs.at(72 + 11 * number, 600, str(number), 12) for number in range(8))
    assert text_of(pdfs.page(letters, digits)) == "[page 1]\nA B C D E F G\n\n0 1 2 3 4 5 6 7"
