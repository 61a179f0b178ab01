"""OpenDocument in one XML file (FODT, FODS, FODP): read as the archive that it would be otherwise."""

import base64
import binascii
import io
import zipfile
from dataclasses import replace

from lxml import etree

from nanobot.reading.formats import open_sheets, opendocument
from nanobot.reading.formats.odf.names import DRAW, MATH, OFFICE, XLINK
from nanobot.reading.formats.xml import Element, parse
from nanobot.reading.messages import Unreadable
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_DATA = f"{OFFICE}binary-data"


def read(source: Source, buffer: TextBuffer) -> None:
    """Write what the document says, as that of an ODT, ODS or ODP.

    Raises:
        Unreadable: the content is missing, or damaged from its beginning.
    """
    parsed = parse(source.content)
    body = None if parsed is None else parsed.root.find(f"{OFFICE}body")
    if parsed is None or body is None:
        raise Unreadable("it is broken: the content is missing in it")
    module = open_sheets if body.find(f"{OFFICE}spreadsheet") is not None else opendocument
    archive = _archive(parsed.root, source.bounds.max_members - 2)
    module.read(replace(source, content=archive), buffer)
    if parsed.is_damaged:
        buffer.note("the file is damaged: text may be missing from here on")


def _archive(root: Element, most: int) -> bytes:
    """Return the document as an archive, with `most` pictures and objects of its own."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        inner = [*root.iter(f"{DRAW}image", f"{DRAW}object")]
        for number, element in enumerate(inner[: max(0, most)], 1):
            _move(element, number, archive)
        archive.writestr("content.xml", etree.tostring(root))
    return written.getvalue()


def _move(element: Element, number: int, archive: zipfile.ZipFile) -> None:
    """Make a part of the archive of what an element holds: the bytes of a picture, or a document."""
    held = next(element.iterchildren(_DATA, f"{OFFICE}document", f"{MATH}math"), None)
    if held is None:
        return
    name = f"Part{number}"
    if held.tag == _DATA:
        try:
            archive.writestr(name, base64.b64decode(held.text or ""))
        except (binascii.Error, ValueError):
            return
    else:
        archive.writestr(f"{name}/content.xml", etree.tostring(held, with_tail=False))
    element.remove(held)
    element.set(f"{XLINK}href", name)
