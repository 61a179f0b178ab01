"""SmartArt as a list, in the order and with the levels of its model."""

from collections import defaultdict
from collections.abc import Iterator

from nanobot.reading.formats.ooxml.drawing_text import one_line
from nanobot.reading.formats.xml import Element

_DGM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_MOST_LEVELS = 20


def diagram_lines(root: Element) -> Iterator[str]:
    """Yield the lines of the diagram whose data part has this root."""
    texts: dict[str, str] = {}
    top = ""
    for point in root.iter(f"{_DGM}pt"):
        texts[point.get("modelId", "")] = one_line(point.find(f"{_DGM}t"))
        if point.get("type") == "doc":
            top = point.get("modelId", "")
    children = _children(root)
    yield "[diagram]"
    seen = {top}
    # What is not below the top, which damaged files have, comes last.
    todo = [(0, number) for number in reversed([*children[top], *texts])]
    while todo:
        level, number = todo.pop()
        if number in seen:
            continue
        seen.add(number)
        text = texts.get(number, "")
        if text:
            yield f"{'  ' * min(level, _MOST_LEVELS)}- {text}"
        todo.extend((level + 1, child) for child in reversed(children[number]))


def _children(root: Element) -> defaultdict[str, list[str]]:
    """Return the points below each point, in their order."""
    children: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for connection in root.iter(f"{_DGM}cxn"):
        if connection.get("type", "parOf") == "parOf":
            order = connection.get("srcOrd", "0")
            place = int(order) if order.isdecimal() else 0
            children[connection.get("srcId", "")].append((place, connection.get("destId", "")))
    ordered: defaultdict[str, list[str]] = defaultdict(list)
    for parent, entries in children.items():
        ordered[parent] = [number for _, number in sorted(entries, key=lambda entry: entry[0])]
    return ordered
