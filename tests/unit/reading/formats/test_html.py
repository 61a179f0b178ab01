"""A page is Markdown: tables with their columns, code with its lines, links with their targets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import files
from tests.unit.reading.formats.reading import extracted, text_of


def body_of(html: str) -> str:
    return text_of(f"<!doctype html><body>{html}".encode())


def test_a_table_keeps_its_columns_where_cells_are_empty_and_not_closed() -> None:
    assert body_of("<table><tr><td>Name<td>Q1<td>Q2<tr><td>Alice<td></td><td>5</table>") == (
        "| Name | Q1 | Q2 |\n|---|---|---|\n| Alice |  | 5 |"
    )


def test_cells_that_span_columns_and_rows_leave_these_empty() -> None:
    html = (
        "<table><tr><th rowspan=2>A<th colspan=2>B<th>C<tr><td>1<td>2<td>3"
        "<tr><td>x<td colspan=3>y<br>z|</table>"
    )
    assert body_of(html) == ("| A | B |  | C |\n|---|---|---|---|\n|  | 1 | 2 | 3 |\n| x | y<br>z\\| |  |  |")


@pytest.mark.parametrize("spans", ["colspan=99999999 rowspan=99999999", "colspan=0 rowspan=-5", "colspan=x"])
def test_spans_that_cannot_be_are_bounded(spans: str) -> None:
    assert "end" in body_of(f"<table><tr><td {spans}>a<td>b<tr><td>c<td>d</table>end")


def test_a_table_that_lays_out_a_page_is_none() -> None:
    assert body_of("<table><tr><td><table><tr><td>a<td>b</table><td><p>text</table>") == (
        "| a | b |\n|---|---|\n\ntext"
    )


def test_a_formula_keeps_its_structure() -> None:
    html = (
        "y = <math><mfrac><mi>a</mi><mrow><mi>b</mi><mo>&lt;</mo><mn>2</mn></mrow></mfrac>"
        "<msup><mi>x</mi><mn>2</mn></msup></math> m"
    )
    assert body_of(html) == "y = a/(b<2)x^2 m"


def test_what_belongs_to_a_script_or_a_reading_stays_apart_from_what_follows() -> None:
    html = "x<sup>n+1</sup>y 10<sup>-3</sup> 10<sup>6</sup> <ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby>"
    assert body_of(html) == "x^(n+1)y 10^(-3) 10^6 漢(かん)"


def test_a_drawing_shows_its_words_and_gives_the_page_no_title() -> None:
    html = "a<svg aria-label=Sales><title>Sales</title><text>Q1</text><text>5</text></svg><svg><path/></svg>b"
    assert body_of(html) == "a [picture: Sales, Q1, 5] b"


def test_code_keeps_its_lines_and_indents() -> None:
    assert body_of("<p>see<pre>\ndef f():\n    return 1\n</pre>done") == (
        "see\n\n```\ndef f():\n    return 1\n```\n\ndone"
    )


def test_lists_show_their_numbers_and_depth() -> None:
    html = "<ol start=3><li>three<ul><li>inner</ul><li value=9>nine</ol><ol type=a><li>x</ol>"
    assert body_of(html) == "3. three\n   - inner\n9. nine\n\na. x"


def test_headings_links_pictures_quotes_and_scripts_are_marked() -> None:
    html = (
        '<h2>To<b>day</b></h2><p>see <a href="https://x.org/a">our page</a>,'
        ' <a href="https://x.org">x.org</a>,'
        ' <a href="#top">top</a>, <a href="javascript:x()">run</a> <img src=a.png alt="a cat">'
        '<img src=b alt="">'
        " 10<sup>6</sup> H<sub>2</sub>O <del>old</del><blockquote>said</blockquote>"
    )
    assert body_of(html) == (
        "## Today\n\nsee [our page](https://x.org/a), x.org, top, run [picture: a cat] 10^6 H_2O ~~old~~"
        "\n\n> said"
    )


def test_what_is_hidden_is_marked_and_what_is_no_text_left_out() -> None:
    html = (
        "<p>a <span hidden>b <i>c</i></span> d<div style='display: none'><p>e</div><script>f()</script>"
        "<style>g{}</style><template>h</template>"
    )
    assert body_of(html) == "a [hidden: b c] d\n\n[hidden: e]"


def test_values_of_forms_are_shown_and_passwords_not() -> None:
    html = (
        "Name <input value=Ann><input type=password value=secret><input type=checkbox checked> yes"
        "<select><option>A<option selected>B</select><textarea>hi\nthere</textarea>"
    )
    assert body_of(html) == "Name Ann [x] yes [chosen: B] hi there"


def test_a_picture_in_the_page_itself_is_kept_for_a_model_that_sees() -> None:
    import base64

    source = base64.b64encode(files.PNG).decode()
    page = f'<html><body><p>x<img alt="dot" src="data:image/png;base64,{source}">'.encode()
    read = extracted(page, wants_pictures=True)
    assert read.text == "x[picture 1: dot]"
    assert read.pictures[0].content == files.PNG


@pytest.mark.parametrize(
    "opened", ["<div>", "<table><tr><td>", "<ul><li>", "<a href=x>", "<span hidden>", "<pre>", "<blockquote>"]
)
def test_deep_nesting_is_no_danger(opened: str) -> None:
    assert "deep" in body_of(opened * 1_500 + "deep")


@given(
    st.lists(
        st.sampled_from(
            ["<table>", "<tr>", "<td colspan=2>", "<td rowspan=3>", "</table>", "<ol type=i>", "<li>",
            "</ol>",
             "<pre>", "</pre>", "<p hidden>", "</p>", "<a href=x>", "</a>", "<h1>", "</h1>", "word ", "\n",
             "<br>",
             "<dd>", "<select>", "<option>", "<sup>", "</sup>", "<blockquote>", "&amp;", "<!--", "-->",
             "<title>"]
        ),
        max_size=30,
    )
)  # fmt: skip
def test_any_page_is_read(pieces: list[str]) -> None:
    assert "end" in body_of("".join(pieces) + "--></title></select></textarea><p>end")


@pytest.mark.parametrize(
    ("style", "shown"),
    [
        ("vertical-align: super", "10^6 m"),
        ("vertical-align:30%;color:red", "10^6 m"),
        ("vertical-align: -0.2em", "10_6 m"),
        ("font-size:.6em; position:relative; top:-0.33em; vertical-align:baseline", "10^6 m"),
        ("font-size:.6em; position:relative; bottom:-0.2em", "10_6 m"),
        ("text-decoration: line-through", "10~~6~~ m"),
        ("vertical-align: baseline; text-decoration: none", "106 m"),
    ],
)
def test_what_a_style_raises_or_strikes_through_is_marked(style: str, shown: str) -> None:
    assert text_of(f'<html><body>10<span style="{style}">6</span> m</body></html>'.encode()) == shown
    sheet = f"/* x */ b, span.x , i.y {{ {style} }}"
    page = f'<html><head><style>{sheet}</style></head><body>10<span class="a x">6</span> m</body></html>'
    assert text_of(page.encode()) == shown
