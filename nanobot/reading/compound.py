"""The container of older Office formats, also of Outlook's mails and of encrypted files: what is in it.

Laid out as in [MS-CFB]: sectors, chained by a table; the directory is one such chain of entries of 128 bytes.
"""

import struct
from collections.abc import Iterator, Sequence

from nanobot.reading.kinds import Kind
from nanobot.reading.messages import Unreadable

_ENTRY_BYTES = 128
_MOST_ENTRIES = 10_000
_SMALL_BYTES = 4_096
_SMALL_SECTOR_BYTES = 64
_NONE = 0xFFFFFFFA
"""From here on numbers of sectors and entries mean that there is none."""
_OLD = {
    "worddocument": "an old Word document (DOC): save it as DOCX",
    "powerpoint document": "an old PowerPoint file (PPT): save it as PPTX",
    "pp40": "an old PowerPoint file (PPT): save it as PPTX",
    "__properties_version1.0": "a mail of Outlook (MSG): save it as EML, or as text",
}


def compound_kind(content: bytes) -> Kind:
    """Return the kind of the document.

    Raises:
        Unreadable: it is encrypted, broken, or of a kind that is not read.
    """
    try:
        names = _root_names(content)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise Unreadable("it is broken, or not what it says it is") from error
    if names & {"encryptedpackage", "encryptedsummary"}:
        raise Unreadable("a password protects it", "encrypted")
    for name, advice in _OLD.items():
        if name in names:
            raise Unreadable(f"it is {advice}", "unsupported")
    if names & {"workbook", "book"}:
        return "xls"
    raise Unreadable("it is of an old Office format: save it as DOCX, XLSX or PPTX, or as PDF", "unsupported")


def stream_of(content: bytes, names: Sequence[str]) -> bytes:
    """Return the first stream that the container has by one of these names, in lower case; nothing where it
    has none.

    Raises:
        struct.error, IndexError: the container is broken.
    """
    sector_bytes, directory = _directory(content)
    for index in _entries(directory):
        if _entry(directory, index)[0].lower() not in names:
            continue
        first, size = struct.unpack_from("<II", directory, index * _ENTRY_BYTES + 116)
        size = min(size, len(content))
        if size < _SMALL_BYTES:
            return _small_stream(content, sector_bytes, directory, first)[:size]
        return b"".join(_chain(content, sector_bytes, first, -(-size // sector_bytes)))[:size]
    return b""


def _small_stream(content: bytes, sector_bytes: int, directory: bytes, first: int) -> bytes:
    """Return a stream of less than 4 KiB: small sectors, chained by a table of their own, in a stream of the
    container's.
    """
    root, size = struct.unpack_from("<II", directory, 116)
    sectors = b"".join(_chain(content, sector_bytes, root, -(-min(size, len(content)) // sector_bytes)))
    table_first, table_sectors = struct.unpack_from("<II", content, 60)
    most = min(table_sectors, len(content) // sector_bytes + 1)
    table = b"".join(_chain(content, sector_bytes, table_first, most))
    pieces: list[bytes] = []
    while first < _NONE and len(pieces) < _SMALL_BYTES // _SMALL_SECTOR_BYTES:
        pieces.append(sectors[first * _SMALL_SECTOR_BYTES : (first + 1) * _SMALL_SECTOR_BYTES])
        first = struct.unpack_from("<I", table, first * 4)[0]
    return b"".join(pieces)


def _root_names(content: bytes) -> set[str]:
    """Return the names of what is in the container itself, not in storages of it, in lower case: the format
    does not tell cases apart.
    """
    _, directory = _directory(content)
    return {_entry(directory, index)[0].lower() for index in _entries(directory)}


def _directory(content: bytes) -> tuple[int, bytes]:
    """Return how large sectors are, and the directory."""
    sector_shift = struct.unpack_from("<H", content, 30)[0]
    if sector_shift not in (9, 12):
        raise IndexError
    sector_bytes = 1 << sector_shift
    first = struct.unpack_from("<I", content, 48)[0]
    return sector_bytes, b"".join(
        _chain(content, sector_bytes, first, _MOST_ENTRIES * _ENTRY_BYTES // sector_bytes)
    )


def _entries(directory: bytes) -> Iterator[int]:
    """Yield the numbers of the entries of the container itself."""
    todo = [_entry(directory, 0)[3]]
    seen: set[int] = set()
    while todo and len(seen) < _MOST_ENTRIES:
        index = todo.pop()
        if index >= _NONE or index in seen:
            continue
        seen.add(index)
        _, left, right, _ = _entry(directory, index)
        todo += (left, right)
        yield index


def _entry(directory: bytes, index: int) -> tuple[str, int, int, int]:
    """Return the name of an entry, its left and right sibling, and the first of what is in it."""
    start = index * _ENTRY_BYTES
    size = struct.unpack_from("<H", directory, start + 64)[0]
    name = directory[start : start + max(0, min(size, 64) - 2)].decode("utf-16-le")
    left, right, child = struct.unpack_from("<III", directory, start + 68)
    return name, left, right, child


def _chain(content: bytes, sector_bytes: int, first: int, most: int) -> Iterator[bytes]:
    """Yield at most so many sectors of a chain."""
    sector = first
    per_sector = sector_bytes // 4
    for _ in range(most):
        if sector >= _NONE:
            return
        yield content[(sector + 1) * sector_bytes : (sector + 2) * sector_bytes]
        table = _table_sector(content, sector // per_sector, sector_bytes)
        sector = struct.unpack_from("<I", content, (table + 1) * sector_bytes + sector % per_sector * 4)[0]


def _table_sector(content: bytes, index: int, sector_bytes: int) -> int:
    """Return where the `index`-th sector of the table is: the header lists the first 109, chained sectors of
    numbers the rest.
    """
    in_header = 109
    if index < in_header:
        return int(struct.unpack_from("<I", content, 76 + index * 4)[0])
    index -= in_header
    per_sector = sector_bytes // 4 - 1
    sector = struct.unpack_from("<I", content, 68)[0]
    for _ in range(index // per_sector):
        sector = struct.unpack_from("<I", content, (sector + 2) * sector_bytes - 4)[0]
    return int(struct.unpack_from("<I", content, (sector + 1) * sector_bytes + index % per_sector * 4)[0])
