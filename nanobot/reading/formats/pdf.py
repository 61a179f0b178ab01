"""PDF as text. Imported in the worker only."""

import io

import pypdf
from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError, WrongPasswordError

from nanobot.reading.messages import Unreadable
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the text of each page.

    Raises:
        Unreadable: it is broken, a password protects it, or it has too many pages.
    """
    try:
        reader = pypdf.PdfReader(io.BytesIO(source.content))
        # Many are encrypted with an empty password, only to forbid printing.
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("a password protects it", "encrypted")
        pages = len(reader.pages)
        if pages > source.bounds.max_pages:
            raise Unreadable(f"it has {pages} pages: at most {source.bounds.max_pages} are allowed")
        buffer.total("page", pages)
        for number, page in enumerate(reader.pages, 1):
            if buffer.begin("page", number):
                buffer.write_line(page.extract_text())
            if buffer.is_full:
                return
    except (FileNotDecryptedError, WrongPasswordError, DependencyError) as error:
        raise Unreadable("a password protects it", "encrypted") from error
    except PyPdfError as error:
        raise Unreadable("it is a broken or incomplete PDF") from error
