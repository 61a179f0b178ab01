"""XML of documents, parsed without network, files or entities, and as deep as libxml2 allows by default."""

import re
from typing import Any, NamedTuple

from lxml import etree

from nanobot.reading.messages import Unreadable

Element = Any
"""An element of lxml, which has no types of its own."""

_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/")
_OLD_OPENDOCUMENT = re.compile(rb"http://openoffice\.org/2000/(\w+)")
_DECLARATIONS = re.compile(rb"<!ENTITY|<!DOCTYPE[^>]*\[")
_OPTIONS: dict[str, Any] = {
    "resolve_entities": False,
    "load_dtd": False,
    "no_network": True,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}


class Parsed(NamedTuple):
    """The root element of a document. `is_damaged`: what follows the damage is missing."""

    root: Element
    is_damaged: bool


def parse(content: bytes) -> Parsed | None:
    """Return the document, as far as it can be read; None if there is no element in it.

    The namespaces of strict OOXML become those of the transitional one, and OpenOffice's those of
    OpenDocument.

    Raises:
        Unreadable: it declares entities, which may expand without end, or include files.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        content = _utf8(content)
    if b"<!" in content and _DECLARATIONS.search(content):
        raise Unreadable("its XML declares entities, which no office document does")
    if b"purl.oclc.org/ooxml" in content:
        content = _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/", content)
    if b"openoffice.org/2000" in content:
        content = _OLD_OPENDOCUMENT.sub(rb"urn:oasis:names:tc:opendocument:xmlns:\1:1.0", content)
    try:
        return Parsed(etree.fromstring(content, etree.XMLParser(**_OPTIONS)), False)
    except (etree.XMLSyntaxError, ValueError):
        pass
    try:
        root = etree.fromstring(content, etree.XMLParser(**_OPTIONS, recover=True))
    except (etree.XMLSyntaxError, ValueError):
        return None
    return None if root is None else Parsed(root, True)


def local_name(element: Element) -> str:
    """Return the name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _utf8(content: bytes) -> bytes:
    """Return UTF-16 as UTF-8, without the declaration that says otherwise."""
    text = content.decode("utf-16", "replace")
    return re.sub(r"^<\?xml[^>]*\?>", "", text, count=1).encode("utf-8", "replace")
