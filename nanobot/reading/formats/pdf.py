"""PDF as text, page by page; pages without text as pictures."""

from collections.abc import Sequence
from contextlib import closing

import pypdfium2
import pypdfium2.raw as pdfium

from nanobot.reading.formats.pdf_characters import Character, read_characters, read_edges
from nanobot.reading.formats.pdf_notes import PdfNotes, attached_files, notes_of
from nanobot.reading.formats.pdf_page import PageText
from nanobot.reading.formats.pdf_pictures import pictures_of, render_page
from nanobot.reading.messages import Unreadable
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_GUESSED_SHARE = 0.3
_ODD_SHARE = 0.12
_FEW_CHARACTERS = 40
_MOST_COVERED = 0.4
_MAX_LABEL = 40


def read(source: Source, buffer: TextBuffer) -> None:
    """Write what stands on each page, the values of forms and the comments included.

    Raises:
        Unreadable: it is broken, a password protects it, or it has too many pages.
    """
    try:
        document = pypdfium2.PdfDocument(source.content)
    except pypdfium2.PdfiumError as error:
        if error.err_code in (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY):
            raise Unreadable("a password protects it", "encrypted") from error
        raise Unreadable("it is a broken or incomplete PDF") from error
    with closing(document):
        count = len(document)
        if count > source.bounds.max_pages:
            raise Unreadable(f"it has {count} pages: at most {source.bounds.max_pages} are allowed")
        if not count:
            raise Unreadable("it is a broken or incomplete PDF")
        # Without this, the values of forms are not drawn.
        document.init_forms()
        buffer.total("page", count)
        for number in range(1, count + 1):
            if buffer.begin("page", number, _label(document, number)):
                _read_page(document, number, source.bounds.max_characters, buffer)
            if buffer.is_full:
                return
        for name in attached_files(document):
            buffer.note(f"attached file: {name}")


def _label(document: pypdfium2.PdfDocument, number: int) -> str:
    """Return what the page calls itself, nothing where that is its number."""
    label: str = document.get_page_label(number - 1).strip()[:_MAX_LABEL]
    return "" if label == str(number) or not label.isprintable() else label


def _read_page(document: pypdfium2.PdfDocument, number: int, most: int, buffer: TextBuffer) -> None:
    try:
        page = document[number - 1]
        notes = notes_of(document, page)
        if notes.is_annotated and _is_flattened(page):
            # What was made a part of the page is seen once it is opened again.
            page.close()
            page = document[number - 1]
    except pypdfium2.PdfiumError:
        buffer.note("this page is broken and cannot be read")
        return
    with closing(page):
        _write_page(page, notes, most, buffer)


def _is_flattened(page: pypdfium2.PdfPage) -> bool:
    """Make what lies on the page a part of it. Return whether anything was."""
    done: int = pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY)
    return done == int(pdfium.FLATTEN_SUCCESS)


def _is_garbled(characters: Sequence[Character]) -> bool:
    """Return whether the text is a wrong guess: pdfium takes the numbers of signs for characters where a font
    does not say what these are, which is right for many fonts.
    """
    guessed = sum(character.is_guessed for character in characters)
    odd = sum(character.is_odd for character in characters)
    return guessed > _GUESSED_SHARE * len(characters) and odd > _ODD_SHARE * guessed


def _write_page(page: pypdfium2.PdfPage, notes: PdfNotes, most: int, buffer: TextBuffer) -> None:
    # A page may have far more characters than will ever be shown.
    placed = list(read_characters(page, 2 * most))
    letters = [character for character, _ in placed if not character.is_space]
    pictures = pictures_of(page)
    if _is_garbled([character for character, _ in placed]):
        buffer.note("the text of this page cannot be read: its fonts do not say what their signs mean")
        buffer.page_picture(lambda: render_page(page))
        return
    if len(letters) < _FEW_CHARACTERS and any(picture.covers > _MOST_COVERED for picture in pictures):
        pictures = []
        buffer.page_picture(lambda: render_page(page))
    elif not letters and not notes.fields and not notes.comments:
        if pdfium.FPDFPage_CountObjects(page) > 0:
            buffer.page_picture(lambda: render_page(page))
        return
    text = PageText(
        list(notes.shown(placed)), notes.values(placed), notes.said(placed), pictures, read_edges(page)
    )
    for line in text.lines(lambda box: buffer.picture(lambda: render_page(page, box))):
        if not buffer.write_line(line):
            return
