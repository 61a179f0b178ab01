"""Documents that are one XML file say what they would say as archives."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.extent import Position
from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.extraction import extract
from nanobot.reading.messages import ExtractionFailure, ExtractionRequest
from tests import files
from tests.unit.reading.formats.reading import extracted, rows_of, text_of

NAMES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in {
        "office": "office", "text": "text", "table": "table", "draw": "drawing", "style": "style",
        "chart": "chart", "svg": "svg-compatible",
    }.items()
)  # fmt: skip
CHART = (
    "<office:document><office:body><office:chart><chart:chart><chart:title><text:p>Sales</text:p></chart:title>"
    "<table:table><table:table-row><table:table-cell><text:p>tea</text:p></table:table-cell>"
    "<table:table-cell><text:p>7</text:p></table:table-cell></table:table-row></table:table></chart:chart>"
    "</office:chart></office:body></office:document>"
)


def flat(body: str, styles: str = "") -> bytes:
    """Return an OpenDocument file with that body."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<office:document {NAMES} office:version="1.3">'
        f"<office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body>{body}</office:body></office:document>"
    ).encode()


def test_a_text_has_its_headings_looks_pictures_and_charts() -> None:
    picture = base64.b64encode(files.PNG).decode()
    styles = '<style:style style:name="s" style:family="text"><style:text-properties'
    styles += ' style:text-line-through-style="solid"/></style:style>'
    body = (
        '<office:text><text:h text:outline-level="2">Plan</text:h>'
        '<text:p>costs <text:span text:style-name="s">100</text:span> 250</text:p>'
        f"<text:p><draw:frame><draw:image><office:binary-data>{picture}</office:binary-data></draw:image>"
        "<svg:title>a dot</svg:title></draw:frame></text:p>"
        f"<text:p><draw:frame><draw:object><text:p/>{CHART}</draw:object></draw:frame></text:p></office:text>"
    )
    read = extracted(flat(body, styles), wants_pictures=True)
    assert "## Plan\ncosts ~~100~~ 250\n[picture 1: a dot]" in read.text
    assert "[chart: Sales]\n| tea | 7 |" in read.text
    assert [picture.content for picture in read.pictures] == [files.PNG]


def test_a_workbook_has_its_cells_where_they_stand() -> None:
    cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>"
    rows = "".join(
        f"<table:table-row>{cell.format(n)}{cell.format(f'v{n}')}</table:table-row>" for n in range(1, 9)
    )
    book = flat(
        f'<office:spreadsheet><table:table table:name="Costs">{rows}</table:table></office:spreadsheet>'
    )
    read = extracted(book, start=Position(1, 7))
    assert rows_of(read.text) == ["| 7 | 7 | v7 |", "| 8 | 8 | v8 |"]


def test_slides_come_one_by_one() -> None:
    pages = "".join(
        f"<draw:page><draw:frame><draw:text-box><text:p>{said}</text:p></draw:text-box></draw:frame></draw:page>"
        for said in ("one", "two")
    )
    text = text_of(flat(f"<office:presentation>{pages}</office:presentation>"))
    assert text == "[slide 1]\none\n\n[slide 2]\ntwo"


def test_one_that_ends_early_says_so() -> None:
    whole = flat("<office:text><text:p>Plan</text:p></office:text>")
    assert text_of(whole[:-40]).splitlines() == [
        "Plan",
        "[the file is damaged: text may be missing from here on]",
    ]
    outcome = extract(ExtractionRequest("flat", DocumentBounds()), whole.partition(b"<office:body>")[0])
    assert isinstance(outcome, ExtractionFailure)


BOOK = """<?xml version="1.0"?>
<?mso-application progid="Excel.Sheet"?>
<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"
 xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet" xmlns:x="urn:schemas-microsoft-com:office:excel">
<Styles><Style ss:ID="p"><NumberFormat ss:Format="Percent"/></Style>
<Style ss:ID="m"><NumberFormat ss:Format="#,##0.00\\ &quot;€&quot;"/></Style></Styles>
<Worksheet ss:Name="Übersicht"><Table><Column ss:Index="2"/><Column ss:Hidden="1" ss:Span="1"/>
<Row><Cell><Data ss:Type="String">Name</Data></Cell>
<Cell ss:MergeAcross="1"><Data ss:Type="String">A &amp; B</Data></Cell>
<Cell><ss:Data ss:Type="String" xmlns="http://www.w3.org/TR/REC-html40"><B>rich</B> text</ss:Data></Cell>
</Row>
<Row ss:Index="4" ss:Hidden="1"><Cell ss:StyleID="p"><Data ss:Type="Number">0.125</Data></Cell>
<Cell ss:Index="3" ss:StyleID="m"><Data ss:Type="Number">1234.5</Data></Cell>
<Cell><Data ss:Type="DateTime">2026-03-05T00:00:00.000</Data></Cell>
<Cell ss:Formula="=RC[-1]*2"/>
<Cell ss:HRef="https://x.example/"><Data ss:Type="String">link</Data>
<Comment ss:Author="Ann"><ss:Data>why?</ss:Data></Comment></Cell></Row></Table></Worksheet>
<Worksheet ss:Name="Old"><Table><Row><Cell><Data ss:Type="Boolean">1</Data></Cell></Row></Table>
<x:WorksheetOptions><x:Visible>SheetHidden</x:Visible></x:WorksheetOptions></Worksheet></Workbook>"""


def test_an_xml_spreadsheet_is_a_workbook_whatever_its_name_says() -> None:
    read = text_of(BOOK.encode(), "export.xls")
    assert rows_of(read) == [
        "| 1 | Name | A & B |  | rich text |  |  |",
        "| 4 (hidden) | 12.50% |  | 1,234.50 € | 2026-03-05 | =RC[-1]*2 "
        "| [link](https://x.example/) [comment by Ann: why?] |",
        "| 1 | TRUE |",
    ]
    assert "C (hidden)" in read
    assert "[merged cells: B1:C1]" in read
    assert "[sheet 2: Old, hidden]" in read


@given(st.integers(0, len(BOOK)), st.text(alphabet="<>/ssIndex=\"'09", max_size=12))
def test_any_xml_spreadsheet_is_read_or_refused(place: int, noise: str) -> None:
    content = (BOOK[:place] + noise + BOOK[place:]).encode()
    extract(ExtractionRequest("xml-sheets", DocumentBounds()), content)
