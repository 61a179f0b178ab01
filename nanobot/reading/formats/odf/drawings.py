"""Frames and shapes of OpenDocument: text boxes, pictures, tables, charts, formulas."""

import posixpath
from collections.abc import Callable, Iterable, Iterator

from nanobot.reading.formats.markdown import table
from nanobot.reading.formats.mathml import formula
from nanobot.reading.formats.odf.names import CHART, DRAW, FORM, MATH, OFFICE, SVG, TABLE, TEXT, XLINK, XML_ID
from nanobot.reading.formats.odf.tables import rows
from nanobot.reading.formats.ooxml.package import Package
from nanobot.reading.formats.xml import Element
from nanobot.reading.messages import Unreadable
from nanobot.reading.text_buffer import TextBuffer

_PICTURES = frozenset(
    {f"{DRAW}image", f"{DRAW}plugin", f"{DRAW}object", f"{DRAW}object-ole", f"{DRAW}floating-frame"}
)
_DOCUMENTS = frozenset({f"{OFFICE}document", f"{OFFICE}document-content", f"{MATH}math", "math"})
_NOT_SHOWN = frozenset({f"{DRAW}page-thumbnail", f"{DRAW}glue-point", f"{DRAW}image-map"})
_MOST_DEPTH = 60


class DrawingReader:
    """Reads drawings. `blocks` yields the paragraphs and tables of an element."""

    def __init__(
        self,
        package: Package,
        buffer: TextBuffer,
        root: Element,
        blocks: Callable[[Iterable[Element]], Iterator[str]],
    ) -> None:
        self._package = package
        self._buffer = buffer
        self._root = root
        self._blocks = blocks
        self._controls: dict[str, str] | None = None
        self._depth = 0

    def in_line(self, element: Element) -> str:
        """Return what stands in the line: a picture, a formula, the value of a form."""
        if element.tag == f"{DRAW}control":
            return self._control(element.get(f"{DRAW}control", ""))
        if element.tag != f"{DRAW}frame":
            return ""
        content = next((child for child in element if child.tag in _PICTURES), None)
        if content is None or content.tag == f"{DRAW}object":
            root = None if content is None else self._object(content)
            return "" if root is None or _chart(root) is not None else formula_of(root)
        return self._picture(element, content)

    def on_its_own(self, element: Element) -> Iterator[str]:
        """Yield what follows the line: text boxes, tables, charts, and the texts of shapes."""
        if element.tag in _NOT_SHOWN or self._depth > _MOST_DEPTH:
            return
        self._depth += 1
        if element.tag == f"{DRAW}g":
            for child in element.iterchildren():
                if str(child.tag).startswith(DRAW):
                    yield from filter(None, (self.in_line(child),))
                    yield from self.on_its_own(child)
        elif element.tag == f"{DRAW}frame":
            yield from self._frame(element)
        elif element.tag == f"{DRAW}a":
            for child in element.iterchildren():
                yield from filter(None, (self.in_line(child),))
                yield from self.on_its_own(child)
        else:
            yield from self._blocks(element)
        self._depth -= 1

    def _frame(self, frame: Element) -> Iterator[str]:
        for child in frame:
            if child.tag == f"{DRAW}text-box" or child.tag == f"{TABLE}table":
                yield from self._blocks(child if child.tag == f"{DRAW}text-box" else frame)
                return
            if child.tag == f"{DRAW}object":
                root = self._object(child)
                chart = None if root is None else _chart(root)
                if chart is not None:
                    yield from chart_lines(chart)
                return

    def _object(self, element: Element) -> Element | None:
        """Return the document that is embedded, whether in a folder of its own or in place."""
        inside = next((child for child in element if child.tag in _DOCUMENTS), None)
        if inside is not None:
            return inside
        folder = element.get(f"{XLINK}href", "").removeprefix("./")
        return self._package.xml(posixpath.join(folder, "content.xml")) if folder else None

    def _picture(self, frame: Element, content: Element) -> str:
        alt = frame.findtext(f"{SVG}title") or frame.findtext(f"{SVG}desc") or ""
        alt = " ".join(alt.split())
        if content.tag != f"{DRAW}image":
            name = "video or sound" if content.tag == f"{DRAW}plugin" else "embedded object"
            return f"[{name}: {alt}]" if alt else f"[{name}]"
        member = content.get(f"{XLINK}href", "").removeprefix("./")

        def read() -> bytes:
            picture = self._package.read(member) if member else None
            if picture is None:
                raise Unreadable("the picture is damaged")
            return picture

        return self._buffer.picture(read, alt)

    def _control(self, id_: str) -> str:
        if self._controls is None:
            self._controls = {}
            for forms in self._root.iter(f"{OFFICE}forms"):
                for control in forms.iter():
                    for key in (control.get(f"{FORM}id"), control.get(XML_ID)):
                        if key:
                            self._controls[key] = _control_text(control)
        return self._controls.get(id_, "")


def chart_lines(chart: Element) -> Iterator[str]:
    """Yield the title of a chart and its table of values."""
    titles = [_plain(title) for title in chart.iter(f"{CHART}title")]
    own = chart.find(f"{CHART}title")
    title = "" if own is None else _plain(own)
    yield f"[chart: {title}]" if title else "[chart]"
    yield from (f"[axis: {each}]" for each in titles if each and each != title)
    for values in chart.iter(f"{TABLE}table"):
        lines = [line for line in rows(values, _plain) if any(line)]
        if lines:
            yield from table(lines, max(map(len, lines)))
        return


def formula_of(root: Element) -> str:
    """Return the formula that an embedded document is, an empty text if it is not one."""
    math = root if root.tag in (f"{MATH}math", "math") else next(root.iter(f"{MATH}math"), None)
    return "" if math is None else formula(math)


def _chart(root: Element) -> Element | None:
    return next(root.iter(f"{CHART}chart"), None)


def _plain(element: Element) -> str:
    texts = ("".join(paragraph.itertext()) for paragraph in element.iter(f"{TEXT}p"))
    return " ".join(" ".join(texts).split())


def _control_text(control: Element) -> str:
    """Return what a form's field shows: its label and value."""
    label = control.get(f"{FORM}label", "")
    value = control.get(f"{FORM}current-value") or control.get(f"{FORM}value") or ""
    if str(control.tag).endswith(("}checkbox", "}radio")):
        state = control.get(f"{FORM}current-state") or control.get(f"{FORM}state") or ""
        ticked = state == "checked" or control.get(f"{FORM}current-selected") == "true"
        return f"[{'x' if ticked else ' '}] {label}".rstrip()
    return " ".join(filter(None, (label, value)))
