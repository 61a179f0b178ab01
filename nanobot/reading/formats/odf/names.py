"""Names of OpenDocument."""

_OASIS = "urn:oasis:names:tc:opendocument:xmlns:"
OFFICE = f"{{{_OASIS}office:1.0}}"
TEXT = f"{{{_OASIS}text:1.0}}"
TABLE = f"{{{_OASIS}table:1.0}}"
DRAW = f"{{{_OASIS}drawing:1.0}}"
STYLE = f"{{{_OASIS}style:1.0}}"
PRESENTATION = f"{{{_OASIS}presentation:1.0}}"
CHART = f"{{{_OASIS}chart:1.0}}"
FORM = f"{{{_OASIS}form:1.0}}"
MANIFEST = f"{{{_OASIS}manifest:1.0}}"
SVG = f"{{{_OASIS}svg-compatible:1.0}}"
XLINK = "{http://www.w3.org/1999/xlink}"
DC = "{http://purl.org/dc/elements/1.1/}"
XML_ID = "{http://www.w3.org/XML/1998/namespace}id"
FIELD = "{urn:openoffice:names:experimental:ooo-ms-interop:xmlns:field:1.0}"
MATH = "{http://www.w3.org/1998/Math/MathML}"
LOEXT = "{urn:org:documentfoundation:names:experimental:office:xmlns:loext:1.0}"


def whole(text: str | None, usual: int, most: int) -> int:
    """Return a number as a file has it, of 0 to `most`; `usual` for anything else."""
    return min(int(text), most) if text is not None and text.isdecimal() else usual
