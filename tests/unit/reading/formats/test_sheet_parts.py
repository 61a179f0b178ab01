"""A workbook says what stands beside its cells, and what its XML has in odd places."""

import io
import zipfile

from nanobot.core.extent import Position
from tests import files
from tests.unit.reading.formats.reading import extracted, rows_of, text_of

PLAIN = files.sheet([["a"]])


def with_sheet(part: str, members: dict[str, bytes] | None = None) -> bytes:
    """Return a workbook whose first sheet has this XML in it."""
    content = f'<worksheet xmlns="{_SHEET_NAMES}" xmlns:r="{_LINK_NAMES}">{part}</worksheet>'
    book = files.replaced(PLAIN, "xl/worksheets/sheet1.xml", content.encode())
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    return files.archive({**kept, **(members or {})})


_SHEET_NAMES = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_LINK_NAMES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_CELL = "<sheetData><row><c><v>1</v></c></row></sheetData>"


def test_a_row_that_a_file_has_twice_keeps_the_cells_of_both() -> None:
    rows = '<row r="5"><c r="A5"><v>5</v></c></row><row r="2"><c r="B2"><v>2</v></c></row>'
    rows += '<row r="5"><c r="B5"><v>55</v></c></row>'
    read = text_of(with_sheet(f"<sheetData>{rows}</sheetData>"))
    assert rows_of(read) == ["| 2 |  | 2 |", "| 5 | 5 | 55 |"]


def test_a_formula_that_is_shared_with_rows_before_those_asked_for_is_shown() -> None:
    rows = '<row r="1"><c r="A1"><f t="shared" si="0" ref="A1:A9">B1*2</f></c></row>'
    rows += '<row r="9"><c r="A9"><f t="shared" si="0"/></c></row>'
    read = extracted(with_sheet(f"<sheetData>{rows}</sheetData>"), start=Position(1, 9))
    assert rows_of(read.text) == ["| 9 | =B9*2 |"]


def test_headers_and_footers_of_the_printed_pages_are_told_once() -> None:
    margins = '<headerFooter><oddHeader>&amp;L&amp;"Arial,Bold"&amp;12Secret&amp;RPage &amp;P</oddHeader>'
    margins += "<oddFooter>&amp;CA &amp;&amp; B</oddFooter></headerFooter>"
    text = text_of(with_sheet(_CELL + margins))
    assert "[header: Secret | Page #]\n[footer: A & B]" in text


def test_a_picture_in_a_cell_is_no_error() -> None:
    text = text_of(with_sheet('<sheetData><row><c t="e" vm="1"><v>#VALUE!</v></c></row></sheetData>'))
    assert "#VALUE!" not in text
    assert "picture" in text


def test_objects_in_a_sheet_are_named_once() -> None:
    objects = '<oleObjects><oleObject progId="Word.Document.12" shapeId="7"/></oleObjects>' * 2
    assert text_of(with_sheet(_CELL + objects)).count("[embedded object: Word.Document.12]") == 1


def test_diagrams_and_the_texts_of_controls_are_read() -> None:
    names = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    names += ' xmlns:m="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    names += ' xmlns:x="http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing"'
    names += f' xmlns:r="{_LINK_NAMES}"'
    names += ' xmlns:d="http://schemas.openxmlformats.org/drawingml/2006/diagram"'
    anchor = "<x:oneCellAnchor>{}</x:oneCellAnchor>"
    control = anchor.format("<x:sp><a:p><a:r><a:t>Press here</a:t></a:r></a:p></x:sp>")
    drawing = anchor.format('<x:graphicFrame><d:relIds r:dm="r1"/></x:graphicFrame>')
    drawing += f"<m:AlternateContent><m:Choice>{control}</m:Choice><m:Fallback/></m:AlternateContent>"
    point = '<d:pt modelId="1"><d:t><a:p><a:r><a:t>Step one</a:t></a:r></a:p></d:t></d:pt>'
    diagram = f"<d:dataModel {names}><d:ptLst>{point}</d:ptLst></d:dataModel>"
    link = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="r1" Type="{0}/{1}" Target="{2}"/></Relationships>'
    )
    members = {
        "xl/worksheets/_rels/sheet1.xml.rels": link.format(_LINK_NAMES, "drawing", "../drawings/d.xml"),
        "xl/drawings/d.xml": f"<x:wsDr {names}>{drawing}</x:wsDr>",
        "xl/drawings/_rels/d.xml.rels": link.format(_LINK_NAMES, "diagramData", "data.xml"),
        "xl/drawings/data.xml": diagram,
    }
    text = text_of(
        with_sheet(f'{_CELL}<drawing r:id="r1"/>', {name: part.encode() for name, part in members.items()})
    )
    assert "[diagram]\n- Step one" in text
    assert "Press here" in text
