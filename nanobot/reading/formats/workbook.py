"""XLSX and its kin: workbooks whose sheets are XML, read a row at a time."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lxml import etree

from nanobot.reading.formats.grid import Grid, write_grid
from nanobot.reading.formats.number_formats import built_in_format
from nanobot.reading.formats.ooxml.package import Package
from nanobot.reading.formats.sheet_drawings import drawing_lines
from nanobot.reading.formats.sheet_rows import (
    RowReader,
    SheetStyles,
    is_struck,
    parse_reference,
    read_rows,
    text_of,
)
from nanobot.reading.formats.xml import Element
from nanobot.reading.messages import Unreadable
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_TYPES = ("sheet.main+xml", "template.main+xml", "main+xml")
_USUAL = "xl/workbook.xml"
_MAX_SHEETS = 2_000
_MAX_NAMES = 100
_MAX_COMMENTS = 10_000


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A sheet as the workbook names it. `part`: nothing, if the file does not have it."""

    name: str
    part: str
    kind: str
    is_hidden: bool


def is_workbook(archive: zipfile.ZipFile) -> bool:
    """Return whether the archive is a workbook of XML parts."""
    part = Package(archive).main_part(_TYPES, _USUAL)
    return part is not None and not part.endswith(".bin")


def read(source: Source, buffer: TextBuffer) -> None:
    """Write each sheet: its rows, then charts, pictures and texts that lie over them.

    Raises:
        Unreadable: it has no sheets.
    """
    package = Package(source.archive)
    part = package.main_part(_TYPES, _USUAL)
    root = None if part is None else package.xml(part)
    if part is None or root is None:
        raise Unreadable("it is broken, or not what it says it is")
    sheets = list(_sheets(package, part, root))
    if not sheets:
        raise Unreadable("it is a workbook without sheets")
    strings = [text for name in package.related(part, "sharedStrings") for text in _strings(package, name)]
    styles = _styles(package, part, is_1904=_is_set(root, "workbookPr", "date1904"))
    is_uncomputed = _is_set(root, "calcPr", "fullCalcOnLoad")
    buffer.total("sheet", len(sheets))
    rows_left = source.bounds.max_rows
    margins: set[str] = set()
    for number, sheet in enumerate(sheets, 1):
        if buffer.begin("sheet", number, sheet.name, hidden=sheet.is_hidden):
            reader = RowReader(strings, styles, rows_left, margins, is_uncomputed)
            _write_sheet(source, package, sheet, reader, buffer)
            rows_left -= reader.rows
            if reader.is_cut:
                buffer.note(f"the rows after the first {source.bounds.max_rows} are not read")
                return
        if buffer.is_full:
            return
    for line in _names(root):
        if not buffer.note(line):
            return
    if package.damaged:
        buffer.note(f"damaged parts were left out: {', '.join(package.damaged[:10])}")


def _sheets(package: Package, part: str, root: Element) -> Iterator[_Sheet]:
    relations = package.relationships(part)
    for number, entry in enumerate(root.iter("{*}sheet"), 1):
        if number > _MAX_SHEETS:
            return
        id_ = next((value for name, value in entry.attrib.items() if name.endswith("}id")), "")
        relation = relations.get(id_)
        yield _Sheet(
            entry.get("name") or f"Sheet{number}",
            relation.target if relation is not None and not relation.is_external else "",
            relation.kind if relation is not None else "",
            entry.get("state", "visible") != "visible",
        )


def _write_sheet(
    source: Source, package: Package, sheet: _Sheet, reader: RowReader, buffer: TextBuffer
) -> None:
    if not sheet.part or sheet.part not in package:
        buffer.note("this sheet is missing from the file")
        return
    if sheet.kind == "chartsheet":
        for line in drawing_lines(package, sheet.part, buffer):
            buffer.write_line(line)
        return
    grid = Grid(source.bounds.max_characters, buffer.first_row)
    content = package.read(sheet.part)
    if content is None:
        buffer.note("this sheet is damaged and cannot be read")
        return
    is_whole = read_rows(content, package.relationships(sheet.part), reader, grid)
    for row, column, text in _comments(package, sheet.part):
        grid.append(row, column, text)
    if not write_grid(grid, buffer):
        return
    if not is_whole:
        buffer.note("this sheet is damaged: rows may be missing after the last one")
    for line in drawing_lines(package, sheet.part, buffer):
        if not buffer.write_line(line):
            return


def _strings(package: Package, part: str) -> Iterator[str]:
    """Yield the texts that cells refer to by number."""
    try:
        for _, item in etree.iterparse(
            io.BytesIO(package.read(part) or b""), tag="{*}si", resolve_entities=False, no_network=True
        ):
            yield text_of(item)
            item.clear()
            while item.getprevious() is not None:
                del item.getparent()[0]
    except etree.XMLSyntaxError:
        return


def _styles(package: Package, part: str, *, is_1904: bool) -> SheetStyles:
    """Return the formats of numbers by the number of the style; none where the styles are damaged."""
    formats: list[str] = []
    struck: set[str] = set()
    for name in package.related(part, "styles"):
        root = package.xml(name)
        if root is None:
            continue
        own = {entry.get("numFmtId"): entry.get("formatCode", "") for entry in root.iter("{*}numFmt")}
        fonts = {
            str(number) for number, font in enumerate(root.iterfind("{*}fonts/{*}font")) if is_struck(font)
        }
        for cells in root.iter("{*}cellXfs"):
            for entry in cells.iter("{*}xf"):
                if entry.get("fontId") in fonts:
                    struck.add(str(len(formats)))
                id_ = entry.get("numFmtId", "0")
                formats.append(own.get(id_) or built_in_format(int(id_) if id_.isdecimal() else 0))
    return SheetStyles(tuple(formats), is_1904, frozenset(struck))


def _is_set(root: Element, name: str, attribute: str) -> bool:
    return any(entry.get(attribute) in ("1", "true") for entry in root.iter(f"{{*}}{name}"))


def _names(root: Element) -> Iterator[str]:
    """Yield what the workbook names, leaving out what programs name for themselves."""
    for number, entry in enumerate(root.iter("{*}definedName")):
        name = entry.get("name", "")
        if number >= _MAX_NAMES:
            return
        if entry.get("hidden") not in ("1", "true") and not name.startswith("_xlnm."):
            yield f"name {name} = {(entry.text or '').strip()}"


def _comments(package: Package, part: str) -> Iterator[tuple[int, int, str]]:
    """Yield row, column and text of the comments, of both kinds that there are."""
    threaded: set[tuple[int, int]] = set()
    people: Mapping[str, str] = {}
    for name in package.related(part, "threadedComment"):
        root = package.xml(name)
        people = people or _people(package)
        for entry in () if root is None else root.iter("{*}threadedComment"):
            place = parse_reference(entry.get("ref", ""))
            text = " ".join("".join(entry.itertext("{*}text")).split())
            if place is not None and text:
                threaded.add(place)
                yield *place, _comment(people.get(entry.get("personId", ""), ""), text)
    for name in package.related(part, "comments"):
        root = package.xml(name)
        if root is None:
            continue
        authors = [author.text or "" for author in root.iter("{*}author")]
        for number, entry in enumerate(root.iter("{*}comment")):
            place = parse_reference(entry.get("ref", ""))
            if place is None or place in threaded or number >= _MAX_COMMENTS:
                continue
            by = entry.get("authorId", "")
            author = authors[int(by)] if by.isdecimal() and int(by) < len(authors) else ""
            text = " ".join(" ".join(text_of(each) for each in entry.iter("{*}text")).split())
            text = text.removeprefix(f"{author}:").strip()
            if text:
                yield *place, _comment(author, text)


def _comment(author: str, text: str) -> str:
    return f"[comment{f' by {author}' if author.strip() else ''}: {text}]"


def _people(package: Package) -> Mapping[str, str]:
    part = package.part_of_type((".person+xml",))
    root = None if part is None else package.xml(part)
    return (
        {}
        if root is None
        else {entry.get("id", ""): entry.get("displayName", "") for entry in root.iter("{*}person")}
    )
