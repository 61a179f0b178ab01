"""Files of any format: each is read, or refused in words; no reader fails in any other way.

Those that begin as archives would only try how archives are refused: a part of a good one is what is changed.
"""

import io
import zipfile
from collections.abc import Callable

import msgspec

from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.extraction import extract
from nanobot.reading.kinds import Kind
from nanobot.reading.messages import ExtractedText, ExtractionFailure, ExtractionRequest
from tests import files, pdfs, xls
from tests.fuzz.target import Target

_BOUNDS = DocumentBounds(max_characters=20_000, max_rows=2_000, max_pages=50)


def _reading(kind: Kind) -> Callable[[bytes], None]:
    """Return the check that a file of this kind is read or refused."""

    def run(content: bytes) -> None:
        check(kind, content)

    return run


def check(kind: Kind, content: bytes) -> None:
    """Read the file; the text must fit the bounds and be fit to be written as JSON."""
    extraction = extract(ExtractionRequest(kind, _BOUNDS), content)
    msgspec.json.encode(extraction)
    if isinstance(extraction, ExtractionFailure):
        assert extraction.why, "a file is refused without a word"
        assert extraction.reason != "missing", f"{extraction.why} is not installed"
    else:
        assert isinstance(extraction, ExtractedText)
        # Notes behind the text are a few lines at most.
        assert len(extraction.text) <= _BOUNDS.max_characters + 1_000


def _within(office: bytes, part: str) -> Callable[[bytes], None]:
    """Return the check of a document in which the input stands for a part."""

    def run(content: bytes) -> None:
        check("zip", files.replaced(office, part, content))

    return run


def _part(office: bytes, part: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(office)) as archive:
        return archive.read(part)


_SHEET = files.sheet([["what", 1, "=A1"], [2.5, True, "x"]])
_ROWS = "xl/worksheets/sheet1.xml"
_STYLES = "xl/styles.xml"
_PAGE = pdfs.page(pdfs.at(72, 700, "words"), pdfs.line(60, 690, 300, 690), pdfs.line(60, 690, 60, 720))
_ODS = files.archive(
    {"mimetype": b"application/vnd.oasis.opendocument.spreadsheet", "content.xml": b"<a/>", "META-INF/x": b""}
)
_CELLS = (
    b'<d xmlns:t="t" xmlns:x="x" xmlns:o="o"><t:table t:name="a"><t:table-row t:number-rows-repeated="3">'
    b'<t:table-cell t:number-columns-repeated="2" o:value-type="float"><x:p>5</x:p>'
    b"</t:table-cell></t:table-row>"
    b"</t:table></d>"
)

TARGETS = (
    Target(
        "pdf",
        _reading("pdf"),
        (_PAGE, files.pdf("words", pages=2)),
        (b"/Annots", b"/Rotate 90", b" Tm", b" Tj"),
    ),
    Target(
        "sheet-rows",
        _within(_SHEET, _ROWS),
        (_part(_SHEET, _ROWS),),
        (
            b'r="XFD1048576"',
            b'hidden="1"',
            b'<f t="shared" si="0">',
            b't="s"',
            b't="d"',
            b"<mergeCell ref=",
            b"<is>",
        ),
    ),
    Target(
        "sheet-styles",
        _within(_SHEET, _STYLES),
        (_part(_SHEET, _STYLES),),
        (b'formatCode="[h]:mm"', b'numFmtId="14"', b"<numFmt ", b'"0.0%"', b"<xf "),
    ),
    Target(
        "ods",
        _within(_ODS, "content.xml"),
        (_CELLS,),
        (b"-repeated=", b"-spanned=", b"<x:s/>", b"t:formula="),
    ),
    Target(
        "xls",
        _reading("xls"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 512,
            xls.book({"A": [xls.number(0, 0, 0.25, 1), xls.error(1, 0, 0x2A)]}, ("0%",), small=True),
        ),
        (b"\xfe\xff\xff\xff", b"\x09\x08", b"\x1e\x04", b"\xe0\x00\x14\x00", b"\xbd\x00"),
    ),
    Target(
        "flat",
        _reading("flat"),
        (
            b'<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
            b' xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"'
            b' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:text>'
            b"<text:p>a<draw:frame><draw:image><office:binary-data>QQ==</office:binary-data></draw:image></draw:frame>"
            b"</text:p></office:text></office:body></office:document>",
        ),
        (b"<office:spreadsheet>", b"<draw:object>", b"<office:document>", b"<text:h>"),
    ),
    Target(
        "xml-sheets",
        _reading("xml-sheets"),
        (
            b'<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"'
            b' xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet"><Styles><Style ss:ID="p"><NumberFormat'
            b' ss:Format="Percent"/></Style></Styles><Worksheet ss:Name="A"><Table><Row ss:Index="2">'
            b'<Cell ss:Index="3" ss:MergeAcross="1" ss:StyleID="p"><Data ss:Type="Number">0.5</Data></Cell>'
            b"</Row></Table></Worksheet></Workbook>",
        ),
        (b'ss:Type="DateTime"', b"ss:Span=", b"ss:Hidden=", b"<Column ", b"ss:HRef="),
    ),
    Target(
        "html",
        _reading("html"),
        (
            b"<table><tr><td colspan=2>a<td rowspan=3>b</table><ol start=3><li>c</ol>"
            b"<pre>\nd</pre><p hidden>e",
        ),
        (
            b"<table>",
            b"<select>",
            b"<sup>",
            b"</a>",
            b"<img src=data:image/png;base64,",
            b"<dd>",
            b"style=display:none",
        ),
    ),
    Target(
        "rtf",
        _reading("rtf"),
        (
            b"{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0\\fcharset204 A;}}"
            b"\\f0 \\'cf\\u20320?{\\footnote b}\\cell\\row\\par}",
        ),
        (b"\\bin", b"\\uc", b"\\'", b"{\\*\\", b"\\fldinst ", b"\\u-1?", b"\\pict"),
    ),
    Target(
        "mail",
        _reading("mail"),
        (
            b"From: a\nSubject: =?utf-8?q?b=C3=A9?=\nMIME-Version: 1.0\n"
            b"Content-Type: multipart/mixed; boundary=x\n\n"
            b"--x\nContent-Type: text/html; charset=koi8-r\n\n<p>c\n"
            b"--x\nContent-Type: message/rfc822\n\nFrom: d\n\ne\n--x--",
        ),
        (b"--x\n", b"Content-Type: ", b"base64\n\n", b"=?utf-8?b?", b"filename*0=", b"multipart/alternative"),
    ),
    Target(
        "notebook",
        _reading("notebook"),
        (b'{"cells":[{"cell_type":"code","source":["a"],"outputs":[{"output_type":"stream","text":"b"}]}]}',),
        (b'"cells"', b'"outputs"', b'"data"', b'"image/png"', b'"worksheets"', b"null", b"[]", b"{}"),
    ),
    Target(
        "text",
        _reading("text"),
        ("姓名,城市".encode("gb18030"), "Größe".encode("cp1252"), "お知らせ".encode("iso2022_jp")),
        (b"\xff\xfe", b"\x1b$B", b"\0", b"\xef\xbb\xbf", b"\xff"),
    ),
)
