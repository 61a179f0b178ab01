"""PDF as text. Imported in the child process only."""

import io

import pypdf
from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError, WrongPasswordError

from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.messages import Unreadable
from nanobot.reading.text_buffer import TextBuffer


def read_pdf(content: bytes, bounds: DocumentBounds, buffer: TextBuffer) -> None:
    """Write the text of each page.

    Raises:
        Unreadable: it is broken, a password protects it, or it has too many pages.
    """
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        # Many are encrypted with an empty password, only to forbid printing.
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("a password protects it", "encrypted")
        pages = len(reader.pages)
        if pages > bounds.max_pages:
            raise Unreadable(f"it has {pages} pages: at most {bounds.max_pages} are allowed")
        for number, page in enumerate(reader.pages, 1):
            if not buffer.write_marker(f"\n[page {number}]\n") or not buffer.write(
                page.extract_text() + "\n"
            ):
                return
    except (FileNotDecryptedError, WrongPasswordError, DependencyError) as error:
        raise Unreadable("a password protects it", "encrypted") from error
    except PyPdfError as error:
        raise Unreadable("it is a broken or incomplete PDF") from error
