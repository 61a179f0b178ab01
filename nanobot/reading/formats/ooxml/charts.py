"""Charts as a title and a table of categories and series, with the values that the file keeps of them."""

import datetime
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from nanobot.reading.formats.markdown import table
from nanobot.reading.formats.ooxml.drawing_text import one_line
from nanobot.reading.formats.xml import Element, local_name

C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_MOST_POINTS = 20_000
_QUOTED = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')
_DATE = re.compile(r"[yd]|m(?!.*[0#])", re.IGNORECASE)
_EPOCH = datetime.datetime(1899, 12, 30)
_MOST_DAYS = 2_958_465


class Series(NamedTuple):
    """One row of values. `columns`: their names and values by the number of the point."""

    name: str
    categories: dict[int, str]
    columns: dict[str, dict[int, str]]


def chart_lines(root: Element) -> Iterator[str]:
    """Yield the lines of the chart whose part has this root, of the older format or the newer one."""
    is_new = "chartex" in str(root.tag)
    title, notes = _titles(root)
    series = list(_new_series(root) if is_new else _series(root))
    yield f"[chart: {title}]" if title else "[chart]"
    yield from notes
    yield from _tables(series)


def _titles(root: Element) -> tuple[str, list[str]]:
    """Return the title of the chart, and a line for each axis and label that has a text of its own."""
    title, notes = "", []
    for element in root.iter("{*}title", "{*}dLbl"):
        text = one_line(element.find("{*}tx"))
        if not text:
            text = " ".join(value for value in _points(element.find("{*}tx")).values() if value)
        if not text:
            continue
        parent = local_name(element.getparent())
        if local_name(element) == "dLbl":
            notes.append(f"[label: {text}]")
        elif parent == "chart":
            title = text
        else:
            notes.append(f"[axis: {text}]")
    return title, notes


def _series(root: Element) -> Iterator[Series]:
    for element in root.iter(f"{C}ser"):
        name = " ".join(_points(element.find(f"{C}tx")).values())
        category = element.find(f"{C}cat")
        columns = {
            heading: _points(element.find(f"{C}{tag}"))
            for heading, tag in (("x", "xVal"), ("", "val"), ("y", "yVal"), ("size", "bubbleSize"))
            if element.find(f"{C}{tag}") is not None
        }
        yield Series(name, {} if category is None else _points(category), columns)


def _new_series(root: Element) -> Iterator[Series]:
    """Yield the series of a chart such as a waterfall or a treemap."""
    data = {entry.get("id"): entry for entry in root.iter("{*}data")}
    for element in root.iter("{*}series"):
        name = "".join(element.xpath("./*[local-name()='tx']//*[local-name()='v']/text()"))
        reference = element.find("{*}dataId")
        entry = data.get(reference.get("val")) if reference is not None else None
        if entry is None:
            continue
        texts = entry.find("{*}strDim")
        yield Series(
            name,
            {} if texts is None else _levels(texts),
            {str(number): _level(dimension) for number, dimension in enumerate(entry.findall("{*}numDim"))},
        )


def _points(element: Element | None) -> dict[int, str]:
    """Return the values that are kept of a reference, by their number; levels of categories are joined."""
    if element is None:
        return {}
    if element.find(f".//{C}lvl") is not None:
        return _levels(element)
    form = element.findtext(f".//{C}formatCode") or "General"
    points = _level(element, form)
    if not points:
        text = one_line(element) or (element.findtext(f"{C}v") or "").strip()
        points = {0: text} if text else {}
    return points


def _level(element: Element, form: str = "General") -> dict[int, str]:
    points: dict[int, str] = {}
    for point in element.iter("{*}pt"):
        value = point.text if point.find("{*}v") is None else point.findtext("{*}v")
        number = point.get("idx", "")
        if number.isdecimal() and int(number) < _MOST_POINTS:
            points[int(number)] = _formatted((value or "").strip(), point.get("formatCode") or form)
    return points


def _levels(element: Element) -> dict[int, str]:
    """Return categories of several levels: the innermost comes first in the file, and outer ones span it."""
    levels = [_level(level) for level in element.iter("{*}lvl")]
    if not levels:
        return _level(element)
    names = {}
    outer = [""] * (len(levels) - 1)
    for number in range(max(levels[0], default=-1) + 1):
        outer = [level.get(number, name) for level, name in zip(levels[1:], outer, strict=True)]
        names[number] = " / ".join(filter(None, [*reversed(outer), levels[0].get(number, "")]))
    return names


def _formatted(value: str, form: str) -> str:
    """Return a number as the format shows it, where it is a date or a percentage."""
    form = _QUOTED.sub("", form.partition(";")[0])
    try:
        number = float(value)
    except ValueError:
        return value
    if not math.isfinite(number):
        return value
    if form.lower() in ("general", ""):
        return _plain(number, value)
    if "%" in form:
        return f"{_plain(round(number * 100, 6), '')}%"
    if _DATE.search(form) and 0 < number <= _MOST_DAYS:
        moment = _EPOCH + datetime.timedelta(days=number)
        return moment.date().isoformat() if number == int(number) else moment.isoformat(" ", "minutes")
    return _plain(number, value)


def _plain(number: float, written: str) -> str:
    """Return a number without what the way in which computers keep it has added: 0.30000000000000004."""
    if abs(number) < 1e15 and number == int(number):
        return str(int(number))
    short = f"{number:.12g}"
    return short if "e" not in short else written or short


def _tables(series: Sequence[Series]) -> Iterator[str]:
    """Yield one table for all series that have the same categories, and one for each other."""
    groups: list[list[Series]] = []
    for each in series:
        if groups and "x" not in each.columns and groups[-1][0].categories == each.categories:
            groups[-1].append(each)
        else:
            groups.append([each])
    for group in groups:
        yield from _table(group)


def _table(group: Sequence[Series]) -> Iterator[str]:
    columns = [
        (_heading(each.name, heading, len(each.columns)), values)
        for each in group
        for heading, values in each.columns.items()
    ]
    categories = group[0].categories
    numbers = sorted(set(chain(categories, *(values for _, values in columns))))
    rows: Iterable[list[str]] = (
        [categories.get(number, ""), *(values.get(number, "") for _, values in columns)] for number in numbers
    )
    yield from table(chain([["", *(heading for heading, _ in columns)]], rows), len(columns) + 1)


def _heading(name: str, column: str, columns: int) -> str:
    return f"{name} {column}".strip() if columns > 1 else name
