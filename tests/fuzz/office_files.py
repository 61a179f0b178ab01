"""Office documents: whatever their XML is, they are read, or refused in words."""

import io
import zipfile
from functools import cache

from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.extraction import extract
from nanobot.reading.messages import ExtractedText, ExtractionFailure, ExtractionRequest
from tests.files import archive
from tests.fuzz.target import Target
from tests.office_files import docx, epub, frame, odf_part, odt, opendocument, paragraph, pptx, shape, xml

_BOUNDS = DocumentBounds(max_characters=5_000)
_RUN = "<w:r><w:rPr><w:vertAlign w:val='superscript'/></w:rPr><w:t>6</w:t></w:r>"
_NUMBERS = '<w:pPr><w:pStyle w:val="a"/><w:numPr><w:ilvl w:val="1"/><w:numId w:val="1"/></w:numPr></w:pPr>'
_CHART = (
    "<c:chart><c:ser><c:cat><c:strCache><c:pt idx='0'><c:v>a</c:v></c:pt></c:strCache></c:cat>"
    "<c:val><c:numCache>"
    "<c:formatCode>0%</c:formatCode><c:pt idx='0'><c:v>0.5</c:v></c:pt></c:numCache></c:val></c:ser>"
    "</c:chart>"
)
_DIAGRAM = (
    "<dgm:ptLst><dgm:pt modelId='1' type='doc'/><dgm:pt modelId='2'><dgm:t><a:p><a:r><a:t>x</a:t>"
    "</a:r></a:p></dgm:t>"
    "</dgm:pt></dgm:ptLst><dgm:cxnLst><dgm:cxn srcId='1' destId='2' srcOrd='0'/></dgm:cxnLst>"
)


@cache
def _documents() -> tuple[dict[str, bytes], ...]:
    """Return the members of a document of each format."""
    word = docx(
        f"<w:p>{_NUMBERS}{_RUN}<w:r><w:footnoteReference w:id='1'/></w:r></w:p><w:tbl><w:tr><w:tc>"
        f"<w:tcPr><w:gridSpan w:val='2'/></w:tcPr>{paragraph('cell')}</w:tc></w:tr></w:tbl>"
        "<w:sdt><w:sdtContent><w:p><m:oMath><m:sSup><m:e><m:r><m:t>a</m:t></m:r></m:e></m:sSup></m:oMath></w:p>"
        "</w:sdtContent></w:sdt><w:sectPr><w:headerReference r:id='h'/></w:sectPr>",
        {
            "styles": "<w:style w:styleId='a'><w:name w:val='heading 1'/><w:basedOn w:val='b'/></w:style>",
            "numbering": "<w:abstractNum w:abstractNumId='0'><w:lvl w:ilvl='1'><w:numFmt w:val='lowerRoman'/>"
            "<w:lvlText w:val='%1.%2'/></w:lvl></w:abstractNum><w:num w:numId='1'><w:abstractNumId"
            " w:val='0'/></w:num>",
            "footnotes": f"<w:footnote w:id='1'>{paragraph('note')}</w:footnote>",
            "word/header.xml": xml("w:hdr", paragraph("head")),
        },
        {"h": ("header", "header.xml")},
    )
    slides = pptx(
        shape("Title", placeholder="type='title'")
        + frame("<c:chart r:id='c'/>")
        + frame("<dgm:relIds r:dm='d'/>"),
        parts={"ppt/c.xml": xml("c:chartSpace", _CHART), "ppt/d.xml": xml("dgm:dataModel", _DIAGRAM)},
        links={"c": ("chart", "../c.xml"), "d": ("diagramData", "../d.xml")},
    )
    text = odt(
        "<text:h text:outline-level='1'>h</text:h><text:list text:style-name='L'><text:list-item>"
        "<text:p>a</text:p>"
        "</text:list-item></text:list><table:table><table:table-row><table:table-cell"
        " table:number-columns-repeated='3'><text:p>c</text:p></table:table-cell></table:table-row>"
        "</table:table>"
        "<text:p><draw:frame><draw:object xlink:href='./O'/></draw:frame></text:p>",
        styles="<text:list-style style:name='L'><text:list-level-style-number text:level='1'"
        " style:num-format='i'/>"
        "</text:list-style>",
        members={
            "O/content.xml": odf_part(
                "math:math", "<math:mfrac><math:mi>a</math:mi><math:mi>b</math:mi></math:mfrac>"
            )
        },
    )
    page = "<draw:page><draw:frame><draw:text-box><text:p>x</text:p></draw:text-box></draw:frame></draw:page>"
    show = opendocument(f"<office:presentation>{page}</office:presentation>", kind="presentation")
    return tuple(
        _members(each) for each in (word, slides, text, show, epub("<p>a<br/>b</p>", "<ul><li>c</ul>"))
    )


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def _check(members: dict[str, bytes]) -> None:
    outcome = extract(ExtractionRequest("zip", _BOUNDS), archive(members))
    if isinstance(outcome, ExtractionFailure):
        assert outcome.why
        return
    assert isinstance(outcome, ExtractedText)
    assert len(outcome.text) <= _BOUNDS.max_characters
    outcome.text.encode()


def check_part(content: bytes) -> None:
    """The first line is the name of a part; the rest is its content, in each format that has such a part."""
    name, _, part = content.partition(b"\n")
    for members in _documents():
        for known in members:
            if known.encode() == name:
                _check({**members, known: part})


def _seeds() -> tuple[bytes, ...]:
    return tuple(
        name.encode() + b"\n" + part
        for members in _documents()
        for name, part in members.items()
        if not name.startswith("mimetype")
    )


TARGETS = (
    Target(
        "office-files",
        check_part,
        _seeds(),
        (
            b"<w:p>", b"</w:p>", b"<w:r>", b"<w:t>a</w:t>", b"<w:fldChar w:fldCharType='begin'/>",
            b"<w:fldChar w:fldCharType='separate'/>", b"<w:fldChar w:fldCharType='end'/>", b"<w:tbl>"
                                                                                           b"", b"<w:tc>",
            b"<w:sdt>", b"<w:ins>", b"<w:del>", b"<w:vMerge/>", b"<mc:AlternateContent>", b"w:val='-1'",
            b"w:val='99999999999999999999'", b"w:val=''", b"<a:p>", b"<a:tbl>", b"<a:tc gridSpan='-1'>",
            b"<a:buAutoNum type='x' startAt='99999999999'/>", b"<c:ser>", b"idx='-1'", b"idx='999999999'",
            b"<c:v>1e999</c:v>", b"<c:v>nan</c:v>", b"<text:p>", b"<text:list>", b"<text:s"
                                                                                 b" text:c='99999999'/>",
            b"<draw:frame>", b"text:level='99'", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"&#0;",
            b"<![CDATA[",
            b"\xff\xfe", b"../../..", b"Target='/'", b"<m:oMath>", b"<m:f>", b"xmlns:w=''",
        ),
    ),
)  # fmt: skip
