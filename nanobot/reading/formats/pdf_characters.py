"""The characters of a page of a PDF, with their places, and the straight lines that are drawn on it."""

import ctypes
import math
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import pypdfium2.raw as pdfium

_MAX_OBJECTS = 20_000
_MAX_SEGMENTS = 2_000
_MAX_EDGES = 8_000
_MAX_DEPTH = 4
_SLOPE = 0.5
"""How far, in points, the ends of a line may be apart for it to be horizontal or vertical."""
_HYPHEN = 2
"""What pdfium makes of a hyphen at the end of a line."""
_LIGATURES = range(0xFB00, 0xFB07)
_RADICALS = range(0x2E80, 0x2FE0)
_PRIVATE = range(0xE000, 0xF900)
_SIDEWAYS_SHARE = 0.6
_SYMBOLS = frozenset("\\^~{}<>@#$&*=_`|")


class Character(NamedTuple):
    """One character: where its line stands (`x`, `y`: its origin), how far it reaches, and its size, all in
    points. `angle`: of its line, in whole degrees.

    `is_space`: a space, or where pdfium sees one. `is_guessed`: the font does not say what it shows, and
    pdfium guesses. `is_odd`: no text has such a character, or not among letters.
    """

    text: str
    x: float
    y: float
    end: float
    size: float
    angle: int
    is_space: bool
    is_guessed: bool = False
    is_odd: bool = False


class Edge(NamedTuple):
    """A horizontal (`y` equal) or vertical (`x` equal) line; the smaller coordinates first."""

    x0: float
    y0: float
    x1: float
    y1: float


class Box(NamedTuple):
    """A rectangle of a page, in points from its lower left corner."""

    left: float
    bottom: float
    right: float
    top: float

    def has(self, x: float, y: float) -> bool:
        return self.left <= x <= self.right and self.bottom <= y <= self.top


def read_characters(page: object, most: int) -> Iterator[tuple[Character, Box]]:
    """Yield at most `most` characters in the order of the page, each turned so that its line is horizontal,
    and its box as it is on the page.
    """
    text_page = pdfium.FPDFText_LoadPage(page)
    if not text_page:
        return
    try:
        yield from _upright(_characters(text_page, most))
    finally:
        pdfium.FPDFText_ClosePage(text_page)


def _characters(text_page: object, most: int) -> list[tuple[Character, Box]]:
    box, matrix = pdfium.FS_RECTF(), pdfium.FS_MATRIX()
    x, y = ctypes.c_double(), ctypes.c_double()
    # Converted once and not for each character.
    to_box, to_matrix, to_x, to_y = map(ctypes.byref, (box, matrix, x, y))
    placed: list[tuple[Character, Box]] = []
    surrogate = 0
    for index in range(min(pdfium.FPDFText_CountChars(text_page), most)):
        code = pdfium.FPDFText_GetUnicode(text_page, index)
        if 0xD800 <= code < 0xDC00:
            surrogate = code
            continue
        if 0xDC00 <= code < 0xE000:
            code = 0x10000 + (surrogate - 0xD800) * 0x400 + code - 0xDC00 if surrogate else 0xFFFD
        surrogate = 0
        if code in (10, 13):
            continue
        pdfium.FPDFText_GetCharOrigin(text_page, index, to_x, to_y)
        pdfium.FPDFText_GetLooseCharBox(text_page, index, to_box)
        pdfium.FPDFText_GetMatrix(text_page, index, to_matrix)
        size = abs(pdfium.FPDFText_GetFontSize(text_page, index)) * math.hypot(matrix.c, matrix.d)
        place = Box(box.left, box.bottom, box.right, box.top)
        start, line = x.value, y.value
        # One sum instead of a test of each: it is no number where one of them is not.
        if not math.isfinite(sum(place) + start + line + size):
            continue
        angle = (
            round(math.degrees(math.atan2(matrix.b, matrix.a))) if matrix.b else 0 if matrix.a >= 0 else 180
        )
        text, is_unknown = _shown(code)
        is_guessed = is_unknown or pdfium.FPDFText_HasUnicodeMapError(text_page, index) == 1
        is_odd = is_guessed and (is_unknown or code < 32 or 127 <= code < 160 or text in _SYMBOLS)
        if not angle and place.left < place.right:
            start = min(start, place.left)
        if placed and _is_ligature(*placed[-1], start, line, place, text):
            before = placed[-1][0]
            placed[-1] = (before._replace(text=before.text + text), place)
            continue
        placed.append(
            (Character(text, start, line, place.right, size, angle, text == " ", is_guessed, is_odd), place)
        )
    return placed


def _is_ligature(before: Character, its_box: Box, x: float, y: float, box: Box, text: str) -> bool:
    """Return whether a letter is shown by the same sign as the one before it, as in `ff`."""
    return box == its_box and (x, y) == (before.x, before.y) and not before.is_space and text != " "


def _shown(code: int) -> tuple[str, bool]:
    """Return what is shown for a character, and whether it is unknown what that is."""
    if code == _HYPHEN:
        return "-", False
    if code in (0, 0xFFFD) or code in _PRIVATE or code > 0x10FFFF:
        return "\ufffd", True
    character = chr(code)
    if code < 127 and code > 32:
        return character, False
    if code in _LIGATURES or code in _RADICALS:
        return unicodedata.normalize("NFKC", character), False
    if character.isspace() or unicodedata.category(character) == "Cc":
        return " ", False
    return character, False


def _upright(placed: list[tuple[Character, Box]]) -> Iterator[tuple[Character, Box]]:
    """Yield the characters turned by the angle of their line; those of vertical writing as if their columns
    were lines.
    """
    if _is_vertical(placed):
        for character, box in placed:
            middle = (box.left + box.right) / 2
            yield character._replace(x=-box.top, y=middle, end=-box.bottom, angle=270), box
        return
    for (character, box), (after, _) in pairwise([*placed, _END]):
        angle = character.angle
        if abs(angle) <= 2:
            yield character, box
            continue
        x, y = _turned(character.x, character.y, -angle)
        if angle % 90 == 0:
            width = box.top - box.bottom if angle % 180 else box.right - box.left
        else:
            # The box of a sign that stands askew says little: it reaches to the next one of its line.
            next_x, next_y = _turned(after.x, after.y, -angle)
            is_next = after.angle == angle and abs(next_y - y) < 0.3 * character.size
            width = next_x - x if is_next and 0 < next_x - x < 1.5 * character.size else 0.5 * character.size
        yield character._replace(x=x, y=y, end=x + abs(width)), box


_END = (Character("", 0, 0, 0, 0, -999, False), Box(0, 0, 0, 0))


def _turned(x: float, y: float, angle: int) -> tuple[float, float]:
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return x * cosine - y * sine, x * sine + y * cosine


def _is_vertical(placed: list[tuple[Character, Box]]) -> bool:
    """Return whether the page is written in columns from top to bottom, as Japanese may be."""
    steps = downward = 0
    for (before, first), (after, second) in pairwise(placed):
        if before.is_space or after.is_space or before.angle or after.angle:
            continue
        steps += 1
        size = max(before.size, 1.0)
        is_below = 0.4 * size < first.top - second.top < 2 * size
        downward += is_below and abs(first.left + first.right - second.left - second.right) < size
    return steps > 10 and downward > _SIDEWAYS_SHARE * steps


def read_edges(page: object) -> list[Edge]:
    """Return the horizontal and vertical lines of the page, those around rectangles included."""
    edges: list[Edge] = []
    budget = [_MAX_OBJECTS]
    count = pdfium.FPDFPage_CountObjects(page)
    for index in range(min(count, _MAX_OBJECTS)):
        _add_edges(pdfium.FPDFPage_GetObject(page, index), (1, 0, 0, 1, 0, 0), edges, budget, 0)
        if len(edges) > _MAX_EDGES or budget[0] <= 0:
            break
    return edges[:_MAX_EDGES]


_Matrix = tuple[float, float, float, float, float, float]


def _add_edges(item: object, outer: _Matrix, edges: list[Edge], budget: list[int], depth: int) -> None:
    budget[0] -= 1
    kind = pdfium.FPDFPageObj_GetType(item)
    if kind not in (pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_FORM):
        return
    own = pdfium.FS_MATRIX()
    if not pdfium.FPDFPageObj_GetMatrix(item, own):
        return
    matrix = _product((own.a, own.b, own.c, own.d, own.e, own.f), outer)
    if kind == pdfium.FPDF_PAGEOBJ_FORM:
        if depth < _MAX_DEPTH:
            for index in range(pdfium.FPDFFormObj_CountObjects(item)):
                if budget[0] <= 0 or len(edges) > _MAX_EDGES:
                    return
                inner = pdfium.FPDFFormObj_GetObject(item, index)
                _add_edges(inner, matrix, edges, budget, depth + 1)
        return
    edges.extend(_path_edges(item, matrix))


def _product(inner: _Matrix, outer: _Matrix) -> _Matrix:
    a, b, c, d, e, f = inner
    p, q, r, s, t, u = outer
    return (a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + t, e * q + f * s + u)


def _path_edges(path: object, matrix: _Matrix) -> Iterator[Edge]:
    a, b, c, d, e, f = matrix
    x, y = ctypes.c_float(), ctypes.c_float()
    start = last = (0.0, 0.0)
    for index in range(min(pdfium.FPDFPath_CountSegments(path), _MAX_SEGMENTS)):
        segment = pdfium.FPDFPath_GetPathSegment(path, index)
        if not pdfium.FPDFPathSegment_GetPoint(segment, x, y):
            return
        here = (x.value * a + y.value * c + e, x.value * b + y.value * d + f)
        kind = pdfium.FPDFPathSegment_GetType(segment)
        if kind == pdfium.FPDF_SEGMENT_MOVETO:
            start = here
        elif kind == pdfium.FPDF_SEGMENT_LINETO:
            yield from _edge(last, here)
        if pdfium.FPDFPathSegment_GetClose(segment):
            yield from _edge(here, start)
        last = here


def _edge(one: tuple[float, float], other: tuple[float, float]) -> Iterator[Edge]:
    if not all(map(math.isfinite, (*one, *other))):
        return
    (x0, y0), (x1, y1) = min(one, other), max(one, other)
    is_level = abs(y1 - y0) <= _SLOPE and x1 - x0 > 2
    is_upright = x1 - x0 <= _SLOPE and abs(y1 - y0) > 2
    if is_level or is_upright:
        yield Edge(x0, min(y0, y1), x1, max(y0, y1))
