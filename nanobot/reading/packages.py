"""Zip archives that are documents: which format one has. The names of folders are not asked."""

import zipfile

from nanobot.reading.formats.ooxml.package import READ_ERRORS, Package
from nanobot.reading.kinds import Kind
from nanobot.reading.messages import Unreadable

_CONTENT_TYPES: tuple[tuple[str, Kind], ...] = (
    ("wordprocessingml", "docx"),
    ("ms-word", "docx"),
    ("presentationml", "pptx"),
    ("ms-powerpoint", "pptx"),
    ("sheet.binary", "xlsb"),
    ("spreadsheetml", "xlsx"),
    ("ms-excel", "xlsx"),
)
"""Words in the content type of the main part, which templates, shows and files with macros share."""
_ROOTS: tuple[tuple[str, Kind], ...] = (
    ("wordprocessingml", "docx"),
    ("presentationml", "pptx"),
    ("spreadsheetml", "xlsx"),
)
_USUAL: tuple[tuple[str, Kind], ...] = (
    ("word/document.xml", "docx"),
    ("ppt/presentation.xml", "pptx"),
    ("xl/workbook.xml", "xlsx"),
    ("xl/workbook.bin", "xlsb"),
)
_MEDIA_TYPES: tuple[tuple[str, Kind], ...] = (
    ("application/epub+zip", "epub"),
    ("application/vnd.oasis.opendocument.text", "odt"),
    ("application/vnd.oasis.opendocument.presentation", "odp"),
    ("application/vnd.oasis.opendocument.graphics", "odp"),
    ("application/vnd.oasis.opendocument.spreadsheet", "ods"),
    ("application/vnd.sun.xml.writer", "odt"),
    ("application/vnd.sun.xml.impress", "odp"),
    ("application/vnd.sun.xml.draw", "odp"),
)
"""How the media type in `mimetype` begins."""
_ADVICE = (
    ("index/document.iwa", "it is of Pages, Numbers or Keynote: export it as DOCX, XLSX, PPTX or PDF"),
    ("index.zip", "it is of Pages, Numbers or Keynote: export it as DOCX, XLSX, PPTX or PDF"),
    ("visio/document.xml", "it is of Visio: export it as PDF"),
    ("fixeddocseq.fdseq", "it is an XPS document: save it as PDF"),
    ("fixeddocumentsequence.fdseq", "it is an XPS document: save it as PDF"),
)
_MOST_TYPE_BYTES = 200


def package_kind(archive: zipfile.ZipFile) -> Kind:
    """Return the kind of the document.

    Raises:
        Unreadable: it is not of a kind that is read here.
    """
    package = Package(archive)
    kind = _by_media_type(archive) or _by_main_part(package)
    if kind is not None:
        return kind
    if "META-INF/container.xml" in package:
        return "epub"
    for part, advice in _ADVICE:
        if part in package:
            raise Unreadable(advice, "unsupported")
    raise Unreadable(
        "it is an archive, and of these only DOCX, XLSX, PPTX, ODT, ODS, ODP and EPUB are read", "unsupported"
    )


def _by_media_type(archive: zipfile.ZipFile) -> Kind | None:
    """Return the kind that OpenDocument and EPUB files say in the member `mimetype`, or in their manifest."""
    try:
        with archive.open("mimetype") as member:
            said = member.read(_MOST_TYPE_BYTES).decode("ascii", "replace").strip()
    except KeyError:
        return _by_manifest(Package(archive))
    except READ_ERRORS:
        said = ""
    return next((kind for begin, kind in _MEDIA_TYPES if said.startswith(begin)), None)


def _by_manifest(package: Package) -> Kind | None:
    manifest = package.xml("META-INF/manifest.xml")
    if manifest is None or "content.xml" not in package:
        return None
    for entry in manifest.iter("{*}file-entry"):
        if entry.get(f"{entry.tag.rpartition('}')[0]}}}full-path") == "/":
            said = entry.get(f"{entry.tag.rpartition('}')[0]}}}media-type", "")
            return next((kind for begin, kind in _MEDIA_TYPES if said.startswith(begin)), None)
    return None


def _by_main_part(package: Package) -> Kind | None:
    """Return the kind of an OOXML file: by the content type of its main part, its root, or its usual name."""
    main = package.related("", "officeDocument")
    part = main[0] if main and main[0] in package else package.part_of_type((".main+xml", ".main"))
    if part is not None:
        content_type = _content_type(package, part)
        for word, kind in _CONTENT_TYPES:
            if word in content_type:
                return kind
        root = package.xml(part)
        namespace = "" if root is None else str(root.tag)
        for word, kind in _ROOTS:
            if word in namespace:
                return kind
    return next((kind for usual, kind in _USUAL if usual in package), None)


def _content_type(package: Package, part: str) -> str:
    content_types = package.xml("[Content_Types].xml")
    if content_types is None:
        return ""
    for override in content_types.iter("{*}Override"):
        if override.get("PartName", "").lstrip("/").lower() == part.lower():
            return str(override.get("ContentType", "")).lower()
    return ""
