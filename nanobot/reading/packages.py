"""Zip archives that are documents: which format one has."""

import zipfile

from nanobot.reading.kinds import Kind
from nanobot.reading.messages import Unreadable

_FOLDERS: dict[str, Kind] = {"xl/": "xlsx", "word/": "docx", "ppt/": "pptx"}


def package_kind(archive: zipfile.ZipFile) -> Kind:
    """Return the kind of the document.

    Raises:
        Unreadable: it is none that is read here.
    """
    names = archive.namelist()
    if "[Content_Types].xml" not in names:
        raise Unreadable("it is an archive, and of these only DOCX, XLSX and PPTX are read", "unsupported")
    for folder, kind in _FOLDERS.items():
        if any(name.startswith(folder) for name in names):
            return kind
    raise Unreadable("it is none of DOCX, XLSX and PPTX", "unsupported")
