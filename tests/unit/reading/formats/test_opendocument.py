"""Of an ODT or ODP the model sees all that is shown."""

import pytest

from nanobot.reading.messages import ExtractedText
from tests import files
from tests.office_files import extraction, odf_part, odt, opendocument, refusal, text_of

LISTS = (
    '<text:list-style style:name="L"><text:list-level-style-number text:level="1" style:num-format="1"'
    ' style:num-suffix="."/><text:list-level-style-number text:level="2" style:num-format="a"'
    ' style:num-suffix=")" text:display-levels="2"/></text:list-style>'
    '<text:list-style style:name="B"><text:list-level-style-bullet text:level="1" text:bullet-char="•"/>'
    "</text:list-style>"
)


def item(*content: str, start: str = "") -> str:
    value = f' text:start-value="{start}"' if start else ""
    return f"<text:list-item{value}>{''.join(content)}</text:list-item>"


def listed(style: str, *items: str, more: str = "") -> str:
    return f'<text:list text:style-name="{style}" {more}>{"".join(items)}</text:list>'


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("a<text:s text:c='2'/>b<text:tab/>c<text:line-break/>d", "a  b\tc\nd"),
        ("  many\n   spaces ", "many spaces"),
        ("<text:s text:c='4'/>return 1", "    return 1"),
        ("10<text:span text:style-name='sup'>6</text:span>", "10^6"),
        ("<text:span text:style-name='one'>old</text:span> new", "~~old~~ new"),
        ("a <text:span text:style-name='hid'>b</text:span>", "a [hidden: b]"),
        ("<text:a xlink:href='https://example.org/'>page</text:a>", "[page](https://example.org/)"),
        ("<text:a xlink:href='#here'>inside</text:a>", "inside"),
        ("<text:ruby><text:ruby-base>漢</text:ruby-base><text:ruby-text>かん</text:ruby-text></text:ruby>",
         "漢(かん)"),
        ("<text:page-number>7</text:page-number> of <text:unknown>9</text:unknown>", "7 of 9"),
        ("x<text:change-start/>y<text:change-end/><text:bookmark/>z", "xyz"),
        ("a<office:annotation><dc:creator>Ann</dc:creator><dc:date>1</dc:date><text:p>why?</text:p>"
         "</office:annotation>b", "a [comment by Ann: why?]b"),
    ],
)  # fmt: skip
def test_what_stands_in_a_line_is_shown(content: str, shown: str) -> None:
    styles = (
        '<style:style style:name="sup" style:family="text"><style:text-properties'
        ' style:text-position="super 58%"/></style:style><style:style style:name="hid" style:family="text">'
        '<style:text-properties text:display="none"/></style:style>'
        '<style:style style:name="one" style:family="text"><style:text-properties'
        ' style:text-line-through-type="single"/></style:style>'
    )
    assert text_of(odt(f"<text:p>{content}</text:p>", styles=styles)) == shown


def field(kind: str, **parameters: str) -> str:
    entries = "".join(
        f'<field:param field:name="{name.rstrip("_")}" field:value="{value}"/>'
        for name, value in parameters.items()
    )
    return f'<field:fieldmark field:type="vnd.oasis.opendocument.field.{kind}">{entries}</field:fieldmark>'


@pytest.mark.parametrize(
    ("mark", "shown"),
    [
        (field("FORMCHECKBOX", Checkbox_Checked="true"), "[x]"),
        (field("FORMCHECKBOX", Checkbox_Checked="false"), "[ ]"),
        (
            field(
                "FORMDROPDOWN",
                Dropdown_ListEntry="red",
                Dropdown_ListEntry_="green",
                Dropdown_Selected="1",
            ),
            "green",
        ),
    ],
)
def test_fields_that_were_ticked_or_chosen_are_shown(mark: str, shown: str) -> None:
    assert text_of(odt(f"<text:p>{mark} answer</text:p>")) == f"{shown} answer"


def test_deleted_text_is_left_out() -> None:
    text = "<text:tracked-changes><text:changed-region><text:deletion><text:p>gone</text:p></text:deletion>"
    assert text_of(odt(f"{text}</text:changed-region></text:tracked-changes><text:p>kept</text:p>")) == "kept"


def test_headings_have_levels_and_the_numbers_of_the_outline() -> None:
    outline = (
        '<office:styles><text:outline-style><text:outline-level-style text:level="1" style:num-format="1"/>'
        '<text:outline-level-style text:level="2" style:num-format="1" text:display-levels="2"/>'
        "</text:outline-style></office:styles>"
    )
    text = "".join(f'<text:h text:outline-level="{level}">h</text:h>' for level in (1, 2, 2, 1))
    assert text_of(odt(text, more=outline)).splitlines() == ["# 1 h", "## 1.1 h", "## 1.2 h", "# 2 h"]
    assert text_of(odt(text)).splitlines() == ["# h", "## h", "## h", "# h"]


def test_lists_are_numbered_nested_and_continued() -> None:
    def entry(text: str) -> str:
        return f"<text:p>{text}</text:p>"

    inner = f"<text:list>{item(entry('x'))}{item(entry('y'))}</text:list>"
    text = (
        listed("L", item(entry("one"), entry("more"), inner), item(entry("two")))
        + entry("between")
        + listed("L", item(entry("three")), more='text:continue-numbering="true"')
        + listed("L", item(entry("anew")), item(entry("nine"), start="9"))
        + listed("B", item(entry("dot")))
        + listed("missing", item(entry("some")))
    )
    assert text_of(odt(text, styles=LISTS)).splitlines() == [
        *("1. one", "more", "  1.a) x", "  1.b) y", "2. two", "between", "3. three", "1. anew", "9. nine"),
        *("- dot", "- some"),
    ]


def test_notes_follow_the_paragraph_that_refers_to_them() -> None:
    note = (
        '<text:note text:note-class="{0}note"><text:note-citation>1</text:note-citation><text:note-body>'
        "<text:p>{0} text</text:p></text:note-body></text:note>"
    )
    text = f"<text:p>a{note.format('foot')}b{note.format('end')}</text:p><text:p>c</text:p>"
    assert text_of(odt(text)).splitlines() == ["a[^1]b[^i]", "[^1]: foot text", "[^i]: end text", "c"]


def test_a_table_keeps_its_columns() -> None:
    def cell(content: str, more: str = "") -> str:
        return f"<table:table-cell {more}><text:p>{content}</text:p></table:table-cell>"

    text = (
        "<table:table><table:table-header-rows><table:table-row>"
        + cell("wide", 'table:number-columns-spanned="2"')
        + "<table:covered-table-cell/>" + cell("c") + "</table:table-row></table:table-header-rows>"
        "<table:table-row>" + cell("x", 'table:number-columns-repeated="2"') + cell("y")
        + "</table:table-row></table:table>"
    )  # fmt: skip
    assert text_of(odt(text)).splitlines() == ["| wide |  | c |", "|---|---|---|", "| x | x | y |"]


def test_hidden_sections_are_marked_and_text_boxes_follow() -> None:
    text = (
        '<text:section text:display="none"><text:p>secret</text:p></text:section>'
        "<text:p>a<draw:frame><draw:text-box><text:p>boxed</text:p></draw:text-box></draw:frame>b</text:p>"
        "<text:p>c<draw:custom-shape><text:p>in a shape</text:p></draw:custom-shape></text:p>"
    )
    assert text_of(odt(text)).splitlines() == ["[hidden: secret]", "ab", "boxed", "c", "in a shape"]


def test_pictures_are_described_and_kept_for_models_that_see() -> None:
    text = (
        '<text:p><draw:frame><draw:image xlink:href="Pictures/a.png"/><svg:title>a cat</svg:title>'
        "</draw:frame>"
        "</text:p>"
    )
    content = odt(text, members={"Pictures/a.png": files.PNG})
    assert text_of(content) == "[picture: a cat]"
    seen = extraction(content, wants_pictures=True)
    assert isinstance(seen, ExtractedText)
    assert (seen.text, len(seen.pictures)) == ("[picture 1: a cat]", 1)


def test_charts_and_formulas_that_are_embedded_are_read() -> None:
    def cell(content: str) -> str:
        return f"<table:table-cell><text:p>{content}</text:p></table:table-cell>"

    values = "".join(
        f"<table:table-row>{cell(a)}{cell(b)}</table:table-row>" for a, b in (("", "S"), ("Q1", "5"))
    )
    chart = odf_part(
        "office:document-content",
        "<office:body><office:chart><chart:chart><chart:title><text:p>Sales</text:p></chart:title>"
        f"<table:table>{values}</table:table></chart:chart></office:chart></office:body>",
    )
    formula = odf_part(
        "math:math",
        "<math:semantics><math:mrow><math:msup><math:mi>x</math:mi><math:mn>2</math:mn></math:msup><math:mo>=</math:mo>"
        "<math:mfrac><math:mn>1</math:mn><math:mi>y</math:mi></math:mfrac></math:mrow>"
        "<math:annotation>x^2</math:annotation></math:semantics>",
    )
    text = (
        '<text:p><draw:frame><draw:object xlink:href="./{}"/><draw:image xlink:href="x"/>'
        "</draw:frame></text:p>"
    )
    content = odt(
        text.format("Object 1") + text.format("Object 2"),
        members={"Object 1/content.xml": chart, "Object 2/content.xml": formula},
    )
    assert text_of(content).splitlines() == [
        *("[chart: Sales]", "|  | S |", "|---|---|", "| Q1 | 5 |", "x^2=1/y"),
    ]


def test_headers_and_footers_are_said_once() -> None:
    pages = (
        "<office:master-styles><style:master-page style:name='A'><style:header><text:p>ACME</text:p>"
        "</style:header>"
        "<style:footer><text:p>end</text:p></style:footer></style:master-page>"
        "<style:master-page style:name='B'><style:header><text:p>ACME</text:p></style:header>"
        "</style:master-page>"
        "</office:master-styles>"
    )
    assert text_of(odt("<text:p>body</text:p>", more=pages)) == "[header: ACME]\nbody\n[footer: end]"


def test_slides_have_titles_notes_and_marks_where_they_are_hidden() -> None:
    styles = (
        '<style:style style:name="h" style:family="drawing-page"><style:drawing-page-properties'
        ' presentation:visibility="hidden"/></style:style>'
    )

    def boxed(text: str, more: str = "") -> str:
        return f"<draw:frame {more}><draw:text-box><text:p>{text}</text:p></draw:text-box></draw:frame>"

    slides = (
        '<draw:page draw:style-name="h">' + boxed("words") + boxed("Plan", 'presentation:class="title"')
        + boxed("Click to add", 'presentation:placeholder="true"') + "<presentation:notes>"
                                                                     "<draw:page-thumbnail/>"
        + boxed("say it", 'presentation:class="notes"') + "</presentation:notes></draw:page>"
        '<draw:page><draw:g><draw:g>' + boxed("grouped") + "</draw:g></draw:g></draw:page>"
    )  # fmt: skip
    content = opendocument(
        f"<office:presentation>{slides}</office:presentation>", styles=styles, kind="presentation"
    )
    assert text_of(content) == "[slide 1, hidden]\n# Plan\nwords\n[notes: say it]\n\n[slide 2]\ngrouped"


def test_an_encrypted_document_is_refused_as_such() -> None:
    manifest = odf_part(
        "manifest:manifest",
        '<manifest:file-entry manifest:full-path="content.xml"><manifest:encryption-data/>'
        "</manifest:file-entry>",
    )
    failure = refusal(odt("<text:p>x</text:p>", members={"META-INF/manifest.xml": manifest}))
    assert failure.reason == "encrypted"


@pytest.mark.parametrize("damage", [b"", b"<office:document-styles", b"<a/>"])
def test_damaged_styles_do_not_make_the_text_unreadable(damage: bytes) -> None:
    text = text_of(files.replaced(odt("<text:h>h</text:h><text:p>p</text:p>"), "styles.xml", damage))
    assert text.startswith("# h\np")


def test_content_that_is_missing_is_broken() -> None:
    assert "broken" in refusal(files.replaced(odt("<text:p>x</text:p>"), "content.xml", b"")).why
