"""The buffer cuts where it is full, says where, and begins where it is asked to."""

from typing import SupportsIndex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.extent import START, Position
from nanobot.reading.messages import ExtractedText, Unreadable
from nanobot.reading.pictures import Pictures
from nanobot.reading.text_buffer import TextBuffer
from tests.files import PNG


def pages(buffer: TextBuffer, *, count: int = 5, lines: int = 3) -> ExtractedText:
    buffer.total("page", count)
    for number in range(1, count + 1):
        if buffer.begin("page", number):
            for line in range(1, lines + 1):
                buffer.write_line(f"{number}.{line}")
    return buffer.extracted()


def sheets(buffer: TextBuffer, rows: tuple[int, ...] = (1, 2, 5, 6, 40)) -> ExtractedText:
    for number, title in enumerate(("Costs", "Notes"), 1):
        if not buffer.begin("sheet", number, title, hidden=number == 2):
            continue
        buffer.total("row", 40)
        buffer.write_line("|row| A |")
        buffer.write_line("|---|---|")
        for row in rows:
            if buffer.row(row):
                buffer.write_line(f"| {row} | {title[0]}{row} |")
    return buffer.extracted()


def text(buffer: TextBuffer, *lines: str) -> ExtractedText:
    for line in lines:
        buffer.write_line(line)
    buffer.end()
    return buffer.extracted()


def test_a_file_that_fits_is_whole() -> None:
    whole = pages(TextBuffer(1_000), count=2)
    assert whole.text == "[page 1]\n1.1\n1.2\n1.3\n\n[page 2]\n2.1\n2.2\n2.3"
    assert whole.extent.cut is None and whole.extent.totals == {"page": 2}


def test_a_title_and_what_is_hidden_stand_in_the_marker() -> None:
    whole = sheets(TextBuffer(1_000)).text
    assert "[sheet 1: Costs]\n" in whole and "[sheet 2: Notes, hidden]\n" in whole


def test_a_marker_is_one_line_whatever_the_title_is() -> None:
    buffer = TextBuffer(1_000)
    buffer.begin("sheet", 1, "a\n[sheet 9]\n" + "x" * 500)
    buffer.write("1")
    marker, line = buffer.extracted().text.splitlines()
    assert marker.startswith("[sheet 1: a (sheet 9) x") and marker.count("]") == 1 and len(marker) < 130
    assert line == "1"


@given(st.integers(1, 120))
def test_reading_on_from_the_cut_shows_every_line_once(most: int) -> None:
    """Whatever the size of the pieces."""
    seen, start, rounds = "", START, 0
    while True:
        piece = pages(TextBuffer(most + 12, start=start))
        seen += "".join(line for line in piece.text.splitlines() if not line.startswith("["))
        if piece.extent.cut is None:
            break
        assert (piece.extent.cut.number, piece.extent.cut.line, piece.extent.cut.character) > (
            start.number,
            start.line,
            start.character,
        )
        start, rounds = piece.extent.cut, rounds + 1
    assert seen == "".join(f"{page}.{line}" for page in range(1, 6) for line in range(1, 4))


@given(st.integers(80, 300))
def test_reading_on_in_a_workbook_shows_every_row_once(most: int) -> None:
    seen: list[str] = []
    start = START
    while True:
        piece = sheets(TextBuffer(most, start=start))
        seen += [line for line in piece.text.splitlines() if line.startswith("| ")]
        if piece.extent.cut is None:
            break
        start = piece.extent.cut
    assert seen == [f"| {row} | {title}{row} |" for title in "CN" for row in (1, 2, 5, 6, 40)]


@given(st.integers(1, 60), st.lists(st.text("abc ", max_size=30), min_size=1, max_size=9))
def test_reading_on_in_a_plain_text_loses_nothing(most: int, lines: list[str]) -> None:
    whole = "".join(line + "\n" for line in lines)
    seen, start = "", START
    while True:
        buffer = TextBuffer(most, start=start, is_verbatim=True)
        piece = text(buffer, *lines)
        seen += piece.text
        if piece.extent.cut is None:
            break
        start = piece.extent.cut
    assert "".join(seen.split()) == "".join(whole.split())


def test_the_lines_behind_the_cut_are_counted() -> None:
    cut = text(TextBuffer(25, is_verbatim=True), *(f"line {number}" for number in range(1, 101)))
    assert cut.text == "line 1\nline 2\nline 3\n"
    assert cut.extent.cut == Position(1, 4) and cut.extent.totals == {"line": 100}


def test_a_line_that_alone_is_too_long_is_cut_in_itself() -> None:
    cut = text(TextBuffer(10), "x" * 30)
    assert cut.text == "x" * 10 and cut.extent.cut == Position(1, 1, 11)


def test_what_lies_before_the_start_need_not_be_read() -> None:
    buffer = TextBuffer(1_000, start=Position(3, 2))
    assert [buffer.begin("page", number) for number in (1, 2, 3)] == [False, False, True]
    buffer.write("first\nsecond\n")
    assert buffer.extracted().text == "[page 3]\nsecond"
    buffer = TextBuffer(20, start=Position(1, 5))
    buffer.begin("sheet", 1)
    assert [buffer.row(row) for row in (4, 5, 6)] == [False, True, True]


def test_a_full_buffer_lets_the_reader_stop() -> None:
    buffer = TextBuffer(14)
    assert buffer.begin("page", 1) and buffer.write("1234")
    assert not buffer.write("567") and buffer.is_full
    assert not buffer.begin("page", 2) and not buffer.row(1) and not buffer.note("more")


def test_a_start_behind_the_end_shows_nothing_but_how_much_there_is() -> None:
    behind = pages(TextBuffer(100, start=Position(9)))
    assert behind.text == "" and behind.extent.totals == {"page": 5}


@pytest.mark.parametrize("words", ["", " \n\t ", "\0"])
def test_a_file_without_words_is_unreadable(words: str) -> None:
    buffer = TextBuffer(100)
    buffer.begin("page", 1)
    buffer.write(words)
    with pytest.raises(Unreadable, match="no text"):
        buffer.extracted()


def test_an_empty_text_file_is_an_empty_text() -> None:
    assert text(TextBuffer(100, is_verbatim=True)).text == ""


def test_halves_of_surrogate_pairs_and_null_characters_do_no_harm() -> None:
    assert text(TextBuffer(100), "a\ud800b\0c").text == "a?bc"


# Pictures -----------------------------------------------------------------------------------------


def test_a_picture_is_kept_where_the_model_sees_and_else_named() -> None:
    seeing, blind = TextBuffer(100, pictures=Pictures(8, 1_000)), TextBuffer(100)
    for buffer, shown in ((seeing, "[picture 1: a cat]"), (blind, "[picture: a cat]")):
        buffer.write_line(buffer.picture(PNG, "a\ncat"))
        assert buffer.extracted().text == shown
    assert [picture.media_type for picture in seeing.extracted().pictures] == ["image/png"]
    assert blind.extracted().pictures == ()


def test_pictures_are_kept_once_and_within_their_bounds() -> None:
    buffer = TextBuffer(1_000, pictures=Pictures(2, len(PNG) + 20))
    other = PNG[:8] + b"other"
    assert [
        buffer.picture(content)
        for content in (b"<svg/>", PNG, PNG, PNG + b"too large", other, PNG[:8] + b"3")
    ] == ["[picture]", "[picture 1]", "[picture 1]", "[picture]", "[picture 2]", "[picture]"]


def test_a_picture_that_is_not_wanted_is_not_made() -> None:
    def fail() -> bytes:
        raise AssertionError("it was made")

    blind = TextBuffer(100)
    assert blind.picture(fail, "x") == "[picture: x]"
    assert blind.page_picture(fail)
    later = TextBuffer(100, start=Position(2), pictures=Pictures(8, 1_000))
    later.begin("page", 1)
    assert later.picture(fail) == "[picture]"


def test_a_picture_that_is_damaged_costs_nothing_but_itself() -> None:
    def fail() -> bytes:
        raise ValueError("damaged")

    buffer = TextBuffer(100, pictures=Pictures(8, 1_000))
    assert buffer.picture(fail, "x") == "[picture: x]"


def test_a_page_without_text_is_a_picture_or_said_to_be_one() -> None:
    for pictures, words in ((Pictures(8, 1_000), "picture 1"), (Pictures(0, 0), "as of a scan")):
        buffer = TextBuffer(200, pictures=pictures)
        buffer.begin("page", 1)
        buffer.page_picture(lambda: PNG)
        assert words in buffer.extracted().text


class Counted(str):
    """A text that counts how many of its characters are copied."""

    copied = 0

    def __getitem__(self, index: SupportsIndex | slice) -> "Counted":
        part = Counted(super().__getitem__(index))
        Counted.copied += len(part)
        return part


@pytest.mark.parametrize("start", [Position(1, 1_900), Position(1, 1_900, 5), Position(2, 2)])
def test_what_lies_before_the_start_is_passed_over_once(start: Position) -> None:
    text = Counted("".join(f"line {number}\n" for number in range(1, 2_001)))
    Counted.copied = 0
    buffer = TextBuffer(1_000_000, start=start)
    buffer.write(text)
    assert Counted.copied < 3 * len(text)
    if start.number == 1:
        assert buffer.extracted().text.startswith("line 1900"[start.character - 1 :])
