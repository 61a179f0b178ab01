"""Of a DOCX the model sees all that Word shows, each word once, and what it is."""

import pytest

from nanobot.reading.messages import ExtractedText
from tests import files
from tests.office_files import docx, extraction, paragraph, refusal, run, table, text_of, xml

NUMBERING = (
    '<w:abstractNum w:abstractNumId="0">'
    '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>'
    '<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="(%2)"/></w:lvl>'
    '<w:lvl w:ilvl="2"><w:start w:val="3"/><w:numFmt w:val="upperRoman"/><w:lvlText w:val="%1.%3"/></w:lvl>'
    "</w:abstractNum>"
    '<w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/>'
    '<w:lvlText w:val="\uf0b7"/></w:lvl></w:abstractNum>'
    '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
    '<w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>'
    '<w:num w:numId="3"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="7"/>'
    "</w:lvlOverride></w:num>"
)
STYLES = (
    '<w:style w:type="paragraph" w:styleId="a"><w:name w:val="heading 2"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="b"><w:name w:val="Mein Stil"/><w:basedOn w:val="a"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="c"><w:name w:val="x"/><w:pPr><w:outlineLvl w:val="3"/></w:pPr>'
    "</w:style>"
    '<w:style w:type="paragraph" w:styleId="d"><w:name w:val="Überschrift 1"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="e"><w:name w:val="TOC Heading"/><w:basedOn w:val="a"/>'
    '<w:pPr><w:outlineLvl w:val="9"/></w:pPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="n"><w:name w:val="n"/><w:pPr><w:numPr><w:numId'
    ' w:val="1"/></w:numPr>'
    "</w:pPr></w:style>"
    '<w:style w:type="character" w:styleId="h"><w:name w:val="h"/><w:rPr><w:vanish/></w:rPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="loop"><w:basedOn w:val="loop2"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="loop2"><w:basedOn w:val="loop"/></w:style>'
)


def numbered(text: str, use: int, level: int = 0) -> str:
    return paragraph(text, f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{use}"/></w:numPr>')


def styled(text: str, style: str) -> str:
    return paragraph(text, f'<w:pStyle w:val="{style}"/>')


def field(instruction: str, result: str) -> str:
    return (
        '<w:r><w:fldChar w:fldCharType="begin"/></w:r>'
        f"<w:r><w:instrText>{instruction}</w:instrText></w:r>"
        f'<w:r><w:fldChar w:fldCharType="separate"/></w:r>{result}<w:r><w:fldChar w:fldCharType="end"/></w:r>'
    )


# Text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:cr/><w:t>d</w:t></w:r>", "a\tb\nc\nd"),
        ("<w:r><w:t>co</w:t><w:noBreakHyphen/><w:t>op</w:t><w:softHyphen/><w:t>s</w:t></w:r>", "co-ops"),
        ('<w:r><w:sym w:font="Symbol" w:char="F061"/><w:sym w:font="Wingdings" w:char="F0FC"/></w:r>', "α✓"),
        (run("\uf062", '<w:rFonts w:ascii="Symbol"/>'), "β"),
        (run("10") + run("6", '<w:vertAlign w:val="superscript"/>') + run(" m"), "10^6 m"),
        (run("H") + run("2", '<w:vertAlign w:val="subscript"/>') + run("O"), "H_2O"),
        (
            run("x") + run("n", '<w:vertAlign w:val="superscript"/>')
            + run("+1", '<w:vertAlign w:val="superscript"/>'),
            "x^(n+1)",
        ),
        (run("a ") + run("b", "<w:vanish/>") + run(" c"), "a [hidden: b] c"),
        (run("a ", '<w:vanish w:val="0"/>') + run("b", '<w:rStyle w:val="h"/>'), "a [hidden: b]"),
        (run("old", "<w:strike/>") + run(" new"), "~~old~~ new"),
        (
            "<w:r><w:ruby><w:rubyPr/><w:rt><w:r><w:t>かん</w:t></w:r></w:rt>"
            "<w:rubyBase><w:r><w:t>漢</w:t></w:r></w:rubyBase></w:ruby></w:r>",
            "漢(かん)",
        ),
        ("<w:smartTag><w:customXml>" + run("deep") + "</w:customXml></w:smartTag>", "deep"),
        ("<w:new-element>" + run("of tomorrow") + "</w:new-element>", "of tomorrow"),
    ],
)  # fmt: skip
def test_what_stands_in_a_line_is_shown_as_word_shows_it(content: str, shown: str) -> None:
    assert text_of(docx(paragraph(content), {"styles": STYLES})) == shown


def test_code_keeps_its_indent() -> None:
    space = '<w:r><w:t xml:space="preserve">    </w:t></w:r>'
    body = paragraph(run("if x:")) + paragraph(space + run("return 1")) + numbered(space + run("entry"), 1)
    assert text_of(docx(body, {"numbering": NUMBERING})).splitlines() == ["if x:", "    return 1", "1. entry"]


def test_the_text_is_as_it_is_after_tracked_changes() -> None:
    changed = (
        run("The price is ")
        + "<w:del><w:r><w:delText>100</w:delText></w:r></w:del>"
        + f"<w:ins>{run('250')}</w:ins>"
        + run(" euro")
        + f"<w:moveFrom>{run('gone')}</w:moveFrom><w:moveTo>{run(' here')}</w:moveTo>"
    )
    assert text_of(docx(paragraph(changed))) == "The price is 250 euro here"


def test_a_paragraph_whose_end_was_deleted_goes_on_in_the_next() -> None:
    body = paragraph("one ", "<w:rPr><w:del/></w:rPr>") + paragraph("two") + paragraph("three")
    assert text_of(docx(body)) == "one two\nthree"


def test_deleted_rows_and_cells_are_left_out() -> None:
    body = (
        "<w:tbl><w:tr><w:tc>" + paragraph("a") + "</w:tc><w:tc><w:tcPr><w:cellDel/></w:tcPr>"
        + paragraph("b") + "</w:tc></w:tr><w:tr><w:trPr><w:del/></w:trPr><w:tc>" + paragraph("c")
        + "</w:tc></w:tr></w:tbl>"
    )  # fmt: skip
    assert text_of(docx(body)) == "| a |  |\n|---|---|"


@pytest.mark.parametrize(
    "body",
    [
        paragraph(run("A") + "<w:sdt><w:sdtPr/><w:sdtContent>" + run("B") + "</w:sdtContent></w:sdt>"),
        "<w:sdt><w:sdtContent>" + paragraph("A") + "</w:sdtContent></w:sdt>" + paragraph("B"),
        table([["A", "B"]]).replace("<w:tr>", "<w:sdt><w:sdtContent><w:tr>").replace(
            "</w:tr>", "</w:tr></w:sdtContent></w:sdt>"
        ),
        table([["A", "B"]]).replace("<w:tc>", "<w:sdt><w:sdtContent><w:tc>").replace(
            "</w:tc>", "</w:tc></w:sdtContent></w:sdt>"
        ),
        "<w:customXml>" + paragraph("A") + "</w:customXml>" + run("B"),
    ],
)  # fmt: skip
def test_what_is_in_content_controls_is_text_wherever_they_stand(body: str) -> None:
    text = text_of(docx(body))
    assert text.count("A") == text.count("B") == 1


def test_a_field_that_waits_to_be_filled_in_is_marked() -> None:
    body = "<w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent>" + run("Click here")
    assert text_of(docx(paragraph(run("Name: ") + body + "</w:sdtContent></w:sdt>"))) == (
        "Name: [placeholder: Click here]"
    )


# Fields and links ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ('<w:fldSimple w:instr="MERGEFIELD Name">' + run("Ms Smith") + "</w:fldSimple>", "Ms Smith"),
        (field("PAGE", run("7")), "7"),
        (field(' HYPERLINK "https://example.org/a" ', run("the page")), "[the page](https://example.org/a)"),
        (field("IF " + "</w:instrText></w:r>" + field("MERGEFIELD a", run("hidden")) + "<w:r><w:instrText>",
               run("shown")), "shown"),
        ('<w:r><w:fldChar w:fldCharType="begin"/></w:r>' + run("never ended"), "never ended"),
        ('<w:r><w:fldChar w:fldCharType="end"/></w:r>' + run("never begun"), "never begun"),
        ('<w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:checkBox><w:default w:val="0"/>'
         '<w:checked/></w:checkBox></w:ffData></w:fldChar></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>',
         "[x]"),
        ('<w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:ddList><w:result w:val="1"/>'
         '<w:listEntry w:val="red"/><w:listEntry w:val="blue"/></w:ddList></w:ffData></w:fldChar></w:r>'
         '<w:r><w:fldChar w:fldCharType="end"/></w:r>', "blue"),
        ('<w:hyperlink r:id="l1">' + run("shop") + "</w:hyperlink>", "[shop](https://shop.example/)"),
        ('<w:hyperlink r:id="l1">' + run("https://shop.example") + "</w:hyperlink>", "https://shop.example"),
        ('<w:hyperlink w:anchor="x">' + run("inside") + "</w:hyperlink>", "inside"),
        ('<w:hyperlink r:id="l1">' + run("sh") + '</w:hyperlink><w:hyperlink r:id="l1">' + run("op")
         + "</w:hyperlink>", "[shop](https://shop.example/)"),
    ],
)  # fmt: skip
def test_results_of_fields_and_addresses_of_links_are_shown(content: str, shown: str) -> None:
    links = {"l1": ("hyperlink", "https://shop.example/")}
    assert text_of(docx(paragraph(content), links=links)) == shown


# Structure ----------------------------------------------------------------------------------------


def test_headings_have_the_level_of_their_style_whatever_it_is_called() -> None:
    body = "".join(styled(style, style) for style in ("a", "b", "c", "d", "e", "loop", "missing"))
    body += paragraph("own", '<w:outlineLvl w:val="0"/>')
    text = text_of(docx(body, {"styles": STYLES}))
    assert text == "## a\n## b\n#### c\n# d\ne\nloop\nmissing\n# own"


def test_lists_have_the_numbers_that_word_counts() -> None:
    body = (
        numbered("one", 1) + numbered("sub", 1, 1) + numbered("sub", 1, 1) + numbered("two", 1)
        + numbered("sub", 1, 1) + numbered("deep", 1, 2) + numbered("dot", 2) + numbered("seven", 3)
        + numbered("eight", 3) + styled("nine", "n") + numbered("none", 0) + numbered("unknown", 99)
    )  # fmt: skip
    assert text_of(docx(body, {"styles": STYLES, "numbering": NUMBERING})).splitlines() == [
        *("1. one", "  (a) sub", "  (b) sub", "2. two", "  (a) sub", "    2.III deep", "- dot"),
        *("7. seven", "8. eight", "9. nine", "none", "unknown"),
    ]


def test_a_heading_with_a_number_has_both() -> None:
    body = paragraph("Start", '<w:pStyle w:val="a"/><w:numPr><w:numId w:val="1"/></w:numPr>')
    assert text_of(docx(body, {"styles": STYLES, "numbering": NUMBERING})) == "## 1. Start"


def test_a_table_keeps_its_columns() -> None:
    body = (
        '<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val="2"/></w:tcPr>' + paragraph("wide") + "</w:tc><w:tc>"
        + paragraph("c") + '</w:tc></w:tr><w:tr><w:trPr><w:gridBefore w:val="1"/></w:trPr><w:tc>'
        + paragraph("b|1") + '</w:tc><w:tc><w:tcPr><w:vMerge w:val="restart"/></w:tcPr>'
        + paragraph("two") + paragraph("lines") + "</w:tc></w:tr><w:tr><w:tc>" + paragraph("a")
        + "</w:tc><w:tc>" + table([["x", "y"], ["z", ""]]) + "</w:tc><w:tc><w:tcPr><w:vMerge/></w:tcPr>"
        + paragraph("") + "</w:tc></w:tr></w:tbl>" + paragraph("after")
    )  # fmt: skip
    assert text_of(docx(body)).splitlines() == [
        *("| wide |  | c |", "|---|---|---|", "|  | b\\|1 | two<br>lines |", "| a | x / y<br>z |  |"),
        *("", "after"),
    ]


def test_a_table_of_one_cell_is_the_text_in_it() -> None:
    assert text_of(docx(table([[paragraph("framed") + table([["a", "b"]])]]))) == (
        "framed\n| a | b |\n|---|---|"
    )


# Around the text ----------------------------------------------------------------------------------


def test_notes_follow_the_paragraph_that_refers_to_them() -> None:
    body = (
        paragraph(run("One") + '<w:r><w:footnoteReference w:id="2"/></w:r>' + run(" more")
                  + '<w:r><w:endnoteReference w:id="1"/></w:r>')
        + paragraph("Two")
    )  # fmt: skip
    parts = {
        "footnotes": '<w:footnote w:type="separator" w:id="-1">' + paragraph("---") + "</w:footnote>"
        '<w:footnote w:id="2">' + paragraph("first note") + "</w:footnote>",
        "endnotes": '<w:endnote w:id="1">' + paragraph("last note") + "</w:endnote>",
    }
    assert text_of(docx(body, parts)).splitlines() == [
        *("One[^1] more[^i]", "[^1]: first note", "[^i]: last note", "Two"),
    ]


def test_comments_stand_where_they_were_made() -> None:
    comments = '<w:comment w:id="0" w:author="Ann">' + paragraph("really?") + "</w:comment>"
    body = paragraph(run("sure") + '<w:r><w:commentReference w:id="0"/></w:r>' + run("."))
    assert text_of(docx(body, {"comments": comments})) == "sure [comment by Ann: really?]."


def test_headers_and_footers_are_said_once_and_those_that_no_page_shows_are_hidden() -> None:
    def header(kind: str, text: str) -> bytes:
        return xml(f"w:{kind}", paragraph(text))

    sections = (
        '<w:headerReference w:type="even" r:id="h1"/><w:headerReference w:type="default" r:id="h1"/>'
        '<w:headerReference w:type="first" r:id="h2"/><w:footerReference w:type="default" r:id="f1"/>'
    )
    links = {
        "h1": ("header", "header1.xml"),
        "h2": ("header", "header2.xml"),
        "f1": ("footer", "/word/footer1.xml"),
    }
    parts = {
        "word/header1.xml": header("hdr", "ACME"),
        "word/header2.xml": header("hdr", "Draft"),
        "word/footer1.xml": header("ftr", "Page 1"),
    }
    text = text_of(docx(paragraph("body") + f"<w:sectPr>{sections}</w:sectPr>", parts, links))
    assert text == "[header: ACME]\n[header of the first page, hidden: Draft]\nbody\n[footer: Page 1]"


def test_text_boxes_are_shown_once_though_they_are_kept_twice() -> None:
    box = f"<w:txbxContent>{paragraph('in the box')}</w:txbxContent>"
    body = (
        "<w:r><mc:AlternateContent><mc:Choice><w:drawing><wps:txbx>" + box + "</wps:txbx></w:drawing>"
        "</mc:Choice><mc:Fallback><w:pict><v:textbox>" + box + "</v:textbox></w:pict></mc:Fallback>"
        "</mc:AlternateContent></w:r>"
    )
    assert text_of(docx(paragraph(run("anchor") + body))) == "anchor\nin the box"
    only_old = body.replace(f"<wps:txbx>{box}</wps:txbx>", "")
    assert text_of(docx(paragraph(run("anchor") + only_old))) == "anchor\nin the box"


def picture(id_: str, alt: str) -> str:
    return (
        f'<w:r><w:drawing><wp:inline><wp:docPr id="1" name="Picture 1" descr="{alt}"/><a:graphic>'
        f'<a:graphicData><pic:pic><pic:blipFill><a:blip r:embed="{id_}"/></pic:blipFill></pic:pic>'
        "</a:graphicData></a:graphic></wp:inline></w:drawing></w:r>"
    )


def test_pictures_stand_in_their_line_and_are_kept_for_models_that_see() -> None:
    content = docx(
        paragraph(run("see ") + picture("p1", "a cat") + picture("p2", "gone")),
        {"word/media/cat.png": files.PNG},
        {"p1": ("image", "media/cat.png"), "p2": ("image", "media/none.png")},
    )
    assert text_of(content) == "see [picture: a cat][picture: gone]"
    seen = extraction(content, wants_pictures=True)
    assert isinstance(seen, ExtractedText)
    assert seen.text == "see [picture 1: a cat][picture: gone]"
    assert [each.content for each in seen.pictures] == [files.PNG]


def test_word_art_and_embedded_objects_are_named() -> None:
    art = '<w:r><w:pict><v:shape><v:textpath string="SALE"/></v:shape></w:pict></w:r>'
    thing = '<w:r><w:object><v:shape/><o:OLEObject ProgID="Excel.Sheet.12"/></w:object></w:r>'
    assert text_of(docx(paragraph(art + thing))) == "[embedded object: Excel.Sheet.12]\nSALE"


EQUATIONS = [
    ("<m:f><m:num>{a}</m:num><m:den>{b}</m:den></m:f>", "a/b"),
    ("<m:sSup><m:e>{a}</m:e><m:sup>{b}</m:sup></m:sSup>{a}", "a^b a"),
    ("<m:sSubSup><m:e>{a}</m:e><m:sub>{b}</m:sub><m:sup>{a}{b}</m:sup></m:sSubSup>", "a_b^(ab)"),
    ("<m:rad><m:deg/><m:e>{a}{b}</m:e></m:rad>", "√(ab)"),
    ('<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr><m:sub>{a}</m:sub><m:sup>{b}</m:sup><m:e>'
     '{a}</m:e></m:nary>',
     "∑_a^b a"),
    ('<m:d><m:dPr><m:begChr m:val="["/><m:endChr m:val=""/></m:dPr><m:e>{a}</m:e><m:e>{b}</m:e>'
     '</m:d>', "[a|b"),
    ("<m:m><m:mr><m:e>{a}</m:e><m:e>{b}</m:e></m:mr><m:mr><m:e>{b}</m:e><m:e>{a}</m:e></m:mr></m:m>",
     "[a, b; b, a]"),
    ("<m:func><m:fName>{a}</m:fName><m:e>{b}</m:e></m:func>", "a b"),
    ("<m:limLow><m:e>{a}</m:e><m:lim>{b}</m:lim></m:limLow>", "a_b"),
    ("<m:unknown><m:e>{a}</m:e></m:unknown>", "a"),
]  # fmt: skip


@pytest.mark.parametrize(("equation", "line"), EQUATIONS)
def test_an_equation_is_a_line_of_text(equation: str, line: str) -> None:
    letters = {letter: f"<m:r><m:t>{letter}</m:t></m:r>" for letter in "ab"}
    assert text_of(docx(paragraph(f"<m:oMath>{equation.format(**letters)}</m:oMath>"))) == line


def test_what_is_embedded_in_another_format_is_read_as_such() -> None:
    links = {"c1": ("aFChunk", "/part.htm")}
    content = docx(
        paragraph("before") + '<w:altChunk r:id="c1"/>' + paragraph("after"),
        {"/part.htm": b"<html><body><p>in <b>HTML</b></body></html>"},
        links,
    )
    assert [line for line in text_of(content).splitlines() if line] == ["before", "in HTML", "after"]


# What is broken -----------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["styles", "numbering", "settings", "footnotes", "endnotes", "comments"])
@pytest.mark.parametrize("damage", [b"", b"\xff\xfe\x00", b"<w:styles", b"<a/>"])
def test_a_damaged_part_does_not_make_the_text_unreadable(part: str, damage: bytes) -> None:
    body = (
        styled("Title", "a") + numbered("one", 1)
        + paragraph(run("note") + '<w:r><w:footnoteReference w:id="2"/></w:r>')
    )  # fmt: skip
    text = text_of(docx(body, {part: damage}))
    assert all(word in text for word in ("Title", "one", "note"))


def test_what_was_lost_with_a_damaged_part_is_said() -> None:
    body = paragraph(run("word") + '<w:r><w:footnoteReference w:id="2"/></w:r>')
    assert "damaged" in text_of(docx(body, {"footnotes": b"<w:footnotes"}))
    cut = docx(paragraph("whole"))
    broken = files.replaced(
        cut, "word/document.xml", xml("w:document", "<w:body>" + paragraph("whole"))[:-30]
    )
    text = text_of(broken)
    assert "whole" in text
    assert "word/document.xml may be missing" in text


@pytest.mark.parametrize("content", [b"<w:document", b"", b"<a/>"])
def test_a_document_without_a_body_is_broken(content: bytes) -> None:
    assert "broken" in refusal(files.replaced(docx(paragraph("x")), "word/document.xml", content)).why


def test_deep_nesting_is_no_danger() -> None:
    # Up to the depth that the parser allows the text is read; beyond that it is cut, and said to be.
    for depth, marked in ((60, False), (5_000, True)):
        body = "<w:sdt><w:sdtContent>" * depth + paragraph("deep") + "</w:sdtContent></w:sdt>" * depth
        text = text_of(docx(paragraph("shallow") + body))
        assert "shallow" in text
        assert ("damaged" in text) is marked
        assert ("deep" in text) is not marked
