"""Pictures of a PDF, and pages as pictures."""

import ctypes
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import pypdfium2
import pypdfium2.raw as pdfium

from nanobot.reading.formats.pdf_characters import Box

_LONGEST_SIDE = 1_568
_MOST_SCALE = 3.0
_LEAST_POINTS = 48.0
_MAX_OBJECTS = 5_000
_MAX_PICTURES = 40


class PdfPicture(NamedTuple):
    """A picture on a page. `covers`: its share of the page."""

    box: Box
    covers: float


def pictures_of(page: pypdfium2.PdfPage) -> list[PdfPicture]:
    """Return the pictures that are large enough to show something."""
    width, height = page.get_size()
    area = max(width * height, 1.0)
    pictures: list[PdfPicture] = []
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    for index in range(min(pdfium.FPDFPage_CountObjects(page), _MAX_OBJECTS)):
        item = pdfium.FPDFPage_GetObject(page, index)
        if pdfium.FPDFPageObj_GetType(item) != pdfium.FPDF_PAGEOBJ_IMAGE:
            continue
        if not pdfium.FPDFPageObj_GetBounds(item, left, bottom, right, top):
            continue
        box = Box(left.value, bottom.value, right.value, top.value)
        if box.right - box.left < _LEAST_POINTS or box.top - box.bottom < _LEAST_POINTS:
            continue
        pictures.append(PdfPicture(box, min((box.right - box.left) * (box.top - box.bottom) / area, 1.0)))
        if len(pictures) == _MAX_PICTURES:
            break
    return pictures


def render_page(page: pypdfium2.PdfPage, box: Box | None = None) -> bytes:
    """Return the page, or a part of it, as a PNG with at most 1,568 pixels on the longer side."""
    width, height = page.get_size()
    crop = (0.0, 0.0, 0.0, 0.0)
    if box is not None and not page.get_rotation():
        left, bottom, right, top = page.get_cropbox()
        crop = (
            max(box.left - left, 0.0),
            max(box.bottom - bottom, 0.0),
            max(right - box.right, 0.0),
            max(top - box.top, 0.0),
        )
        width, height = width - crop[0] - crop[2], height - crop[1] - crop[3]
    scale = min(_LONGEST_SIDE / max(width, height, 1.0), _MOST_SCALE)
    bitmap = page.render(scale=scale, crop=crop, rev_byteorder=True, prefer_bgrx=False)
    try:
        rows = _rows(bytes(bitmap.buffer), bitmap.width, bitmap.height, bitmap.stride, bitmap.n_channels)
        return png(bitmap.width, bitmap.height, rows)
    finally:
        bitmap.close()


def _rows(pixels: bytes, width: int, height: int, stride: int, channels: int) -> Iterator[bytes]:
    for row in range(height):
        line = pixels[row * stride : row * stride + width * channels]
        if channels == 4:
            kept = bytearray(width * 3)
            kept[0::3], kept[1::3], kept[2::3] = line[0::4], line[1::4], line[2::4]
            line = bytes(kept)
        elif channels == 1:
            line = b"".join(bytes((value,)) * 3 for value in line)
        yield line


def png(width: int, height: int, rows: Iterator[bytes]) -> bytes:
    """Return a PNG of the rows, three bytes a pixel."""
    packer = zlib.compressobj(6)
    packed = b"".join([packer.compress(b"\0" + row) for row in rows]) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    )
