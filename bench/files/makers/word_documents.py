"""DOCX by python-docx, with what Word writes and that library does not put in by itself."""

import io
from collections.abc import Iterator

import docx
from docx.document import Document
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from docx.shared import Inches
from PIL import Image

from bench.files.case import Case

_W = nsdecls("w", "r")


def cases() -> Iterator[Case]:
    yield _plain()
    yield _case(
        "tracked-changes",
        'The price is <w:del w:id="1" w:author="A"><w:r><w:delText>100</w:delText></w:r></w:del>'
        '<w:ins w:id="2" w:author="A"><w:r><w:t>250</w:t></w:r></w:ins> euro.',
        texts=("The price is 250 euro.",),
        absent=("100",),
    )
    yield _case(
        "content-control-in-a-line",
        "Customer: <w:sdt><w:sdtPr/><w:sdtContent><w:r><w:t>ACME Ltd</w:t></w:r></w:sdtContent></w:sdt>.",
        texts=("Customer: ACME Ltd.",),
    )
    yield _case(
        "field",
        'Dear <w:fldSimple w:instr=" MERGEFIELD Name "><w:r><w:t>Ms Smith</w:t></w:r></w:fldSimple>,',
        texts=("Dear Ms Smith,",),
    )
    yield _case(
        "smart-tag",
        'Meet <w:smartTag w:uri="urn:x" w:element="City"><w:r><w:t>Lisbon</w:t></w:r></w:smartTag> today',
        texts=("Meet Lisbon today",),
    )
    yield _case(
        "superscript",
        '10<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:t>6</w:t></w:r> items',
        texts=("10^6",),
        absent=("106",),
    )
    yield _case(
        "tab-and-break",
        "Name<w:r><w:tab/><w:t>Anna</w:t><w:br/><w:t>Town</w:t></w:r>",
        text="Name Anna Town",
        absent=("NameAnna", "AnnaTown"),
    )
    yield _blocks_in_content_control()
    yield _text_box()
    yield _merged_table()
    yield _headers_and_lists()
    yield _picture()


def _plain() -> Case:
    document = docx.Document()
    document.add_heading("Quarterly report", 1)
    document.add_paragraph("Sales grew in all regions, 数据 included.")
    rows = (("Region", "Q1", "Q2"), ("North", "10", "12"), ("South", "7", ""), ("East", "", "3"))
    table = document.add_table(rows=0, cols=3)
    for row in rows:
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    text = "Quarterly report Sales grew in all regions, 数据 included. " + " ".join(map(" ".join, rows))
    return Case("DOCX", "plain.docx", _saved(document), text, rows, texts=("# Quarterly report",))


def _case(
    name: str, line: str, *, text: str = "", texts: tuple[str, ...] = (), absent: tuple[str, ...] = ()
) -> Case:
    """Return a document whose paragraph has the runs and other elements in `line`; bare text becomes runs."""
    document = docx.Document()
    pieces = [
        piece if piece.startswith("<") else f'<w:r><w:t xml:space="preserve">{piece}</w:t></w:r>'
        for piece in _split(line)
    ]
    _append(document, f"<w:p {_W}>{''.join(pieces)}</w:p>")
    return Case("DOCX", f"{name}.docx", _saved(document), text or " ".join(texts), texts=texts, absent=absent)


def _split(line: str) -> Iterator[str]:
    """Yield the elements and the texts between them."""
    while line:
        if not line.startswith("<"):
            text, bracket, rest = line.partition("<")
            yield text
            line = bracket + rest
            continue
        name = line[1:].split(">")[0].split()[0].rstrip("/")
        head = line.split(">")[0]
        end = len(head) + 1 if head.endswith("/") else line.rindex(f"</{name}>") + len(name) + 3
        if line.count(f"<{name}") > 1 and not head.endswith("/"):
            end = line.index(f"</{name}>") + len(name) + 3
        yield line[:end]
        line = line[end:]


def _blocks_in_content_control() -> Case:
    document = docx.Document()
    paragraphs = "".join(
        f"<w:p><w:r><w:t>Paragraph {number} of the export.</w:t></w:r></w:p>" for number in range(9)
    )
    _append(document, f"<w:sdt {_W}><w:sdtPr/><w:sdtContent>{paragraphs}</w:sdtContent></w:sdt>")
    text = " ".join(f"Paragraph {number} of the export." for number in range(9))
    return Case("DOCX", "content-control-around-blocks.docx", _saved(document), text)


def _text_box() -> Case:
    document = docx.Document()
    _append(
        document,
        f'<w:p {_W} xmlns:v="urn:schemas-microsoft-com:vml"><w:r><w:t>Beside</w:t></w:r>'
        "<w:r><w:pict><v:shape><v:textbox><w:txbxContent><w:p><w:r><w:t>a boxed remark</w:t></w:r></w:p>"
        "</w:txbxContent></v:textbox></v:shape></w:pict></w:r></w:p>",
    )
    return Case("DOCX", "text-box.docx", _saved(document), "Beside a boxed remark")


def _merged_table() -> Case:
    document = docx.Document()
    table = document.add_table(rows=3, cols=3)
    table.cell(0, 0).merge(table.cell(0, 2)).text = "Prices"
    for row, texts in enumerate((("tea", "2", "3"), ("milk", "1", "4")), 1):
        for column, text in enumerate(texts):
            table.cell(row, column).text = text
    return Case(
        "DOCX",
        "merged-cells.docx",
        _saved(document),
        "Prices tea 2 3 milk 1 4",
        (("tea", "2", "3"), ("milk", "1", "4")),
    )


def _headers_and_lists() -> Case:
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "Confidential draft"
    document.sections[0].footer.paragraphs[0].text = "Page of the archive"
    for word in ("flour", "water", "salt"):
        document.add_paragraph(word, style="List Number")
    for word in ("bowl", "oven"):
        document.add_paragraph(word, style="List Bullet")
    return Case(
        "DOCX",
        "header-footer-lists.docx",
        _saved(document),
        "Confidential draft Page of the archive flour water salt bowl oven",
        texts=("1. flour", "3. salt", "- bowl"),
    )


def _picture() -> Case:
    document = docx.Document()
    document.add_paragraph("Look at this:")
    picture = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(picture, "png")
    picture.seek(0)
    document.add_picture(picture, width=Inches(1))
    document.inline_shapes[0]._inline.docPr.set("descr", "A red field")
    return Case("DOCX", "picture.docx", _saved(document), "Look at this", texts=("A red field]",))


def _append(document: Document, xml: str) -> None:
    body = document.element.body
    body.insert(len(body) - 1, parse_xml(xml))


def _saved(document: Document) -> bytes:
    written = io.BytesIO()
    document.save(written)
    return written.getvalue()
