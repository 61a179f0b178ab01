"""Zip archives, checked before anything is unpacked: what they say they contain must be within bounds."""

import io
import zipfile
import zlib

from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.messages import Unreadable

_SMALL_BYTES = 4 * 1024 * 1024
_XML_HEAD_BYTES = 2_048
_IS_ENCRYPTED = 0x1


def open_archive(content: bytes, bounds: DocumentBounds) -> zipfile.ZipFile:
    """Return the archive, if its directory is within bounds. Archives inside it are never opened.

    No member unpacks to more than the size in the directory: `zipfile` stops there, and compares the
    checksum.

    Raises:
        Unreadable: it is broken, encrypted, or would unpack to too much.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
        raise Unreadable("its archive is broken") from error
    members = archive.infolist()
    if len(members) > bounds.max_members:
        raise Unreadable(
            f"it is an archive of {len(members)} files: at most {bounds.max_members} are allowed"
        )
    if any(member.flag_bits & _IS_ENCRYPTED for member in members):
        raise Unreadable("a password protects it", "encrypted")
    if len({member.filename for member in members}) < len(members):
        raise Unreadable("its archive has several files of one name")
    size = sum(member.file_size for member in members)
    if size > bounds.max_unpacked_bytes:
        raise Unreadable(f"it unpacks to {size} bytes: at most {bounds.max_unpacked_bytes} are allowed")
    if size > _SMALL_BYTES and size > bounds.max_ratio * len(content):
        raise Unreadable(
            f"it unpacks to {size // len(content)} times its size: "
            f"at most {bounds.max_ratio} times are allowed"
        )
    return archive


def refuse_declarations(archive: zipfile.ZipFile) -> None:
    """Refuse XML with a document type: office programs write none, and entities may expand without end, or
    include files.

    Raises:
        Unreadable: a member has one, or the archive is broken.
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
            raise Unreadable("its archive is broken") from error
        # Also finds them in UTF-16.
        plain = head.replace(b"\0", b"").upper()
        if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
            raise Unreadable("its XML declares entities, which no office document does")
