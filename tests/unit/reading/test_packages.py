"""Which format a zip archive is in is seen by what it says of itself, whatever its folders are called."""

import io
import zipfile

import pytest

from nanobot.reading.messages import Unreadable
from nanobot.reading.packages import package_kind
from tests.files import archive
from tests.office_files import docx, epub, odt, package, paragraph, pptx, relations, shape, text_of, xml

_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Override PartName="/{}" ContentType="{}"/></Types>'
)


def kind_of(content: bytes) -> str:
    return package_kind(zipfile.ZipFile(io.BytesIO(content)))


def typed(content_type: str, part: str = "any/thing.xml") -> bytes:
    return archive(
        {
            "[Content_Types].xml": _TYPES.format(part, content_type).encode(),
            "_rels/.rels": relations({"r": ("officeDocument", part)}),
            part: b"<a/>",
        }
    )


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml", "docx"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml", "docx"),
        ("application/vnd.ms-word.document.macroEnabled.main+xml", "docx"),
        ("application/vnd.ms-word.template.macroEnabledTemplate.main+xml", "docx"),
        ("application/vnd.openxmlformats-officedocument.presentationml.slideshow.main+xml", "pptx"),
        ("application/vnd.openxmlformats-officedocument.presentationml.template.main+xml", "pptx"),
        ("application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml", "pptx"),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml", "xlsx"),
        ("application/vnd.ms-excel.sheet.macroEnabled.main+xml", "xlsx"),
        ("application/vnd.ms-excel.sheet.binary.macroEnabled.main", "xlsb"),
    ],
)
def test_documents_templates_and_files_with_macros_are_of_their_kind(content_type: str, kind: str) -> None:
    assert kind_of(typed(content_type)) == kind


def test_formats_that_say_what_they_are_in_a_member_are_of_that_kind() -> None:
    assert kind_of(odt("<text:p>x</text:p>")) == "odt"
    assert kind_of(epub("<p>x</p>")) == "epub"
    for media_type, kind in (("spreadsheet-template", "ods"), ("presentation", "odp"), ("text-web", "odt")):
        content = f"application/vnd.oasis.opendocument.{media_type}".encode()
        assert kind_of(archive({"mimetype": content})) == kind


def test_a_document_without_content_types_or_the_usual_folders_is_read() -> None:
    main = xml("w:document", f"<w:body>{paragraph('found me')}</w:body>")
    assert text_of(package("Stuff/Main.xml", {"stuff/main.xml": main})) == "found me"
    assert text_of(archive({"[Content_Types].xml": b"<Types/>", "word/document.xml": main})) == "found me"


def test_parts_are_found_by_relationships_absolute_and_whatever_their_case() -> None:
    main = xml(
        "w:document", "<w:body>" + paragraph('<w:r><w:footnoteReference w:id="1"/></w:r>') + "</w:body>"
    )
    notes = xml("w:footnotes", f'<w:footnote w:id="1">{paragraph("a note")}</w:footnote>')
    members = {
        "A/Main.xml": main,
        "A/_rels/Main.xml.rels": relations({"n": ("footnotes", "/B%20c/../b c/NOTES.xml")}),
        "B c/notes.xml": notes,
    }
    assert text_of(package("/a/main.xml", members)) == "[^1]\n[^1]: a note"


@pytest.mark.parametrize("content", [docx(paragraph("strict")), pptx(shape("strict"))])
def test_strict_documents_are_read(content: bytes) -> None:
    strict = {}
    with zipfile.ZipFile(io.BytesIO(content)) as members:
        for name in members.namelist():
            part = members.read(name)
            for word in (b"wordprocessingml", b"presentationml", b"drawingml", b"officeDocument"):
                usual = b"http://schemas.openxmlformats.org/" + word + b"/2006/"
                part = part.replace(usual, b"http://purl.oclc.org/ooxml/" + word + b"/")
            strict[name] = part
    assert text_of(archive(strict)).endswith("strict")


@pytest.mark.parametrize(
    ("member", "word"),
    [
        ("Index/Document.iwa", "Pages"),
        ("visio/document.xml", "Visio"),
        ("FixedDocSeq.fdseq", "XPS"),
        ("a", "EPUB"),
    ],
)
def test_other_archives_are_refused_with_advice(member: str, word: str) -> None:
    with pytest.raises(Unreadable, match=word) as refused:
        kind_of(archive({member: b"x"}))
    assert refused.value.failure.reason == "unsupported"
