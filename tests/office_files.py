"""Office documents for tests, made of pieces of their XML."""

from collections.abc import Mapping, Sequence

from nanobot.core.extent import START, Position
from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.extraction import extract
from nanobot.reading.messages import ExtractedText, ExtractionFailure, ExtractionRequest
from tests.files import archive

_OOXML = "http://schemas.openxmlformats.org/"
_DOCUMENT = f"{_OOXML}officeDocument/2006/relationships/"
_OASIS = "urn:oasis:names:tc:opendocument:xmlns:"
_NAMESPACES = {
    "w": f"{_OOXML}wordprocessingml/2006/main",
    "r": _DOCUMENT.rstrip("/"),
    "p": f"{_OOXML}presentationml/2006/main",
    "a": f"{_OOXML}drawingml/2006/main",
    "c": f"{_OOXML}drawingml/2006/chart",
    "dgm": f"{_OOXML}drawingml/2006/diagram",
    "pic": f"{_OOXML}drawingml/2006/picture",
    "wp": f"{_OOXML}drawingml/2006/wordprocessingDrawing",
    "m": f"{_OOXML}officeDocument/2006/math",
    "mc": f"{_OOXML}markup-compatibility/2006",
    "wps": "http://schemas.microsoft.com/office/word/2010/wordprocessingShape",
    "cx": "http://schemas.microsoft.com/office/drawing/2014/chartex",
    "v": "urn:schemas-microsoft-com:vml",
    "o": "urn:schemas-microsoft-com:office:office",
}
_ODF_NAMESPACES = {
    **{
        name: f"{_OASIS}{name}:1.0"
        for name in ("office", "text", "table", "style", "presentation", "chart", "form", "manifest")
    },
    "draw": f"{_OASIS}drawing:1.0",
    "svg": f"{_OASIS}svg-compatible:1.0",
    "xlink": "http://www.w3.org/1999/xlink",
    "dc": "http://purl.org/dc/elements/1.1/",
    "math": "http://www.w3.org/1998/Math/MathML",
    "field": "urn:openoffice:names:experimental:ooo-ms-interop:xmlns:field:1.0",
}
Links = Mapping[str, tuple[str, str]]
"""Relationships by id: kind and target. Targets with `://` lead outside."""


def xml(root: str, content: str, attributes: str = "", namespaces: Mapping[str, str] = _NAMESPACES) -> bytes:
    """Return a document whose root element is `root`."""
    declared = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in namespaces.items())
    return f'<?xml version="1.0"?><{root} {declared} {attributes}>{content}</{root}>'.encode()


def relations(links: Links) -> bytes:
    entries = ""
    for id_, (kind, target) in links.items():
        mode = 'TargetMode="External"' if "://" in target else ""
        entries += f'<Relationship Id="{id_}" Type="{_DOCUMENT}{kind}" Target="{target}" {mode}/>'
    return f'<Relationships xmlns="{_OOXML}package/2006/relationships">{entries}</Relationships>'.encode()


def package(main: str, members: Mapping[str, bytes]) -> bytes:
    """Return an OOXML file whose main part is `main`."""
    return archive(
        {
            "[Content_Types].xml": f'<Types xmlns="{_OOXML}package/2006/content-types"/>'.encode(),
            "_rels/.rels": relations({"r0": ("officeDocument", main)}),
            **members,
        }
    )


def docx(body: str, parts: Mapping[str, str | bytes] = {}, links: Links = {}) -> bytes:  # noqa: B006
    """Return a DOCX. `parts`: the content of `styles`, `numbering`, `footnotes`, … by what they are."""
    known = {
        "styles": "w:styles",
        "numbering": "w:numbering",
        "settings": "w:settings",
        "footnotes": "w:footnotes",
        "endnotes": "w:endnotes",
        "comments": "w:comments",
    }
    members = {
        f"word/{name}.xml": content if isinstance(content, bytes) else xml(known[name], content)
        for name, content in parts.items()
        if name in known
    }
    members |= {
        name: content for name, content in parts.items() if isinstance(content, bytes) and "/" in name
    }
    own = {f"own{name}": (name, f"{name}.xml") for name in parts if name in known}
    return package(
        "word/document.xml",
        {
            "word/document.xml": xml("w:document", f"<w:body>{body}</w:body>"),
            "word/_rels/document.xml.rels": relations({**own, **links}),
            **members,
        },
    )


def paragraph(content: str, properties: str = "") -> str:
    """Return a paragraph of Word; text without elements in it is a run."""
    runs = content if content.startswith("<") else f"<w:r><w:t>{content}</w:t></w:r>"
    return f"<w:p>{f'<w:pPr>{properties}</w:pPr>' if properties else ''}{runs}</w:p>"


def run(text: str, properties: str = "") -> str:
    return f"<w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r>"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Word; the cells are texts, or the content of `w:tc`."""
    lines = (
        "".join(f"<w:tc>{cell if cell.startswith('<') else paragraph(cell)}</w:tc>" for cell in row)
        for row in rows
    )
    return f"<w:tbl>{''.join(f'<w:tr>{line}</w:tr>' for line in lines)}</w:tbl>"


def pptx(
    *slides: str,
    attributes: str = "",
    parts: Mapping[str, bytes] = {},
    links: Links = {},  # noqa: B006
) -> bytes:
    """Return a PPTX of these shapes. `parts` and `links` are those of the last slide."""
    names = [f"slides/s{number}.xml" for number in range(len(slides))]
    ids = "".join(f'<p:sldId id="{256 + number}" r:id="s{number}"/>' for number in range(len(slides)))
    members = {
        f"ppt/{name}": xml("p:sld", tree(shapes), attributes)
        for name, shapes in zip(names, slides, strict=True)
    }
    return package(
        "ppt/presentation.xml",
        {
            "ppt/presentation.xml": xml("p:presentation", f"<p:sldIdLst>{ids}</p:sldIdLst>"),
            "ppt/_rels/presentation.xml.rels": relations(
                {f"s{number}": ("slide", name) for number, name in enumerate(names)}
            ),
            f"ppt/slides/_rels/s{len(slides) - 1}.xml.rels": relations(links),
            **members,
            **parts,
        },
    )


def tree(shapes: str) -> str:
    return f"<p:cSld><p:spTree>{shapes}</p:spTree></p:cSld>"


def shape(*paragraphs: str, placeholder: str = "") -> str:
    """Return a shape with text; paragraphs are texts, or the content of `a:p`."""
    texts = "".join(
        f"<a:p>{text if text.startswith('<') else f'<a:r><a:t>{text}</a:t></a:r>'}</a:p>"
        for text in paragraphs
    )
    ph = f"<p:ph {placeholder}/>" if placeholder else ""
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="1" name="x"/><p:cNvSpPr/><p:nvPr>{ph}</p:nvPr></p:nvSpPr>'
        f"<p:txBody><a:bodyPr/>{texts}</p:txBody></p:sp>"
    )


def frame(content: str) -> str:
    return (
        '<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id="1" name="x"/></p:nvGraphicFramePr>'
        f'<a:graphic><a:graphicData uri="x">{content}</a:graphicData></a:graphic></p:graphicFrame>'
    )


def opendocument(
    body: str, *, styles: str = "", kind: str = "text", more: str = "", members: Mapping[str, bytes] = {}
) -> bytes:
    """Return an ODT, or ODP. `styles`: those of the content; `more`: what is in the part for styles."""
    content = f"<office:automatic-styles>{styles}</office:automatic-styles><office:body>{body}</office:body>"
    return archive(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}".encode(),
            "content.xml": xml("office:document-content", content, namespaces=_ODF_NAMESPACES),
            "styles.xml": xml("office:document-styles", more, namespaces=_ODF_NAMESPACES),
            **members,
        }
    )


def odf_part(root: str, content: str) -> bytes:
    return xml(root, content, namespaces=_ODF_NAMESPACES)


def odt(text: str, *, styles: str = "", more: str = "", members: Mapping[str, bytes] = {}) -> bytes:
    return opendocument(f"<office:text>{text}</office:text>", styles=styles, more=more, members=members)


def epub(
    *chapters: str, manifest: str = "", members: Mapping[str, bytes] = {}, spine: Sequence[int] = ()
) -> bytes:
    """Return an EPUB of these bodies, in the order that `spine` says."""
    items = "".join(
        f'<item id="c{number}" href="c%20{number}.xhtml" media-type="application/xhtml+xml"/>'
        for number in range(len(chapters))
    )
    order = "".join(f'<itemref idref="c{number}"/>' for number in spine or range(len(chapters)))
    opf = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        "<dc:title>The Sea</dc:title><dc:creator>Ann</dc:creator></metadata>"
        f"<manifest>{items}{manifest}</manifest><spine>{order}</spine></package>"
    )
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="Text/book.opf"/></rootfiles></container>'
    )
    page = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>{}</body></html>'
    return archive(
        {
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": container.encode(),
            "Text/book.opf": opf.encode(),
            **{f"Text/c {number}.xhtml": page.format(body).encode() for number, body in enumerate(chapters)},
            **members,
        }
    )


def extraction(
    content: bytes, *, start: Position = START, wants_pictures: bool = False
) -> ExtractedText | ExtractionFailure:
    """Return what the worker makes of a zip archive."""
    bounds = DocumentBounds(max_characters=2_000_000, max_pictures=8 if wants_pictures else 0)
    return extract(ExtractionRequest("zip", bounds, start=start), content)


def text_of(content: bytes) -> str:
    outcome = extraction(content)
    assert isinstance(outcome, ExtractedText), outcome
    return outcome.text


def refusal(content: bytes) -> ExtractionFailure:
    outcome = extraction(content)
    assert isinstance(outcome, ExtractionFailure), outcome
    return outcome
