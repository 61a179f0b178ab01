"""DOCX as text, with documents with macros (DOCM) and templates (DOTX, DOTM). Imported in the worker only."""

from nanobot.reading.formats.ooxml.package import Package
from nanobot.reading.formats.word.document import Document
from nanobot.reading.formats.word.names import W
from nanobot.reading.messages import Unreadable
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_TYPES = ("wordprocessingml.document.main", "wordprocessingml.template.main", "ms-word.")


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the text as it is now: what was inserted is part of it, what was deleted is not.

    Raises:
        Unreadable: the document itself is missing or damaged from its beginning.
    """
    package = Package(source.archive)
    part = package.main_part(_TYPES, "word/document.xml")
    root = package.xml(part) if part else None
    if part is None or root is None or root.find(f"{W}body") is None:
        raise Unreadable("it is broken: the document itself is missing in it")
    Document(source, package, part, root, buffer).write()
    package.say_damage(buffer)
    buffer.end()
