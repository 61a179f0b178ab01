"""Files are read into text within bounds; what is broken, encrypted or meant to do harm is a clear error, and
costs little.
"""

import asyncio
import io
import os
import sys
import zipfile
from pathlib import Path

import docx
import msgspec
import pytest

from nanobot.core.errors import EncryptedFile, InvalidRequest, UnreadableFile, UnsupportedFile
from nanobot.reading.archives import open_archive, refuse_declarations
from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.documents import DocumentReader
from nanobot.reading.extraction import extract
from nanobot.reading.messages import ExtractedText, ExtractionFailure, ExtractionRequest, Unreadable
from nanobot.workers.pool import WorkerPool
from tests import files


async def text_of(content: bytes, name: str = "", **bounds: float) -> str:
    return (await document_of(content, name, **bounds)).text


async def document_of(content: bytes, name: str = "", **bounds: float) -> ExtractedText:
    workers = WorkerPool()
    try:
        return await DocumentReader(workers, msgspec.convert(bounds, DocumentBounds)).read(content, name=name)
    finally:
        await workers.close()


# What is read -------------------------------------------------------------------------------------


async def test_a_pdf_says_what_stands_on_each_page() -> None:
    assert (
        await text_of(files.pdf("Invoice 4711", pages=2), "a.pdf")
        == "[page 1]\nInvoice 4711\n\n[page 2]\nInvoice 4711"
    )


async def test_a_docx_says_its_paragraphs_and_tables_in_order() -> None:
    content = files.word("Dear Ann,", "the list:", table=[["tea", "2,50"], ["milk", "1"]])
    assert await text_of(content, "letter.docx") == (
        "Dear Ann,\nthe list:\n| tea | 2,50 |\n|---|---|\n| milk | 1 |"
    )


async def test_an_xlsx_says_its_sheets_as_tables() -> None:
    content = files.sheet([["what", "price"], ["tea", 2.5], [], [None, "end"]])
    assert (
        await text_of(content, "prices.xlsx") == "[sheet 1: Prices]\n|  | A | B |\n|---|---|---|\n"
        "| 1 | what | price |\n| 2 | tea | 2.5 |\n| 4 |  | end |"
    )


async def test_a_pptx_says_its_slides_and_notes() -> None:
    text = await text_of(files.slides("Plan", "Step one", notes="breathe"), "plan.pptx")
    assert text == "[slide 1]\n# Plan\nStep one\n[notes: breathe]"


async def test_an_html_page_says_what_it_shows_and_not_its_scripts() -> None:
    page = (
        b"<!doctype html><title>Menu</title><body><h1>To<b>day</b></h1><script>evil()</script>"
        b"<p>Soup\n  &amp; bread<table><tr><td>a<td>b</table>"
    )
    assert await text_of(page) == "Menu\n\n# Today\n\nSoup & bread\n\n| a | b |\n|---|---|"


async def test_a_page_in_another_encoding_says_so_itself() -> None:
    page = '<html><meta charset="gb2312"><body>你好</body></html>'.encode("gb2312")
    assert await text_of(page, "page.html") == "你好"


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        ("x,y\n1,2\n".encode("utf-8-sig"), "a.csv", "x,y\n1,2\n"),
        ("Größe".encode("utf-16"), "a.txt", "Größe"),
        ("Größe €".encode("cp1252"), "a.txt", "Größe €"),
        ("# Zoë".encode(), "notes.md", "# Zoë"),
        (b"def f():\n\treturn 1\n", "f.py", "def f():\n\treturn 1\n"),
        (b'{"a": 1}', "", '{"a": 1}'),
        (b"", "empty.txt", ""),
    ],
)
async def test_text_and_code_are_read_as_they_are_in_any_usual_encoding(
    content: bytes, name: str, text: str
) -> None:
    assert (await text_of(content, name)) == text


async def test_the_kind_is_seen_in_the_bytes_whatever_the_name_says() -> None:
    assert await text_of(files.pdf("hello"), "upload") == "[page 1]\nhello"
    assert await text_of(files.word("hello")) == "hello"


async def test_a_pdf_that_is_encrypted_without_a_password_is_read() -> None:
    assert "open to all" in await text_of(files.pdf("open to all", encrypted=True))


async def test_a_text_that_speaks_of_formats_is_still_a_text() -> None:
    for text in (
        b"if head.startswith(b'%PDF-'): ...",
        b"ID3,name\n1,a\n",
        b"see <html> for more",
        b"<!---->" * 500 + b"x",
        b"PK is a name",
    ):
        assert (await text_of(text)).encode() == text


async def test_bytes_before_a_pdf_do_not_hide_it() -> None:
    assert await text_of(b"\xef\xbb\xbf\r\n" + files.pdf("hello")) == "[page 1]\nhello"
    assert await text_of(b"HTTP/1.1 200 OK\n\n" + files.pdf("hello"), name="a.pdf") == "[page 1]\nhello"


async def test_a_cell_that_spans_several_places_is_told_once() -> None:
    document = docx.Document()
    table = document.add_table(rows=2, cols=2)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
    table.cell(1, 0).text, table.cell(1, 1).text = "a", "b"
    written = io.BytesIO()
    document.save(written)
    assert await text_of(written.getvalue()) == "| wide |  |\n|---|---|\n| a | b |"


# What is refused ----------------------------------------------------------------------------------


async def refused(kind: type[InvalidRequest], content: bytes, name: str = "", **bounds: float) -> str:
    with pytest.raises(InvalidRequest) as raised:
        await document_of(content, name, **bounds)
    assert type(raised.value) is kind, raised.value
    assert raised.value.http_status == 400
    return raised.value.message


@pytest.mark.parametrize("algorithm", ["AES-256", "RC4-128"])
async def test_a_pdf_with_a_password_is_told_to_be_encrypted(algorithm: str) -> None:
    words = await refused(EncryptedFile, files.pdf(password="secret", algorithm=algorithm), "tax.pdf")
    assert "'tax.pdf'" in words and "password" in words


async def test_an_office_document_with_a_password_is_told_to_be_encrypted() -> None:
    encrypted = files.compound("EncryptionInfo", "EncryptedPackage")
    assert "password" in await refused(EncryptedFile, encrypted, "plan.xlsx")


async def test_an_encrypted_zip_is_told_to_be_encrypted() -> None:
    content = bytearray(files.word("secret"))
    directory = content.index(b"PK\x01\x02")
    content[directory + 8] |= 1
    assert "password" in await refused(EncryptedFile, bytes(content), "a.docx")


@pytest.mark.parametrize(
    ("stream", "name", "advice"),
    [
        ("WordDocument", "old.doc", "DOCX"),
        ("WORDDOCUMENT", "old.doc", "DOCX"),
        ("PP40", "old.ppt", "PPTX"),
        ("PowerPoint Document", "old.ppt", "PPTX"),
        ("__properties_version1.0", "mail.msg", "EML"),
        ("Contents", "old.wps", "PDF"),
    ],
)
async def test_an_old_office_format_names_the_way_out(stream: str, name: str, advice: str) -> None:
    assert advice in await refused(UnsupportedFile, files.compound("\5SummaryInformation", stream), name)


async def test_a_container_that_is_broken_is_unreadable() -> None:
    for content in (files.compound("WordDocument")[:600], files.compound("WordDocument")[:40]):
        assert "broken" in await refused(UnreadableFile, content, "old.doc")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (files.pdf()[:150], "cut.pdf"),
        (b"%PDF-1.7\nnothing of the kind", "no.pdf"),
        (b"plain words", "says.pdf"),
        (files.pdf(), "says.docx"),
        (files.word("hello")[:-200], "cut.docx"),
        (files.replaced(files.word("hello"), "word/document.xml", b"<w:document"), "broken.docx"),
        (files.replaced(files.sheet([[1]]), "xl/workbook.xml", b"<nothing/>"), "broken.xlsx"),
        (files.replaced(files.slides("a", "b"), "ppt/presentation.xml", b"\xff\xfe"), "broken.pptx"),
    ],
)
async def test_a_broken_file_is_unreadable_and_named(content: bytes, name: str) -> None:
    assert f"'{name}'" in await refused(UnreadableFile, content, name)


@pytest.mark.parametrize(
    ("content", "name", "word"),
    [
        (files.PNG, "cat.png", "image_url"),
        (files.WAV, "hello.wav", "input_audio"),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 64, "tool", "kind"),
        (files.archive({"a.txt": b"hello"}), "a.zip", "DOCX"),
        (files.archive({"[Content_Types].xml": b"<a/>", "other/x.xml": b"<a/>"}), "x.vsdx", "DOCX"),
    ],
)
async def test_a_kind_that_is_not_read_is_unsupported_and_told_what_is(
    content: bytes, name: str, word: str
) -> None:
    assert word in await refused(UnsupportedFile, content, name)


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"\0\0\0\x1cftypheic\0\0\0\0", "a picture in the format HEIC: save it as JPEG or PNG"),
        (b"II*\0\x08\0\0\0", "a picture in the format TIFF: save it as JPEG or PNG"),
        (b"\0\0\0\x1cftypM4A \0\0\0\0", "a recording send MP3 or WAV"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "compressed: send the files that are in it"),
        (b"a.txt".ljust(257, b"\0") + b"ustar\x0000", "an archive: send the files that are in it"),
        (b"SQLite format 3\0\x10\0", "export what you need of it as CSV"),
        (b"PAR1\x15\0\x15\0", "export it as CSV"),
        (b"\x93NUMPY\x01\0v\0", "of a kind that is not read here"),
    ],
)
async def test_what_nothing_reads_says_what_it_is_and_what_to_send_instead(
    content: bytes, advice: str
) -> None:
    assert advice in await refused(UnsupportedFile, content, "a.dat")


async def test_a_pdf_of_pictures_only_is_told_to_have_no_text() -> None:
    assert "no text" in await refused(UnreadableFile, files.pdf(""), "scan.pdf")


async def test_a_name_is_shown_on_one_line_and_not_too_long() -> None:
    words = await refused(UnsupportedFile, files.PNG, "evil\n\x1b[31m" + "x" * 500)
    assert words.isprintable() and len(words) < 200


# Bounds -------------------------------------------------------------------------------------------


async def test_a_file_over_the_size_is_refused_unread() -> None:
    assert "at most 10" in await refused(UnreadableFile, b"x" * 11, max_bytes=10)


@pytest.mark.parametrize(
    "content",
    [files.pdf("word " * 50), files.word("word " * 50), files.sheet([["word " * 50]]), b"word " * 50],
)
async def test_text_over_the_bound_is_cut_and_said_to_be(content: bytes) -> None:
    document = await document_of(content, max_characters=100)
    assert document.extent.cut is not None
    assert len(document.text) <= 100


async def test_text_of_just_the_bound_is_not_said_to_be_cut() -> None:
    document = await document_of(b"x" * 100, max_characters=100)
    assert document.text == "x" * 100 and document.extent.cut is None


async def test_an_archive_that_unpacks_to_too_much_is_not_unpacked() -> None:
    bomb = files.replaced(files.word("hello"), "word/media/a.bin", b"\0" * 3_000_000)
    assert "unpacks to" in await refused(UnreadableFile, bomb, "bomb.docx", max_unpacked_bytes=1_000_000)


async def test_an_archive_that_is_packed_too_well_is_not_unpacked() -> None:
    bomb = files.replaced(files.word("hello"), "word/document.xml", b" " * 30_000_000)
    assert "times its size" in await refused(UnreadableFile, bomb, "bomb.docx")


async def test_an_archive_of_too_many_files_is_not_unpacked() -> None:
    many = files.archive({f"word/{number}.xml": b"" for number in range(50)} | {"[Content_Types].xml": b""})
    assert "at most 40" in await refused(UnreadableFile, many, "many.docx", max_members=40)


async def test_an_archive_inside_is_never_opened() -> None:
    inner = files.archive({"bomb": b"\0" * 1_000_000})
    nested = files.replaced(
        files.word("hello"), "word/embeddings/inner.zip", files.archive({"again.zip": inner})
    )
    assert await text_of(nested, "nested.docx") == "hello"


async def test_an_archive_that_lies_about_its_size_is_found_out() -> None:
    """The directory says how much is unpacked, and no more ever is."""
    content = bytearray(
        files.archive({"[Content_Types].xml": b"<a>" + b" " * 100_000, "word/document.xml": b"<a/>"})
    )
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = (10).to_bytes(4, "little")
    with pytest.raises(Unreadable):
        refuse_declarations(open_archive(bytes(content), DocumentBounds()))


async def test_an_archive_whose_content_is_broken_is_found_out() -> None:
    content = bytearray(files.archive({"[Content_Types].xml": b"<a>" + b" " * 100_000}))
    start = content.index(b"xml", content.index(b"[Content_Types]")) + 3
    # a block of a type that there is not
    content[start] |= 0b110
    with pytest.raises(Unreadable):
        refuse_declarations(open_archive(bytes(content), DocumentBounds()))


async def test_two_files_of_one_name_in_an_archive_are_refused() -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as made:
        made.writestr("[Content_Types].xml", b"<a/>")
        with pytest.warns(UserWarning, match="Duplicate"):
            made.writestr("[Content_Types].xml", b"<b/>")
    assert "one name" in await refused(UnreadableFile, written.getvalue(), "twice.docx")


BILLION_LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    b"<w:document>&b;</w:document>"
)
PEEK = b"""<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d>&x;</d>"""


@pytest.mark.parametrize("xml", [BILLION_LAUGHS, PEEK, PEEK.decode().encode("utf-16")])
@pytest.mark.parametrize(
    ("document", "member"),
    [
        (files.word("hello"), "word/document.xml"),
        (files.sheet([["hello"]]), "xl/sharedStrings.xml"),
        (files.slides("hello", "you"), "ppt/slides/slide1.xml"),
    ],
)
async def test_xml_with_entities_is_refused_before_any_library_sees_it(
    document: bytes, member: str, xml: bytes
) -> None:
    assert "entities" in await refused(UnreadableFile, files.replaced(document, member, xml))


async def test_a_pdf_of_too_many_pages_is_refused() -> None:
    assert "at most 2" in await refused(UnreadableFile, files.pdf(pages=3), max_pages=2)


async def test_a_workbook_of_too_many_rows_says_what_is_not_read() -> None:
    text = await text_of(files.sheet([[number] for number in range(20)]), max_rows=5)
    assert "| 5 | 4 |" in text and "| 6 |" not in text
    assert text.endswith("[the rows after the first 5 are not read]")


async def test_a_file_that_takes_too_long_is_given_up_and_its_process_is_gone() -> None:
    assert "longer than 0.01 s" in await refused(UnreadableFile, files.pdf(), wall_s=0.01)


async def test_a_file_that_takes_too_much_memory_is_given_up() -> None:
    big = files.replaced(
        files.word("hello"), "word/document.xml", b"<a>" + bytes(range(32, 60)) * 5_000_000 + b"</a>"
    )
    words = await refused(UnreadableFile, big, memory_bytes=200 * 2**20, max_ratio=100_000)
    assert "memory" in words


async def test_a_file_that_computes_for_too_long_is_given_up() -> None:
    page = b"<html><body>" + b"<div><p>word " * 400_000
    words = await refused(UnreadableFile, page, cpu_s=1, max_characters=10_000_000)
    assert "1 s of computing" in words


async def test_deep_nesting_is_no_danger() -> None:
    page = b"<html><body>" + b"<div>" * 5_000 + b"deep"
    assert await text_of(page) == "deep"


async def test_many_files_at_once_are_all_read() -> None:
    workers = WorkerPool()
    documents = DocumentReader(workers)
    found = await asyncio.gather(*(documents.read(files.pdf(f"number {number}")) for number in range(5)))
    await workers.close()
    assert [document.text for document in found] == [f"[page 1]\nnumber {number}" for number in range(5)]


async def test_without_the_extra_the_error_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pypdfium2.py").write_text("raise ModuleNotFoundError(name='pypdfium2')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    words = await refused(UnsupportedFile, files.pdf(), "a.pdf")
    assert words.endswith('(pip install "nanobot-server[documents]")')


def test_what_reads_a_format_and_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    monkeypatch.delitem(sys.modules, "nanobot.reading.formats.pdf", raising=False)
    outcome = extract(ExtractionRequest("pdf", DocumentBounds()), files.pdf())
    assert outcome == ExtractionFailure("missing", "pypdfium2")
