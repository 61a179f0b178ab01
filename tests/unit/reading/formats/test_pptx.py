"""Of a PPTX the model sees all that the slides show, in the order of the show."""

import pytest

from nanobot.core.extent import Position
from nanobot.reading.messages import ExtractedText
from tests import files
from tests.office_files import extraction, frame, package, pptx, refusal, relations, shape, text_of, tree, xml

NOTES = "x/notes.xml"


def with_part(kind: str, content: bytes, shapes: str) -> bytes:
    """Return a file of one slide that refers to a part as `x1`."""
    return pptx(shapes, parts={"ppt/x/part.xml": content}, links={"x1": (kind, "../x/part.xml")})


def test_slides_have_their_titles_texts_and_levels() -> None:
    body = shape(
        "plain",
        '<a:pPr><a:buChar char="•"/></a:pPr><a:r><a:t>point</a:t></a:r>',
        '<a:pPr lvl="1"><a:buChar char="•"/></a:pPr><a:r><a:t>sub</a:t></a:r>',
    )
    text = text_of(pptx(body + shape("Plan", placeholder='type="title"'), shape("two")))
    assert text == "[slide 1]\n# Plan\nplain\n- point\n  - sub\n\n[slide 2]\ntwo"


def test_slides_come_in_the_order_of_the_show_and_hidden_ones_are_marked() -> None:
    members = {
        "deck.xml": xml("p:presentation", '<p:sldIdLst><p:sldId r:id="b"/><p:sldId r:id="a"/></p:sldIdLst>'),
        "_rels/deck.xml.rels": relations({"a": ("slide", "1.xml"), "b": ("slide", "/Other/2.XML")}),
        "1.xml": xml("p:sld", tree(shape("first file"))),
        "other/2.xml": xml("p:sld", tree(shape("second file")), 'show="0"'),
    }
    assert text_of(package("deck.xml", members)) == "[slide 1, hidden]\nsecond file\n\n[slide 2]\nfirst file"


def test_struck_texts_are_marked_and_code_keeps_its_indent() -> None:
    old = '<a:r><a:rPr strike="sngStrike"/><a:t>100</a:t></a:r>'
    new = '<a:r><a:rPr strike="noStrike"/><a:t> 250</a:t></a:r>'
    body = shape(old + new, "def f():", "    return 1")
    assert text_of(pptx(body)) == "[slide 1]\n~~100~~ 250\ndef f():\n    return 1"


def test_lists_are_numbered_as_they_are_shown() -> None:
    def item(text: str, form: str, level: int = 0, more: str = "") -> str:
        return f'<a:pPr lvl="{level}"><a:buAutoNum type="{form}" {more}/></a:pPr><a:r><a:t>{text}</a:t></a:r>'

    body = shape(
        item("a", "arabicPeriod"), item("b", "alphaLcParenR", 1), item("c", "alphaLcParenR", 1),
        item("d", "arabicPeriod"), item("e", "alphaLcParenR", 1),
        item("f", "romanUcParenBoth", 0, 'startAt="4"'),
        "stop", item("g", "arabicPeriod"),
    )  # fmt: skip
    assert text_of(pptx(body)).splitlines()[1:] == [
        *("1. a", "  a) b", "  b) c", "2. d", "  a) e", "(IV) f", "stop", "1. g"),
    ]


def test_bullets_are_inherited_from_the_layout_and_the_master() -> None:
    style = '<p:txStyles><p:bodyStyle><a:lvl1pPr><a:buChar char="•"/></a:lvl1pPr></p:bodyStyle></p:txStyles>'
    none = shape("prompt", placeholder='type="subTitle" idx="2"').replace(
        "<a:bodyPr/>", "<a:bodyPr/><a:lstStyle><a:lvl1pPr><a:buNone/></a:lvl1pPr></a:lstStyle>"
    )
    content = pptx(
        shape("point", placeholder='idx="1"') + shape("no point", placeholder='type="subTitle" idx="2"'),
        links={"l": ("slideLayout", "../l.xml")},
        parts={
            "ppt/l.xml": xml("p:sldLayout", tree(shape("Click to add", placeholder='idx="1"') + none)),
            "ppt/_rels/l.xml.rels": relations({"m": ("slideMaster", "m.xml")}),
            "ppt/m.xml": xml("p:sldMaster", tree(shape("Confidential")) + style),
        },
    )
    assert text_of(content).splitlines() == [
        *("[slide 1]", "- point", "no point", "[on all slides of this layout: Confidential]"),
    ]


def test_a_table_keeps_its_columns() -> None:
    def cell(text: str, attributes: str = "") -> str:
        return f"<a:tc {attributes}><a:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></a:txBody></a:tc>"

    rows = [
        cell("wide", 'gridSpan="2"') + cell("", 'hMerge="1"') + cell("c"),
        cell("a", 'rowSpan="2"') + cell("b") + cell("x|y"),
        cell("", 'vMerge="1"') + cell("d") + cell("e"),
    ]
    content = f"<a:tbl>{''.join(f'<a:tr>{row}</a:tr>' for row in rows)}</a:tbl>"
    assert text_of(pptx(frame(content))).splitlines()[1:] == [
        *("| wide |  | c |", "|---|---|---|", "| a | b | x\\|y |", "|  | d | e |"),
    ]


def test_groups_fields_links_and_scripts_are_read() -> None:
    content = (
        "<p:grpSp><p:grpSp>" + shape(
            '<a:r><a:rPr baseline="30000"/><a:t>2</a:t></a:r><a:br/><a:fld type="slidenum"><a:t>'
            '7</a:t></a:fld>',
            '<a:r><a:rPr><a:hlinkClick r:id="h"/></a:rPr><a:t>a </a:t></a:r>'
            '<a:r><a:rPr b="1"><a:hlinkClick r:id="h"/></a:rPr><a:t>link</a:t></a:r>',
        ) + "</p:grpSp></p:grpSp>"
    )  # fmt: skip
    text = text_of(pptx(content, links={"h": ("hyperlink", "https://example.org/")}))
    assert text == "[slide 1]\n^2\n7\n[a link](https://example.org/)"


def test_notes_and_comments_follow_the_slide() -> None:
    content = pptx(
        shape("text"),
        links={"n": ("notesSlide", "../n.xml"), "c": ("comments", "../c.xml")},
        parts={
            "ppt/n.xml": xml(
                "p:notes",
                tree(
                    shape("say this", placeholder='type="body"')
                    + "".join(
                        shape(number, placeholder='type="sldNum"')
                        for number in ("1", "‹Nr.›", "&lt;number&gt;")
                    )
                ),
            ),
            "ppt/c.xml": xml("p:cmLst", '<p:cm authorId="0"><p:text>too long</p:text></p:cm>'),
        },
    )
    assert text_of(content) == "[slide 1]\ntext\n[notes: say this]\n[comment: too long]"


def test_pictures_have_their_description() -> None:
    shapes = (
        '<p:pic><p:nvPicPr><p:cNvPr id="1" name="Picture 3" descr="a cat"/><p:nvPr/></p:nvPicPr>'
        '<p:blipFill><a:blip r:embed="x1"/></p:blipFill></p:pic>'
    )
    content = with_part("image", files.PNG, shapes)
    assert text_of(content) == "[slide 1]\n[picture: a cat]"
    seen = extraction(content, wants_pictures=True)
    assert isinstance(seen, ExtractedText)
    assert (seen.text, len(seen.pictures)) == ("[slide 1]\n[picture 1: a cat]", 1)


# Charts and diagrams ------------------------------------------------------------------------------


def points(values: list[str], form: str = "General") -> str:
    return f"<c:formatCode>{form}</c:formatCode>" + "".join(
        f'<c:pt idx="{index}"><c:v>{value}</c:v></c:pt>' for index, value in enumerate(values) if value
    )


def series(name: str, categories: list[str], values: list[str], form: str = "General") -> str:
    return (
        f'<c:ser><c:tx><c:strRef><c:strCache><c:pt idx="0"><c:v>{name}</c:v></c:pt></c:strCache>'
        f"</c:strRef></c:tx>"
        f"<c:cat><c:strRef><c:strCache>{points(categories)}</c:strCache></c:strRef></c:cat>"
        f"<c:val><c:numRef><c:numCache>{points(values, form)}</c:numCache></c:numRef></c:val></c:ser>"
    )


def rich(text: str) -> str:
    return f"<c:title><c:tx><c:rich><a:p><a:r><a:t>{text}</a:t></a:r></a:p></c:rich></c:tx></c:title>"


def charted(content: str) -> list[str]:
    root = xml("c:chartSpace", f"<c:chart>{content}</c:chart>")
    return text_of(with_part("chart", root, frame('<c:chart r:id="x1"/>'))).splitlines()[1:]


def test_a_chart_is_its_title_and_a_table_of_its_values() -> None:
    two = series("North", ["Q1", "Q2"], ["1.5", "0.30000000000000004"]) + series(
        "South", ["Q1", "Q2"], ["7", ""]
    )
    content = (
        rich("Sales")
        + f"<c:plotArea><c:barChart>{two}</c:barChart><c:valAx>{rich('euro')}</c:valAx></c:plotArea>"
    )
    assert charted(content) == [
        *("[chart: Sales]", "[axis: euro]", "|  | North | South |", "|---|---|---|"),
        *("| Q1 | 1.5 | 7 |", "| Q2 | 0.3 |  |"),
    ]


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [("0.125", "0.0%", "12.5%"), ("45292", "yyyy\\-mm\\-dd", "2024-01-01"), ("1234.5", "#,##0.00", "1234.5"),
     ("3", '"day" 0', "3"), ("text", "0%", "text"), ("1e400", "0", "1e400"), ("nan", "0%", "nan")],
)  # fmt: skip
def test_values_of_a_chart_are_shown_in_their_format(value: str, form: str, shown: str) -> None:
    assert charted(series("s", ["a"], [value], form))[-1] == f"| a | {shown} |"


def test_a_scatter_chart_has_a_table_for_each_series() -> None:
    def dots(name: str, x: list[str], y: list[str]) -> str:
        return (
            f"<c:ser><c:tx><c:v>{name}</c:v></c:tx><c:xVal><c:numRef><c:numCache>{points(x)}</c:numCache>"
            f"</c:numRef></c:xVal><c:yVal><c:numLit>{points(y)}</c:numLit></c:yVal></c:ser>"
        )

    assert charted(dots("A", ["1"], ["2"]) + dots("B", ["3"], ["4"])) == [
        *("[chart]", "|  | A x | A y |", "|---|---|---|", "|  | 1 | 2 |"),
        *("|  | B x | B y |", "|---|---|---|", "|  | 3 | 4 |"),
    ]


def test_categories_of_several_levels_are_joined() -> None:
    levels = (
        '<c:lvl><c:pt idx="0"><c:v>a</c:v></c:pt><c:pt idx="1"><c:v>b</c:v></c:pt></c:lvl>'
        '<c:lvl><c:pt idx="0"><c:v>X</c:v></c:pt></c:lvl>'
    )
    content = (
        f"<c:ser><c:cat><c:multiLvlStrRef><c:multiLvlStrCache>{levels}</c:multiLvlStrCache></c:multiLvlStrRef>"
        f"</c:cat><c:val><c:numLit>{points(['1', '2'])}</c:numLit></c:val></c:ser>"
    )
    assert charted(content)[-2:] == ["| X / a | 1 |", "| X / b | 2 |"]


def test_a_chart_of_the_newer_kind_is_read() -> None:
    content = (
        '<cx:chartData><cx:data id="0"><cx:strDim type="cat"><cx:lvl><cx:pt idx="0">a</cx:pt>'
        "</cx:lvl></cx:strDim>"
        '<cx:numDim type="val"><cx:lvl><cx:pt idx="0">5</cx:pt></cx:lvl></cx:numDim></cx:data></cx:chartData>'
        "<cx:chart><cx:title><cx:tx><cx:rich><a:p><a:r><a:t>Steps</a:t></a:r></a:p></cx:rich></cx:tx></cx:title>"
        "<cx:series><cx:tx><cx:txData><cx:v>S</cx:v></cx:txData></cx:tx>"
        '<cx:dataId val="0"/></cx:series></cx:chart>'
    )
    shapes = frame('<cx:chart r:id="x1"/>')
    text = text_of(with_part("chartEx", xml("cx:chartSpace", content), shapes))
    assert text.splitlines()[1:] == ["[chart: Steps]", "|  | S |", "|---|---|", "| a | 5 |"]


def test_a_diagram_is_a_list_in_the_order_of_its_model() -> None:
    def point(id_: str, text: str, more: str = "") -> str:
        return (
            f'<dgm:pt modelId="{id_}" {more}><dgm:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></dgm:t></dgm:pt>'
        )

    links = [("d", "a", 1), ("d", "b", 0), ("a", "c", 0), ("c", "a", 0)]
    model = "<dgm:ptLst>" + point("d", "", 'type="doc"') + point("a", "second") + point("b", "first")
    model += point("c", "below") + point("z", "apart") + "</dgm:ptLst><dgm:cxnLst>"
    model += "".join(
        f'<dgm:cxn srcId="{above}" destId="{below}" srcOrd="{order}"/>' for above, below, order in links
    )
    content = with_part(
        "diagramData", xml("dgm:dataModel", model + "</dgm:cxnLst>"), frame('<dgm:relIds r:dm="x1"/>')
    )
    assert text_of(content).splitlines()[1:] == ["[diagram]", "- first", "- second", "  - below", "- apart"]


# Where it begins, what is broken ------------------------------------------------------------------


def test_reading_begins_at_the_slide_that_is_asked_for() -> None:
    outcome = extraction(pptx(shape("one"), shape("two"), shape("three")), start=Position(2))
    assert isinstance(outcome, ExtractedText)
    assert outcome.text == "[slide 2]\ntwo\n\n[slide 3]\nthree"
    assert outcome.extent.totals["slide"] == 3


def test_a_damaged_slide_does_not_make_the_others_unreadable() -> None:
    text = text_of(files.replaced(pptx(shape("one"), shape("two")), "ppt/slides/s0.xml", b""))
    assert text.startswith("[slide 1]\n[this slide is damaged]\n\n[slide 2]\ntwo")


def test_a_presentation_that_is_none_is_broken() -> None:
    assert "broken" in refusal(files.replaced(pptx(shape("one")), "ppt/presentation.xml", b"<a/>")).why
