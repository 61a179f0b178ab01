"""RTF is read in any code page, with its tables, notes and links."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.extraction import extract
from nanobot.reading.messages import ExtractionRequest
from tests.unit.reading.formats.reading import text_of


def rtf(body: str, head: str = "\\ansi\\ansicpg1252") -> bytes:
    return f"{{\\rtf1{head} {body}}}".encode("latin-1")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("Gr\\'fc\\'dfe\\par second", "Grüße\nsecond"),
        ("\\u20320?\\u22909?", "你好"),
        ("{\\uc2\\u8364ab} c", "€ c"),
        ("\\u-10179?\\u-8703?", "\U0001f601"),
        ("a\\tab b\\line c\\emdash\\~d\\_e\\{\\}\\\\", "a\tb\nc— d-e{}\\"),
        ("10{\\super 6} H{\\sub 2}O", "10^6 H_2O"),
        ("{\\v secret} seen {\\deleted gone}", "[hidden: secret] seen"),
        ("word{\\footnote A note.} goes on", "word [note: A note.] goes on"),
        ("{\\*\\unknown lost}{\\info{\\author Ann}}kept", "kept"),
        ("{\\pict\\bin4 }}}}}after", "[picture]after"),
        (
            '{\\field{\\*\\fldinst HYPERLINK "http://x.org/a"}{\\fldrslt our page}}',
            "[our page](http://x.org/a)",
        ),
        ("now {\\strike 1}{\\strike 00}\\striked1  old\\striked0  50", "now ~~100 old~~ 50"),
        ("{\\header Page top\\par}text", "[header: Page top]\ntext"),
    ],
)
def test_a_piece_of_rtf_is_read(body: str, text: str) -> None:
    assert text_of(rtf(body)) == text


def test_bytes_are_of_the_code_page_of_their_font() -> None:
    fonts = "{\\fonttbl{\\f0\\fcharset204 Arial;}{\\f1\\fcharset134 SimSun;}}"
    body = f"{fonts}\\f0 \\'cf\\'f0\\'e8 {{\\f1 \\'c4\\'e3\\'ba\\'c3}}\\'e2"
    assert text_of(rtf(body)) == "При 你好в"


def test_a_table_is_one() -> None:
    row = "\\trowd\\cellx1000\\cellx2000\\intbl {}\\cell {}\\cell\\row"
    body = f"before\\par {row.format('a', 'b|')}{row.format('', '1')}\\pard after"
    assert text_of(rtf(body)) == "before\n\n| a | b\\| |\n|---|---|\n|  | 1 |\n\nafter"


def test_the_rows_of_a_table_in_a_cell_are_lines_of_that_cell() -> None:
    inner = "{\\*\\nesttableprops\\trowd\\nestrow}"
    body = "\\trowd\\intbl a\\cell b\\cell\\row\\trowd\\intbl c\\par\\itap2 1\\nestcell 2\\nestcell" + inner
    body += "3\\nestcell 4\\nestcell" + inner + "\\itap1\\cell d\\cell\\row\\pard after"
    assert text_of(rtf(body)).lstrip() == "| a | b |\n|---|---|\n| c<br>1 / 2<br>3 / 4 | d |\n\nafter"


@given(
    st.lists(
        st.sampled_from(
            ["{", "}", "\\par ", "\\u", "\\u-1", "\\'", "\\'ff", "\\bin9 ", "\\bin-5 ", "\\*", "\\f1 ",
            "\\fcharset999 ",
             "\\ansicpg99999 ", "\\uc99 ", "\\cell ", "\\row ", "\\footnote ", "\\fldinst ", "\\v ",
             "text", "\\", "\xff"]
        ),
        max_size=40,
    )
)  # fmt: skip
def test_any_rtf_is_read_or_refused(pieces: list[str]) -> None:
    extract(ExtractionRequest("rtf", DocumentBounds()), rtf("".join(pieces)))
