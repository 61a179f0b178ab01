"""How the cells of an XLS look: what calamine does not say of them. Laid out as in [MS-XLS]."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from nanobot.reading.compound import stream_of
from nanobot.reading.formats.number_formats import built_in_format, shown_number
from nanobot.reading.formats.scripts import Script, marked

_BOF, _EOF, _FORMAT, _XF, _FONT, _SHEET = 0x0809, 0x000A, 0x041E, 0x00E0, 0x0031, 0x0085
_NUMBER, _RK, _MULRK, _FORMULA, _BOOL_OR_ERROR = 0x0203, 0x027E, 0x00BD, 0x0006, 0x0205
_TEXTS = frozenset({0x00FD, 0x0204, 0x00D6})
_ROW, _COLUMNS = 0x0208, 0x007D
_ERRORS = {
    0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!",
    0x2A: "#N/A",
}  # fmt: skip
_UNCOMPUTED = "[a formula that was not computed]"
_STRUCK, _ROW_IS_HIDDEN, _COLUMNS_ARE_HIDDEN = 0x0008, 0x0020, 0x0001
_IS_ERROR, _BLANK = 2, 3
"""Kinds of a formula's value that is no number."""
_WORKSHEET = 0
_MOST_CELLS = 400_000
_MOST_COLUMNS = 256


@dataclass(slots=True)
class CellLooks:
    """How the cells of a sheet look, by row and column from 0. `instead`: what stands in cells that have no
    value here. `blank`: formulas whose value is an empty text; `computed`: how many others there are.
    """

    formats: dict[tuple[int, int], str] = field(default_factory=dict)
    instead: dict[tuple[int, int], str] = field(default_factory=dict)
    struck: set[tuple[int, int]] = field(default_factory=set)
    blank: set[tuple[int, int]] = field(default_factory=set)
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    computed: int = 0

    def shown(self, row: int, column: int, value: object, text: str) -> str:
        """Return how a cell is shown, whose value has the `text` otherwise."""
        place = (row, column)
        if not text:
            return self.instead.get(place, "")
        if isinstance(value, int | float) and not isinstance(value, bool) and place in self.formats:
            text = shown_number(float(value), self.formats[place])
        return marked(text, Script.NONE, is_hidden=False, is_struck=True) if place in self.struck else text


def looks_of(content: bytes) -> list[CellLooks]:
    """Return the looks of the cells of each sheet, as far as the file tells; nothing where it is no XLS."""
    looks: list[CellLooks] = []
    try:
        stream = stream_of(content, ("workbook", "book"))
        styles = _Styles()
        for place in list(styles.read(stream)):
            looks.append(CellLooks())
            if place is not None:
                _read_sheet(stream, place, styles, looks[-1])
    except (struct.error, IndexError, ValueError):
        # What is damaged looks plain.
        pass
    if not any(sheet.computed for sheet in looks):
        # Some programs write formulas and compute none.
        for sheet in looks:
            sheet.instead |= dict.fromkeys(sheet.blank, _UNCOMPUTED)
    return looks


class _Styles:
    """The styles of a workbook: of each its format, and whether it strikes texts through."""

    def __init__(self) -> None:
        self._formats: dict[int, str] = {}
        self._struck_fonts: list[bool] = []
        self._styles: list[tuple[int, int]] = []

    def read(self, stream: bytes) -> Iterator[int | None]:
        """Read the records before the sheets; yield where each sheet begins, None for one of no cells."""
        is_new = True
        for kind, data in _records(stream, 0):
            if kind == _BOF:
                is_new = struct.unpack_from("<H", data)[0] >= 0x0600
            elif kind == _FORMAT:
                self._formats[struct.unpack_from("<H", data)[0]] = _format(data, is_new=is_new)
            elif kind == _FONT:
                self._struck_fonts.append(bool(struct.unpack_from("<H", data, 2)[0] & _STRUCK))
            elif kind == _XF:
                self._styles.append(struct.unpack_from("<HH", data))
            elif kind == _SHEET:
                yield struct.unpack_from("<I", data)[0] if data[5] == _WORKSHEET else None

    def format(self, style: int) -> str:
        """Return the format of numbers; empty where it is the usual one."""
        number = self._styles[style][1] if style < len(self._styles) else 0
        form = self._formats.get(number) or built_in_format(number)
        return "" if form in ("General", "@") else form

    def is_struck(self, style: int) -> bool:
        font = self._styles[style][0] if style < len(self._styles) else 0
        # No font has the number 4.
        font -= font > 4
        return font < len(self._struck_fonts) and self._struck_fonts[font]


def _records(stream: bytes, place: int) -> Iterator[tuple[int, bytes]]:
    """Yield kind and content of the records up to the end of a part of the workbook."""
    while place + 4 <= len(stream):
        kind, size = struct.unpack_from("<HH", stream, place)
        if kind == _EOF:
            return
        yield kind, stream[place + 4 : place + 4 + size]
        place += 4 + size


def _format(data: bytes, *, is_new: bool) -> str:
    if not is_new:
        return data[3 : 3 + data[2]].decode("cp1252", "replace")
    length, flags = struct.unpack_from("<HB", data, 2)
    return (
        data[5 : 5 + length * 2].decode("utf-16-le") if flags & 1 else data[5 : 5 + length].decode("latin-1")
    )


def _read_sheet(stream: bytes, place: int, styles: _Styles, looks: CellLooks) -> None:
    cells = 0
    for kind, data in _records(stream, place):
        if kind == _MULRK:
            row, first = struct.unpack_from("<HH", data)
            for column, at in enumerate(range(4, len(data) - 2, 6), first):
                _take_cell(row, column, struct.unpack_from("<H", data, at)[0], styles, looks)
                cells += 1
        elif kind in _TEXTS or kind in (_NUMBER, _RK, _FORMULA, _BOOL_OR_ERROR):
            row, column, style = struct.unpack_from("<HHH", data)
            _take_cell(row, column, style, styles, looks)
            cells += 1
            if kind == _FORMULA:
                is_blank = data[12:14] == b"\xff\xff" and data[6] == _BLANK
                looks.computed += not is_blank
                if is_blank:
                    looks.blank.add((row, column))
            if error := _error(kind, data):
                looks.instead[row, column] = error
        elif kind == _ROW and struct.unpack_from("<H", data, 12)[0] & _ROW_IS_HIDDEN:
            looks.hidden_rows.add(struct.unpack_from("<H", data)[0])
        elif kind == _COLUMNS and struct.unpack_from("<H", data, 8)[0] & _COLUMNS_ARE_HIDDEN:
            first, last = struct.unpack_from("<HH", data)
            looks.hidden_columns.update(range(first, min(last, _MOST_COLUMNS) + 1))
        if cells > _MOST_CELLS:
            return


def _take_cell(row: int, column: int, style: int, styles: _Styles, looks: CellLooks) -> None:
    if form := styles.format(style):
        looks.formats[row, column] = form
    if styles.is_struck(style):
        looks.struck.add((row, column))


def _error(kind: int, data: bytes) -> str:
    """Return the error that is the value of a cell, if it is one."""
    if kind == _BOOL_OR_ERROR:
        return _ERRORS.get(data[6], "#N/A") if data[7] else ""
    is_error = kind == _FORMULA and data[12:14] == b"\xff\xff" and data[6] == _IS_ERROR
    return _ERRORS.get(data[8], "#N/A") if is_error else ""
