"""Workbooks of Excel 97 (XLS), record by record: nothing that the tests may use writes them."""

import struct
from collections.abc import Mapping, Sequence

_SECTOR = 512
_FREE, _END, _TABLE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_LEAST = 4_096


def record(kind: int, data: bytes) -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def number(row: int, column: int, value: float, style: int = 0) -> bytes:
    return record(0x0203, struct.pack("<HHHd", row, column, style, value))


def text(row: int, column: int, value: str, style: int = 0) -> bytes:
    return record(0x0204, struct.pack("<HHHHB", row, column, style, len(value), 0) + value.encode("latin-1"))


def error(row: int, column: int, code: int) -> bytes:
    return record(0x0205, struct.pack("<HHHBB", row, column, 0, code, 1))


def formula(row: int, column: int, value: bytes) -> bytes:
    """Return a formula with its value as the file has it, in eight bytes."""
    return record(0x0006, struct.pack("<HHH", row, column, 0) + value + struct.pack("<HIH", 0, 0, 0))


def hidden_row(row: int) -> bytes:
    return record(0x0208, struct.pack("<HHHHHHI", row, 0, 256, 255, 0, 0, 0x0120))


def hidden_columns(first: int, last: int) -> bytes:
    return record(0x007D, struct.pack("<HHHHHH", first, last, 2_560, 0, 1, 0))


def book(
    sheets: Mapping[str, Sequence[bytes]],
    formats: Sequence[str] = (),
    *,
    struck: bool = False,
    small: bool = False,
) -> bytes:
    """Return a workbook: the records of each sheet by its name. Style 0 is the usual one, those from 1 on
    have the `formats`; `struck`: they strike texts through. `small`: it is kept as streams below 4 KiB are.
    """
    fonts = [record(0x0031, struct.pack("<HHHHHBBBBBB", 200, 0, 0x7FFF, 400, 0, 0, 0, 0, 0, 1, 0) + b"A")] * 5
    fonts.append(record(0x0031, struct.pack("<HHHHHBBBBBB", 200, 8, 0x7FFF, 400, 0, 0, 0, 0, 0, 1, 0) + b"A"))
    named = [
        record(0x041E, struct.pack("<HHB", 164 + at, len(form), 1) + form.encode("utf-16-le"))
        for at, form in enumerate(formats)
    ]
    styles = [record(0x00E0, struct.pack("<HH", 0, 0) + bytes(16))]
    styles += [
        record(0x00E0, struct.pack("<HH", 6 if struck else 0, 164 + at) + bytes(16))
        for at in range(len(formats))
    ]
    before = _begin(0x0005) + record(0x0042, struct.pack("<H", 1_200)) + b"".join((*fonts, *named, *styles))
    parts = [_begin(0x0010) + b"".join(records) + record(0x000A, b"") for records in sheets.values()]
    place = len(before) + sum(4 + 8 + len(name) for name in sheets) + 4
    names = b""
    for name, part in zip(sheets, parts, strict=True):
        names += record(0x0085, struct.pack("<IBBBB", place, 0, 0, len(name), 0) + name.encode("latin-1"))
        place += len(part)
    stream = before + names + record(0x000A, b"") + b"".join(parts)
    return _small(stream) if small else _container(stream)


def _begin(kind: int) -> bytes:
    return record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0x0DBB, 0x07CC, 0, 6))


def _container(stream: bytes) -> bytes:
    stream = stream.ljust(_LEAST, b"\0")
    count = -(-len(stream) // _SECTOR)
    table = [_TABLE, _END, *range(3, count + 2), _END]
    entries = _entry("Root Entry", 5, 1, _END, 0) + _entry("Workbook", 2, _FREE, 2, len(stream))
    return _head(table_of_small=_END, small_sectors=0) + _numbers(table) + _sector(entries) + _padded(stream)


def _small(stream: bytes) -> bytes:
    assert len(stream) < _LEAST
    count = -(-len(stream) // 64)
    sectors = -(-count * 64 // _SECTOR)
    # The table, the directory, the table of small sectors, the small sectors.
    table = [_TABLE, _END, _END, *range(4, sectors + 3), _END]
    entries = _entry("Root Entry", 5, 1, 3, count * 64) + _entry("Workbook", 2, _FREE, 0, len(stream))
    small = _numbers([*range(1, count), _END])
    head = _head(table_of_small=2, small_sectors=1)
    return head + _numbers(table) + _sector(entries) + small + _padded(stream)


def _head(*, table_of_small: int, small_sectors: int) -> bytes:
    begin = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".ljust(24, b"\0") + struct.pack(
        "<HHHHH", 0x3E, 3, 0xFFFE, 9, 6
    )
    begin = begin.ljust(44, b"\0") + struct.pack("<IIII", 1, 1, 0, _LEAST)
    begin += struct.pack("<IIII", table_of_small, small_sectors, _END, 0)
    return begin + struct.pack("<109I", 0, *[_FREE] * 108)


def _numbers(numbers: Sequence[int]) -> bytes:
    return struct.pack("<128I", *numbers, *[_FREE] * (128 - len(numbers)))


def _entry(name: str, kind: int, child: int, first: int, size: int) -> bytes:
    encoded = name.encode("utf-16-le") + b"\0\0"
    entry = encoded.ljust(64, b"\0") + struct.pack("<HBBIII", len(encoded), kind, 1, _FREE, _FREE, child)
    return entry.ljust(116, b"\0") + struct.pack("<IQ", first, size)


def _sector(content: bytes) -> bytes:
    return content.ljust(_SECTOR, b"\0")


def _padded(content: bytes) -> bytes:
    return content.ljust(-(-len(content) // _SECTOR) * _SECTOR, b"\0")
