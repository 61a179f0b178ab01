"""The readers of file formats, one module each, imported in the worker that reads a file of the format.

A module has one function `read(source: Source, buffer: TextBuffer) -> None`, which writes the text of the
file until the buffer is full, and raises `Unreadable` for a file that has none.
"""

from nanobot.reading.kinds import Kind

_FORMATS: dict[Kind, str] = {
    "pdf": "pdf",
    "docx": "docx",
    "pptx": "pptx",
    "odt": "opendocument",
    "odp": "opendocument",
    "epub": "epub",
    "xlsx": "sheets",
    "xlsb": "sheets",
    "xls": "sheets",
    "ods": "sheets",
    "flat": "flat",
    "xml-sheets": "xml_sheets",
    "html": "html",
    "rtf": "rtf",
    "mail": "mail",
    "mhtml": "mail",
    "notebook": "notebook",
    "text": "text",
}
"""The modules here by the kinds that they read."""


def modules(kind: Kind) -> tuple[str, ...]:
    """Return the modules that reading a file of this kind imports, as far as the kind tells."""
    return (f"nanobot.reading.formats.{_FORMATS[kind]}",) if kind in _FORMATS else ()
