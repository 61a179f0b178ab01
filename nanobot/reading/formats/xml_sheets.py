"""XML Spreadsheet 2003, which many programs write as their "Excel export", often under the name of an XLS."""

from collections.abc import Iterator

from nanobot.reading.formats.grid import Grid, column_letters, write_grid
from nanobot.reading.formats.number_formats import plain_number, shown_number
from nanobot.reading.formats.xml import Element, local_name, parse
from nanobot.reading.messages import Unreadable
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_SS = "{urn:schemas-microsoft-com:office:spreadsheet}"
_NAMED = {
    "general number": "General", "currency": "$#,##0.00", "euro currency": "[$€-2] #,##0.00", "fixed": "0.00",
    "standard": "#,##0.00", "percent": "0.00%", "scientific": "0.00E+00", "yes/no": '"Yes";"Yes";"No"',
    "true/false": '"True";"True";"False"', "on/off": '"On";"On";"Off"',
    **dict.fromkeys(("short date", "medium date", "long date"), "yyyy-mm-dd"),
    **dict.fromkeys(("short time", "medium time"), "h:mm"), "long time": "h:mm:ss",
    "general date": "yyyy-mm-dd h:mm",
}  # fmt: skip
"""What formats mean that have a name."""
_MAX_ROW, _MAX_COLUMN = 1_048_576, 16_384
_MAX_MERGED = 2_000


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the rows of each sheet.

    Raises:
        Unreadable: there is no sheet in it.
    """
    parsed = parse(source.content)
    sheets = [] if parsed is None else list(parsed.root.iterchildren(f"{_SS}Worksheet"))
    if parsed is None or not sheets:
        raise Unreadable("it is a workbook without sheets")
    formats = _formats(parsed.root)
    buffer.total("sheet", len(sheets))
    for number, sheet in enumerate(sheets, 1):
        hidden = any((part.text or "").startswith("SheetHidden") for part in sheet.iter("{*}Visible"))
        if buffer.begin("sheet", number, sheet.get(f"{_SS}Name") or f"Sheet{number}", hidden=hidden):
            grid = Grid(source.bounds.max_characters, buffer.first_row)
            for table in sheet.iterchildren(f"{_SS}Table"):
                _read_table(table, formats, grid)
            write_grid(grid, buffer)
        if buffer.is_full:
            return
    if parsed.is_damaged:
        buffer.note("the file is damaged: text may be missing from here on")


def _formats(root: Element) -> dict[str, str]:
    """Return the formats of numbers by the styles that have them."""
    formats: dict[str, str] = {}
    for style in root.iter(f"{_SS}Style"):
        own = style.find(f"{_SS}NumberFormat")
        form = "" if own is None else own.get(f"{_SS}Format", "")
        form = form or formats.get(style.get(f"{_SS}Parent", "Default"), "")
        formats[style.get(f"{_SS}ID", "")] = _NAMED.get(form.lower(), form)
    return formats


def _read_table(table: Element, formats: dict[str, str], grid: Grid) -> None:
    column = 0
    for entry in table.iterchildren(f"{_SS}Column"):
        column = _place(entry, column, _MAX_COLUMN)
        spans = _count(entry, "Span")
        if entry.get(f"{_SS}Hidden") == "1":
            grid.hidden_columns.update(range(column - 1, min(column + spans, _MAX_COLUMN)))
        column += spans
    row = 0
    for entry in table.iterchildren(f"{_SS}Row"):
        row = _place(entry, row, _MAX_ROW)
        cells = dict(_cells(entry, row, formats, grid))
        if cells:
            grid.add(row, cells, is_hidden=entry.get(f"{_SS}Hidden") == "1")
        row += _count(entry, "Span")


def _cells(row: Element, number: int, formats: dict[str, str], grid: Grid) -> Iterator[tuple[int, str]]:
    column = 0
    for cell in row.iterchildren(f"{_SS}Cell"):
        column = _place(cell, column, _MAX_COLUMN)
        text = _shown(
            cell, formats.get(cell.get(f"{_SS}StyleID") or row.get(f"{_SS}StyleID") or "Default", "")
        )
        if text:
            yield column - 1, text
        across, down = _count(cell, "MergeAcross"), _count(cell, "MergeDown")
        if (across or down) and len(grid.merged) < _MAX_MERGED:
            last = f"{column_letters(column - 1 + across)}{number + down}"
            grid.merged.append(f"{column_letters(column - 1)}{number}:{last}")
        column += across


def _shown(cell: Element, form: str) -> str:
    data = next((part for part in cell if local_name(part) == "Data"), None)
    formula = cell.get(f"{_SS}Formula", "")
    text = formula if data is None else _value(data, form)
    link = cell.get(f"{_SS}HRef", "")
    if text and link and text.rstrip("/") not in link:
        text = f"[{text}]({link})"
    for comment in cell.iterchildren(f"{_SS}Comment"):
        author = comment.get(f"{_SS}Author", "")
        said = " ".join("".join(comment.itertext()).split()).removeprefix(f"{author}:").strip()
        text = f"{text} [comment{f' by {author}' if author else ''}: {said}]".strip() if said else text
    return text


def _value(data: Element, form: str) -> str:
    text = "".join(data.itertext())
    kind = data.get(f"{_SS}Type", "String")
    if kind == "Boolean":
        return "TRUE" if text.strip() == "1" else "FALSE"
    if kind == "DateTime":
        date, _, time = text.strip().removesuffix(".000").partition("T")
        time = time.removesuffix(":00")
        # A time without a day is one of the calendar's first.
        return time if date == "1899-12-31" else f"{date} {time}".removesuffix(" 00:00")
    if kind != "Number":
        return text
    try:
        number = float(text)
    except ValueError:
        return text
    return shown_number(number, form) if form and form != "General" else plain_number(number)


def _place(element: Element, last: int, most: int) -> int:
    """Return the number of a row or column: its own, or that behind the `last` one."""
    return min(_count(element, "Index") or last + 1, most)


def _count(element: Element, name: str) -> int:
    count = element.get(f"{_SS}{name}", "")
    return min(int(count), _MAX_ROW) if count.isdecimal() and len(count) < 9 else 0
