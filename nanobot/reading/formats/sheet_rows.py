"""The rows of a sheet in XML, as they come."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lxml import etree

from nanobot.reading.formats.formulas import moved
from nanobot.reading.formats.grid import Grid
from nanobot.reading.formats.number_formats import plain_number, shown_number
from nanobot.reading.formats.ooxml.package import Relationship
from nanobot.reading.formats.scripts import Script, Segment, joined, marked
from nanobot.reading.formats.sheet_margins import margin_lines
from nanobot.reading.formats.xml import Element, local_name

_REFERENCE = re.compile(r"\$?([A-Za-z]{1,3})\$?(\d{1,7})")
_MAX_ROW, _MAX_COLUMN = 1_048_576, 16_384
_MAX_HIDDEN = 16_384
_MAX_MERGED = 2_000
_MAX_OBJECTS = 100
_LONGEST_TEXT = 32_767
_SCRIPTS = {"superscript": Script.SUPER, "subscript": Script.SUB}
_PLAIN = Segment("")[1:]
_LONGEST_FORMULA = 500


class SheetStyles(NamedTuple):
    """The formats of numbers by the number of the style. `is_1904`: from when days are counted. `struck`: the
    numbers of the styles that strike texts through.
    """

    formats: tuple[str, ...]
    is_1904: bool
    struck: frozenset[str] = frozenset()


class _Shared(NamedTuple):
    """A formula that other cells share, and where it stands."""

    text: str
    row: int
    column: int


def parse_reference(reference: str) -> tuple[int, int] | None:
    """Return row, from 1, and column, from 0, of a reference such as `B7`."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        return None
    column = 0
    for letter in match[1].upper():
        column = column * 26 + ord(letter) - ord("A") + 1
    row = int(match[2])
    return (row, column - 1) if 1 <= row <= _MAX_ROW and column <= _MAX_COLUMN else None


def text_of(item: Element) -> str:
    """Return the text of a cell or comment, without how it is pronounced."""
    pieces: list[Segment] = []
    for child in item:
        name = local_name(child)
        if name == "t":
            pieces.append(Segment(child.text or ""))
        elif name == "r":
            pieces.append(_run(child))
    return pieces[0].text if len(pieces) == 1 and pieces[0][1:] == _PLAIN else joined(pieces)


def is_struck(font: Element) -> bool:
    """Return whether a font, or the look of a piece of text, is struck through."""
    return any(local_name(part) == "strike" and part.get("val") not in ("0", "false") for part in font)


def _run(element: Element) -> Segment:
    text, script, struck = "", Script.NONE, False
    for part in element:
        name = local_name(part)
        if name == "t":
            text += part.text or ""
        elif name == "rPr":
            struck = is_struck(part)
            height = next((each.get("val") for each in part if local_name(each) == "vertAlign"), "")
            script = _SCRIPTS.get(height, Script.NONE)
    return Segment(text, script, is_struck=struck)


@dataclass(slots=True)
class RowReader:
    """Reads rows with the texts and styles of the workbook. `is_cut`: there were more than `most_rows`.
    `margins`: the headers and footers that were shown with other sheets. `is_uncomputed`: the workbook asks
    to be computed when it is opened, since its program did not.
    """

    strings: Sequence[str]
    styles: SheetStyles
    most_rows: int
    margins: set[str]
    is_uncomputed: bool = False
    rows: int = 0
    is_cut: bool = False

    def read_row(self, element: Element, last: int, shared: dict[str, _Shared], grid: Grid) -> int:
        """Add the row to the grid, if it has text; return its number. `last`: that of the row before."""
        number = element.get("r", "")
        row = int(number) if number.isdecimal() and len(number) < 8 else last + 1
        if row < grid.first_row or grid.is_full:
            _pass(element, row, shared, grid)
            return row
        cells: dict[int, str] = {}
        column = -1
        for cell in element:
            place = parse_reference(cell.get("r", ""))
            column = column + 1 if place is None else place[1]
            text = self._shown(cell, row, column, shared)
            if text:
                cells[column] = text[:_LONGEST_TEXT]
        if cells:
            grid.add(row, cells, is_hidden=element.get("hidden") in ("1", "true"))
        return row

    def _shown(self, cell: Element, row: int, column: int, shared: dict[str, _Shared]) -> str:
        value = formula = None
        inline = ""
        for child in cell:
            name = local_name(child)
            if name == "v":
                value = child.text
            elif name == "f":
                formula = _formula(child, row, column, shared)
            elif name == "is":
                inline = text_of(child)
        if cell.get("t") == "e" and cell.get("vm") is not None:
            return "[a picture, or another value of more than text]"
        style = cell.get("s", "")
        if value is None or (formula and self.is_uncomputed and _is_nought(value)):
            return inline or (f"={formula[:_LONGEST_FORMULA]}" if formula else "")
        text = self._value(value, cell.get("t", "n"), style)
        return (
            marked(text, Script.NONE, is_hidden=False, is_struck=True)
            if style in self.styles.struck
            else text
        )

    def _value(self, value: str, kind: str, style: str) -> str:
        if kind == "s":
            at = value.strip()
            return self.strings[int(at)] if at.isdecimal() and int(at) < len(self.strings) else ""
        if kind == "b":
            return "TRUE" if value.strip() in ("1", "true") else "FALSE"
        if kind == "d":
            return value.removesuffix("T00:00:00").replace("T", " ").removesuffix(".000")
        if kind != "n":
            return value
        try:
            number = float(value)
        except ValueError:
            return value
        formats = self.styles.formats
        form = formats[int(style)] if style.isdecimal() and int(style) < len(formats) else "General"
        if form == "General":
            return plain_number(number)
        return shown_number(number, form, is_1904=self.styles.is_1904)


def _is_nought(value: str) -> bool:
    """Return whether a value is what programs write that compute nothing."""
    return not value.strip().strip("0.")


def _pass(element: Element, row: int, shared: dict[str, _Shared], grid: Grid) -> None:
    """Count a row that is not shown; formulas in it may be those of rows that are."""
    if any(len(cell) for cell in element):
        grid.pass_row(row)
    for formula in element.iter("{*}f") if row < grid.first_row else ():
        place = parse_reference(formula.getparent().get("r", ""))
        if place is not None:
            _formula(formula, row, place[1], shared)


def _formula(element: Element, row: int, column: int, shared: dict[str, _Shared]) -> str:
    text = (element.text or "").strip()
    index = element.get("si")
    if element.get("t") != "shared" or index is None:
        return text
    if text:
        shared.setdefault(index, _Shared(text, row, column))
        return text
    first = shared.get(index)
    return "" if first is None else moved(first.text, row - first.row, column - first.column)


def read_rows(
    content: bytes,
    relations: Mapping[str, Relationship],
    reader: RowReader,
    grid: Grid,
) -> bool:
    """Add the rows of a sheet to the grid. Return False where the sheet is damaged and ends early."""
    shared: dict[str, _Shared] = {}
    last = 0
    # A file may name an object twice, for newer programs and for older ones.
    objects: dict[str, str] = {}
    try:
        tags = ("{*}row", "{*}col", "{*}mergeCell", "{*}hyperlink", "{*}headerFooter", "{*}oleObject")
        for _, element in etree.iterparse(
            io.BytesIO(content), tag=tags, resolve_entities=False, no_network=True
        ):
            name = local_name(element)
            if name == "row":
                if reader.rows >= reader.most_rows:
                    reader.is_cut = True
                    return True
                reader.rows += 1
                last = reader.read_row(element, last, shared, grid)
            elif name == "col":
                _hide_columns(element, grid)
            elif name == "mergeCell" and len(grid.merged) < _MAX_MERGED:
                grid.merged.append(element.get("ref", ""))
            elif name == "hyperlink":
                _link(element, relations, grid)
            elif name == "headerFooter":
                grid.notes += [line for line in margin_lines(element) if line not in reader.margins]
                reader.margins.update(grid.notes)
            elif name == "oleObject" and len(objects) < _MAX_OBJECTS:
                objects[element.get("shapeId", "")] = element.get("progId") or "of unknown kind"
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
    except etree.XMLSyntaxError:
        return False
    grid.notes += [f"embedded object: {kind}" for kind in objects.values()]
    return True


def _hide_columns(element: Element, grid: Grid) -> None:
    first, last = element.get("min", ""), element.get("max", "")
    if element.get("hidden") in ("1", "true") and first.isdecimal() and last.isdecimal():
        grid.hidden_columns.update(range(int(first) - 1, min(int(last), _MAX_HIDDEN)))


def _link(element: Element, relations: Mapping[str, Relationship], grid: Grid) -> None:
    """Make the text of a cell a link."""
    place = parse_reference(element.get("ref", "").partition(":")[0])
    id_ = next((value for name, value in element.attrib.items() if name.endswith("}id")), "")
    relation = relations.get(id_)
    if place is None or relation is None or not relation.is_external:
        return
    text = grid.rows.get(place[0], {}).get(place[1])
    if text and relation.target and text.rstrip("/") not in relation.target:
        grid.rows[place[0]][place[1]] = f"[{text}]({relation.target})"
