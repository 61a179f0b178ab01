"""What lies over the cells of a sheet: charts, pictures, shapes with text."""

from collections.abc import Iterator

from nanobot.reading.formats.grid import column_letters
from nanobot.reading.formats.ooxml.charts import chart_lines
from nanobot.reading.formats.ooxml.diagrams import diagram_lines
from nanobot.reading.formats.ooxml.package import Package
from nanobot.reading.formats.xml import Element, local_name
from nanobot.reading.text_buffer import TextBuffer

_MAX_ANCHORS = 500
_MAX_SERIES = 200


def drawing_lines(package: Package, sheet: str, buffer: TextBuffer) -> Iterator[str]:
    """Yield the lines of what is drawn on the sheet, from the first anchor to the last."""
    for part in package.related(sheet, "drawing"):
        root = package.xml(part)
        for number, anchor in enumerate(() if root is None else _anchors(root)):
            if number >= _MAX_ANCHORS:
                return
            lines = list(_anchored(package, part, anchor, buffer))
            if lines:
                place = _place(anchor)
                yield from ["", f"[at {place}]"] if place else [""]
                yield from lines


def _anchors(root: Element) -> Iterator[Element]:
    """Yield the anchors, of alternatives the first that has some: controls are kept so."""
    for child in root:
        name = local_name(child) if isinstance(child.tag, str) else ""
        if name.endswith("Anchor"):
            yield child
        elif name == "AlternateContent":
            yield from next((found for each in child if (found := list(_anchors(each)))), [])


def _place(anchor: Element) -> str:
    start = anchor.find("{*}from")
    if start is None:
        return ""
    column, row = start.findtext("{*}col", ""), start.findtext("{*}row", "")
    if not (column.strip().isdecimal() and row.strip().isdecimal()) or len(column) > 6 or len(row) > 8:
        return ""
    return f"{column_letters(int(column))}{int(row) + 1}"


def _anchored(package: Package, part: str, anchor: Element, buffer: TextBuffer) -> Iterator[str]:
    relations = package.relationships(part)
    for element in anchor.iter("{*}chart", "{*}pic", "{*}sp", "{*}relIds"):
        name = local_name(element)
        if name == "chart":
            relation = relations.get(_id(element, "id"))
            root = None if relation is None or relation.is_external else package.xml(relation.target)
            if root is not None:
                lines = chart_lines(root)
                has_values = next(root.iter("{*}pt"), None) is not None
                # Programs that write files without having computed them keep no values in charts.
                yield from lines if has_values else [next(lines)]
                yield from _references(root)
        elif name == "relIds":
            relation = relations.get(_id(element, "dm"))
            root = None if relation is None or relation.is_external else package.xml(relation.target)
            yield from ["[diagram]"] if root is None else diagram_lines(root)
        elif name == "pic":
            blip = next(element.iter("{*}blip"), None)
            relation = None if blip is None else relations.get(_id(blip, "embed"))
            about = next(element.iter("{*}cNvPr"), None)
            alt = "" if about is None else about.get("descr") or ""
            target = "" if relation is None or relation.is_external else relation.target
            yield buffer.picture(lambda target=target: package.read(target) or b"", alt)  # type: ignore[misc]
        else:
            for paragraph in element.iter("{*}p"):
                text = "".join(piece.text or "" for piece in paragraph.iter("{*}t"))
                if text.strip():
                    yield text


def _id(element: Element, name: str) -> str:
    return next((value for key, value in element.attrib.items() if key.endswith(f"}}{name}")), "")


def _references(root: Element) -> Iterator[str]:
    """Yield a line for each series whose values the chart does not keep: where they are."""
    for number, series in enumerate(root.iter("{*}ser")):
        if number >= _MAX_SERIES:
            return
        places = []
        for part in series:
            name = {"tx": "name", "cat": "categories", "xVal": "x", "val": "values", "yVal": "y"}.get(
                local_name(part) if isinstance(part.tag, str) else ""
            )
            reference = next((each.text for each in part.iter("{*}f") if each.text), None)
            if name and reference and next(part.iter("{*}pt"), None) is None:
                places.append(f"{name} {reference}")
        if places:
            yield f"[series: {', '.join(places)}]"
