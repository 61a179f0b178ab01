"""ODS: the spreadsheets of OpenDocument, whose cells say how they look."""

import io
import re
from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType

from lxml import etree

from nanobot.reading.formats.grid import Grid, column_letters, write_grid
from nanobot.reading.formats.markdown import table
from nanobot.reading.formats.number_formats import plain_number
from nanobot.reading.formats.ooxml.package import Package
from nanobot.reading.formats.scripts import PLAIN, Look, Script, marked
from nanobot.reading.formats.xml import Element, local_name
from nanobot.reading.messages import Unreadable
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_CONTENT = "content.xml"
_CELLS = frozenset({"table-cell", "covered-table-cell"})
_MAX_REPEATED = 16_384
_MAX_ROWS = 1_048_576
_MAX_MERGED = 2_000
_MAX_SPACES = 100
_DURATION = re.compile(r"(-?)PT(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6}(?:[.,]\d{1,9})?)S)?")


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the rows of each sheet.

    Raises:
        Unreadable: it is broken, or a password protects it.
    """
    package = Package(source.archive)
    manifest = package.xml("META-INF/manifest.xml")
    if manifest is not None and next(manifest.iter("{*}encryption-data"), None) is not None:
        raise Unreadable("a password protects it", "encrypted")
    content = package.read(_CONTENT)
    if content is None:
        raise Unreadable("it is broken, or not what it says it is")
    sheets = _Sheets(source, package, buffer)
    sheets.read(content)
    if not sheets.number:
        raise Unreadable("it is a workbook without sheets")


class _Sheets:
    """Reads the sheets as the elements come. `number`: how many there were."""

    def __init__(self, source: Source, package: Package, buffer: TextBuffer) -> None:
        self.number = 0
        self._bounds = source.bounds
        self._package = package
        self._buffer = buffer
        self._hidden_styles: set[str] = set()
        self._looks: dict[str, Look] = {}
        self._rows_left = source.bounds.max_rows
        self._depth = 0
        self._row = self._column = 0
        self._is_wanted = False
        self._grid = Grid(0)
        self._drawn: list[str] = []

    def read(self, content: bytes) -> None:
        tags = ("{*}table", "{*}table-row", "{*}style", "{*}table-column", "{*}shapes")
        events = etree.iterparse(
            io.BytesIO(content),
            events=("start", "end"),
            tag=tags,
            resolve_entities=False,
            no_network=True,
        )
        try:
            for event, element in events:
                self._take(event, element)
                if self._buffer.is_full:
                    return
                if self._rows_left <= 0:
                    self._end_sheet()
                    self._buffer.note(f"the rows after the first {self._bounds.max_rows} are not read")
                    return
        except etree.XMLSyntaxError:
            if self._depth:
                self._end_sheet()
            self._buffer.note("the file is damaged: text may be missing from here on")

    def _take(self, event: str, element: Element) -> None:
        name = local_name(element)
        if name == "table":
            self._depth += 1 if event == "start" else -1
            if event == "start" and self._depth == 1:
                self._begin_sheet(element)
            elif event == "end" and self._depth == 0:
                self._end_sheet()
                element.clear()
        elif event == "end" and name == "style":
            if any(_own(part, "display") == "false" for part in element):
                self._hidden_styles.add(_own(element, "name"))
            look = _look(element)
            if look != PLAIN:
                self._looks[_own(element, "name")] = look
        elif event == "end" and name == "table-column" and self._depth == 1:
            columns = _repeated(element, "number-columns-repeated", _MAX_REPEATED)
            if _own(element, "visibility") in ("collapse", "filter"):
                self._grid.hidden_columns.update(range(self._column, self._column + columns))
            self._column = min(self._column + columns, _MAX_REPEATED)
        elif event == "end" and name == "shapes" and self._is_wanted:
            self._drawn += list(self._frames(element))
        elif event == "end" and name == "table-row" and self._depth == 1:
            self._take_row(element)
            element.clear()
            while element.getprevious() is not None and local_name(element.getprevious()) == "table-row":
                del element.getparent()[0]

    def _begin_sheet(self, element: Element) -> None:
        self.number += 1
        self._row = self._column = 0
        self._drawn = []
        hidden = _own(element, "style-name") in self._hidden_styles
        self._is_wanted = self._buffer.begin("sheet", self.number, _own(element, "name"), hidden=hidden)
        self._grid = Grid(self._bounds.max_characters, self._buffer.first_row)

    def _end_sheet(self) -> None:
        if not self._is_wanted:
            return
        self._is_wanted = False
        if write_grid(self._grid, self._buffer):
            for line in self._drawn:
                self._buffer.write_line(line)

    def _take_row(self, element: Element) -> None:
        repeated = _repeated(element, "number-rows-repeated", _MAX_ROWS)
        self._rows_left -= self._is_wanted
        if self._is_wanted and (self._grid.is_full or self._row + repeated < self._grid.first_row):
            if any(len(cell) for cell in element):
                self._grid.pass_row(self._row + repeated)
        elif self._is_wanted:
            cells = dict(self._cells(element))
            hidden = _own(element, "visibility") in ("collapse", "filter")
            # Rows that are repeated to the end of the sheet are mostly empty ones.
            first = max(self._row + 1, self._grid.first_row)
            for number in range(first, self._row + 1 + repeated if cells else first):
                if self._grid.is_full:
                    self._grid.pass_row(self._row + repeated)
                    break
                self._grid.add(number, cells, is_hidden=hidden)
        self._row += repeated

    def _cells(self, row: Element) -> Iterator[tuple[int, str]]:
        column = 0
        for cell in row:
            if local_name(cell) not in _CELLS:
                continue
            repeated = _repeated(cell, "number-columns-repeated", _MAX_REPEATED)
            text = self._cell(cell)
            if text:
                yield from ((column + at, text) for at in range(repeated))
            self._take_span(cell, column)
            column += repeated

    def _cell(self, cell: Element) -> str:
        paragraphs = [_text(child, self._looks) for child in cell if local_name(child) == "p"]
        text = "\n".join(paragraphs).strip()
        if _own(cell, "value-type") == "date" and _own(cell, "date-value"):
            text = _own(cell, "date-value").removesuffix("T00:00:00").replace("T", " ")
        if not text:
            formula = _own(cell, "formula")
            text = _value(cell) or (f"={formula.partition(':=')[2] or formula}" if formula else "")
        if self._looks.get(_own(cell, "style-name"), PLAIN).is_struck:
            text = marked(text, Script.NONE, is_hidden=False, is_struck=True)
        for child in cell:
            if local_name(child) == "annotation":
                author = next((part.text for part in child if local_name(part) == "creator"), None)
                said = " ".join(_text(part) for part in child if local_name(part) == "p").strip()
                text = (
                    f"{text} [comment{f' by {author}' if author else ''}: {said}]".strip() if said else text
                )
        self._drawn += list(self._frames(cell))
        return text

    def _take_span(self, cell: Element, column: int) -> None:
        columns = _repeated(cell, "number-columns-spanned", _MAX_REPEATED)
        rows = _repeated(cell, "number-rows-spanned", _MAX_ROWS)
        if (columns > 1 or rows > 1) and len(self._grid.merged) < _MAX_MERGED:
            row = self._row + 1
            last = f"{column_letters(column + columns - 1)}{row + rows - 1}"
            self._grid.merged.append(f"{column_letters(column)}{row}:{last}")

    def _frames(self, container: Element) -> Iterator[str]:
        """Yield the lines of charts, pictures and texts that lie over the cells."""
        for frame in container.iter("{*}frame"):
            alt = " ".join(part.text or "" for part in frame.iter("{*}title", "{*}desc")).strip()
            for part in frame:
                name, target = local_name(part), _own(part, "href").removeprefix("./")
                if name == "object" and target:
                    yield from self._chart(target)
                    break
                if name == "image" and target:
                    yield self._buffer.picture(partial(self._picture, target), alt)
                    break
                if name == "text-box":
                    yield from (text for paragraph in part.iter("{*}p") if (text := _text(paragraph)))

    def _picture(self, part: str) -> bytes:
        return self._package.read(part) or b""

    def _chart(self, folder: str) -> Iterator[str]:
        root = self._package.xml(f"{folder}/content.xml")
        chart = None if root is None else next(root.iter("{*}chart"), None)
        if chart is None:
            return
        titles = [" ".join(map(_text, title.iter("{*}p"))) for title in chart.iter("{*}title")]
        yield f"[chart: {titles[0]}]" if titles else "[chart]"
        yield from (f"[axis: {title}]" for title in titles[1:] if title)
        rows = [
            [" ".join(map(_text, cell.iter("{*}p"))) for cell in row if local_name(cell) in _CELLS]
            for row in chart.iter("{*}table-row")
        ]
        yield from table(rows, max(map(len, rows), default=0))


def _own(element: Element, name: str) -> str:
    """Return an attribute by its name without the namespace."""
    return next((str(value) for key, value in element.attrib.items() if key.rpartition("}")[2] == name), "")


def _value(cell: Element) -> str:
    """Return the value of a cell of which the file does not say how it looks."""
    kind, value = _own(cell, "value-type"), _own(cell, "value")
    if kind == "boolean":
        return _own(cell, "boolean-value").upper()
    if kind == "time":
        match = _DURATION.fullmatch(_own(cell, "time-value"))
        if match is None:
            return _own(cell, "time-value")
        return f"{match[1] or ''}{int(match[2] or 0):02}:{int(match[3] or 0):02}:{float(match[4] or 0):02g}"
    try:
        number = float(value)
    except ValueError:
        return value or _own(cell, "string-value")
    if kind == "percentage":
        return f"{plain_number(number * 100)}%"
    return f"{plain_number(number)} {_own(cell, 'currency')}".strip()


def _repeated(element: Element, name: str, most: int) -> int:
    count = _own(element, name)
    return max(1, min(int(count), most)) if count.isdecimal() and len(count) < 9 else 1


def _look(style: Element) -> Look:
    """Return how a style makes texts look."""
    for part in style:
        if local_name(part) == "text-properties":
            position = _own(part, "text-position").partition(" ")[0]
            raised = position in ("super", "sub") or position.strip("-0%") != ""
            script = (
                (Script.SUB if position.startswith(("sub", "-")) else Script.SUPER) if raised else Script.NONE
            )
            line = _own(part, "text-line-through-style") or _own(part, "text-line-through-type")
            return Look(script, is_struck=line not in ("", "none"))
    return PLAIN


def _text(paragraph: Element, looks: Mapping[str, Look] = MappingProxyType({})) -> str:
    """Return the text of a paragraph; pieces look as `looks` says of their styles."""
    pieces = [paragraph.text or ""]
    for child in paragraph:
        name = local_name(child) if isinstance(child.tag, str) else ""
        if name == "s":
            pieces.append(" " * _repeated(child, "c", _MAX_SPACES))
        elif name == "line-break":
            pieces.append("\n")
        elif name == "tab":
            pieces.append("\t")
        elif name == "a" and _own(child, "href"):
            text = _text(child)
            href = _own(child, "href")
            pieces.append(text if text in href or href.startswith("#") else f"[{text}]({href})")
        elif name and name not in ("annotation", "frame"):
            look = looks.get(_own(child, "style-name"), PLAIN)
            pieces.append(marked(_text(child, looks), look.script, look.is_hidden, look.is_struck))
        pieces.append(child.tail or "")
    return "".join(pieces)
