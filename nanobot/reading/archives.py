"""Zips, looked at before anything is unpacked: what they say they hold, and whether that is allowed."""

import io
import zipfile
import zlib

from nanobot.reading.bounds import DocumentBounds, Unreadable

_SMALL_BYTES = 4 * 1024 * 1024
_XML_HEAD_BYTES = 2_048
_IS_ENCRYPTED = 0x1


def open_archive(content: bytes, bounds: DocumentBounds) -> zipfile.ZipFile:
    """Return the zip, once its directory was found to keep the bounds. Archives inside it are never opened.

    What it holds is never unpacked beyond the size that the directory says: `zipfile` stops there and
    compares the checksum.

    Raises:
        Unreadable: it is broken, encrypted, or would unpack to too much.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
        raise Unreadable("the archive that it is made of is broken") from error
    members = archive.infolist()
    if len(members) > bounds.max_members:
        raise Unreadable(
            f"it is an archive of {len(members)} files: at most {bounds.max_members} are allowed"
        )
    if any(member.flag_bits & _IS_ENCRYPTED for member in members):
        raise Unreadable("a password protects it", "encrypted")
    if len({member.filename for member in members}) < len(members):
        raise Unreadable("the archive that it is made of has several files of one name")
    size = sum(member.file_size for member in members)
    if size > bounds.max_unpacked_bytes:
        raise Unreadable(f"it unpacks to {size} bytes: at most {bounds.max_unpacked_bytes} are allowed")
    if size > _SMALL_BYTES and size > bounds.max_ratio * len(content):
        raise Unreadable(
            f"it unpacks to {size // len(content)} times its size: at most {bounds.max_ratio} times are allowed"
        )
    return archive


def refuse_declarations(archive: zipfile.ZipFile) -> None:
    """Let no XML with a document type through: no office program writes one, and entities may grow without
    end or name files.

    Raises:
        Unreadable: there is one, or the archive is broken.
    """
    for member in archive.infolist():
        if not member.filename.lower().endswith((".xml", ".rels", ".vml")):
            continue
        try:
            with archive.open(member) as file:
                head = file.read(_XML_HEAD_BYTES)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            ValueError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise Unreadable("the archive that it is made of is broken") from error
        # whatever the encoding
        plain = head.replace(b"\0", b"").upper()
        if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
            raise Unreadable("its XML declares entities, which no office document does")
