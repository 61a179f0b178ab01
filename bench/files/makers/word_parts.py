"""DOCX whose text is spread over parts: notes, comments, equations, numbered headings; and unusual"
" packages."""

import io
import re
import zipfile
from collections.abc import Callable, Iterator

import docx
from docx.document import Document
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from bench.files.case import Case

_W = nsdecls("w", "r")
_M = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml."


def cases() -> Iterator[Case]:
    yield _notes()
    yield _comment()
    yield _equation()
    yield _numbered_headings()
    yield _hidden()
    plain = _saved(_plain())
    for name, change in (
        ("strict.docx", _strict),
        ("other-folders.docx", _moved),
        ("macros.docm", _typed("application/vnd.ms-word.document.macroEnabled.main+xml")),
        ("template.dotx", _typed(f"{_WORD}template.main+xml")),
        ("damaged-styles.docx", _damaged("word/styles.xml")),
        ("damaged-theme.docx", _damaged("word/theme/theme1.xml")),
    ):
        yield Case(
            "DOCX", name, _changed(plain, change), "A letter to Ann with a list", texts=("with a list",)
        )


def _plain() -> Document:
    document = docx.Document()
    document.add_paragraph("A letter to Ann")
    document.add_paragraph("with a list", style="List Bullet")
    return document


def _notes() -> Case:
    document = docx.Document()
    for kind, relation in (("footnote", "FOOTNOTES"), ("endnote", "ENDNOTES")):
        note = f'<w:{kind} w:id="2"><w:p><w:r><w:t>a {kind} about it</w:t></w:r></w:p></w:{kind}>'
        content = f"<w:{kind}s {_W}>{note}</w:{kind}s>".encode()
        part = Part(PackURI(f"/word/{kind}s.xml"), f"{_WORD}{kind}s+xml", content, document.part.package)
        document.part.relate_to(part, getattr(RELATIONSHIP_TYPE, relation))
    _append(
        document,
        f'<w:p {_W}><w:r><w:t>Claimed</w:t><w:footnoteReference w:id="2"/></w:r><w:r><w:t> and proved</w:t>'
        '<w:endnoteReference w:id="2"/></w:r></w:p>',
    )
    document.add_paragraph("later")
    return Case(
        "DOCX",
        "notes.docx",
        _saved(document),
        "Claimed and proved a footnote about it an endnote about it later".replace(" an ", " a "),
        texts=("Claimed[^1] and proved[^i]", "[^1]: a footnote about it", "[^i]: a endnote about it"),
    )


def _comment() -> Case:
    document = docx.Document()
    run = document.add_paragraph("The price is ").add_run("250 euro")
    document.add_comment(run, text="too much", author="Ann", initials="A")
    return Case(
        "DOCX",
        "comment.docx",
        _saved(document),
        "The price is 250 euro too much",
        texts=("250 euro [comment by Ann: too much]",),
    )


def _equation() -> Case:
    document = docx.Document()
    letter = "<m:r><m:t>{}</m:t></m:r>".format
    _append(
        document,
        f"<w:p {_W} {_M}><w:r><w:t>Area </w:t></w:r><m:oMath>{letter('A=π')}<m:sSup><m:e>{letter('r')}</m:e>"
        f"<m:sup>{letter('2')}</m:sup></m:sSup></m:oMath></w:p>",
    )
    return Case("DOCX", "equation.docx", _saved(document), "Area", texts=("A=πr^2",))


def _numbered_headings() -> Case:
    document = docx.Document()
    numbering = document.part.numbering_part.element
    levels = "".join(
        f'<w:lvl w:ilvl="{level}"><w:start w:val="1"/><w:numFmt w:val="{form}"/><w:lvlText'
        f' w:val="{text}"/></w:lvl>'
        for level, form, text in ((0, "decimal", "%1."), (1, "upperRoman", "%1-%2"))
    )
    numbering.insert(0, parse_xml(f'<w:abstractNum {_W} w:abstractNumId="77">{levels}</w:abstractNum>'))
    numbering.append(parse_xml(f'<w:num {_W} w:numId="77"><w:abstractNumId w:val="77"/></w:num>'))
    for text, level in (("Start", 0), ("Middle", 1), ("End", 1), ("Appendix", 0)):
        heading = document.add_heading(text, level + 1)
        properties = heading._p.get_or_add_pPr().get_or_add_numPr()  # noqa: SLF001
        properties.get_or_add_numId().val, properties.get_or_add_ilvl().val = 77, level
    return Case(
        "DOCX",
        "numbered-headings.docx",
        _saved(document),
        "Start Middle End Appendix",
        texts=("# 1. Start", "## 1-I Middle", "## 1-II End", "# 2. Appendix"),
    )


def _hidden() -> Case:
    document = docx.Document()
    document.add_paragraph("seen ").add_run("unseen").font.hidden = True
    return Case("DOCX", "hidden.docx", _saved(document), "seen unseen", texts=("[hidden: unseen]",))


_Change = Callable[[str, bytes], tuple[str, bytes]]


def _strict(name: str, content: bytes) -> tuple[str, bytes]:
    if not name.endswith((".xml", ".rels")):
        return name, content
    return name, re.sub(
        rb"http://schemas\.openxmlformats\.org/(wordprocessingml|officeDocument|drawingml)/2006/",
        rb"http://purl.oclc.org/ooxml/\1/",
        content,
    )


def _moved(name: str, content: bytes) -> tuple[str, bytes]:
    return name.replace("word/", "Inhalt/"), content.replace(b"word/", b"Inhalt/")


def _typed(content_type: str) -> _Change:
    def change(name: str, content: bytes) -> tuple[str, bytes]:
        return name, content.replace(f"{_WORD}document.main+xml".encode(), content_type.encode())

    return change


def _damaged(part: str) -> _Change:
    return lambda name, content: (name, content[: len(content) // 3] if name == part else content)


def _changed(document: bytes, change: _Change) -> bytes:
    written = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(document)) as old,
        zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for member in old.namelist():
            new.writestr(*change(member, old.read(member)))
    return written.getvalue()


def _append(document: Document, xml: str) -> None:
    body = document.element.body
    body.insert(len(body) - 1, parse_xml(xml))


def _saved(document: Document) -> bytes:
    written = io.BytesIO()
    document.save(written)
    return written.getvalue()
