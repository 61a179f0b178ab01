"""The shapes of a slide, in their order: texts, tables, charts, diagrams, pictures."""

from collections.abc import Callable, Iterator
from itertools import groupby

from nanobot.reading.formats.lines import indent
from nanobot.reading.formats.markdown import linked, table
from nanobot.reading.formats.ooxml.charts import chart_lines
from nanobot.reading.formats.ooxml.diagrams import diagram_lines
from nanobot.reading.formats.ooxml.drawing_text import MC, A, segments
from nanobot.reading.formats.ooxml.part import Part
from nanobot.reading.formats.presentation.bullets import Bullets, Pages
from nanobot.reading.formats.presentation.names import P, R, kind, placeholder, properties
from nanobot.reading.formats.scripts import Segment, joined
from nanobot.reading.formats.xml import Element, local_name

_SHAPES = frozenset(f"{P}{name}" for name in ("sp", "cxnSp", "pic", "graphicFrame", "grpSp", "contentPart"))


class ShapeReader:
    """Reads the shapes of one part: a slide, its notes, a layout."""

    def __init__(self, part: Part, pages: Pages) -> None:
        self._part = part
        self._pages = pages

    def texts(self, container: Element, *, skip: Callable[[Element], bool]) -> Iterator[str]:
        """Yield the texts of the shapes in `container`, but of those that `skip` names."""
        for shape in container:
            if shape.tag == f"{MC}AlternateContent":
                yield from self._alternative(shape, skip)
            elif shape.tag not in _SHAPES or skip(shape):
                continue
            elif shape.tag == f"{P}grpSp":
                yield from self.texts(shape, skip=skip)
            elif shape.tag == f"{P}pic":
                yield self._picture(shape)
            elif shape.tag == f"{P}graphicFrame":
                yield from self._frame(shape)
            else:
                yield from self.paragraphs(shape)

    def paragraphs(self, shape: Element) -> Iterator[str]:
        """Yield the paragraphs of the shape's text, with bullets and numbers."""
        body = shape.find(f"{P}txBody")
        if body is None:
            return
        bullets = Bullets(body, shape, self._pages)
        for paragraph in body.iterchildren(f"{A}p"):
            text = self.text(paragraph)
            if text:
                label, level = bullets.label(paragraph)
                yield f"{'  ' * level}{label} {text.lstrip()}" if label else text

    def text(self, paragraph: Element) -> str:
        """Return the text of a paragraph; links have their addresses behind them."""
        pieces: list[Segment] = []
        # A link is often cut into runs that are spelt in several languages.
        for address, runs in groupby(paragraph, key=self._address):
            of_link = [piece for run in runs for piece in segments([run])]
            pieces += [Segment(linked(joined(of_link), address))] if address else of_link
        text = joined(pieces)
        return text.strip() and indent(text) + text.strip()

    def _address(self, run: Element) -> str:
        link = run.find(f"{A}rPr/{A}hlinkClick")
        return "" if link is None else self._part.address(link.get(f"{R}id"))

    def _alternative(self, element: Element, skip: Callable[[Element], bool]) -> Iterator[str]:
        for alternative in element:
            texts = list(self.texts(alternative, skip=skip))
            if texts:
                yield from texts
                return

    def _picture(self, shape: Element) -> str:
        about = properties(shape)
        alt = "" if about is None else about.get("descr") or about.get("title") or ""
        film = shape.find(f".//{A}videoFile")
        sound = shape.find(f".//{A}audioFile")
        if film is not None or sound is not None:
            name = "video" if film is not None else "sound"
            return f"[{name}: {alt}]" if alt else f"[{name}]"
        blip = shape.find(f"{P}blipFill/{A}blip")
        return self._part.picture(None if blip is None else blip.get(f"{R}embed"), alt)

    def _frame(self, shape: Element) -> Iterator[str]:
        """Yield what is in a frame: a table, a chart, a diagram, or an embedded object."""
        content = shape.find(f"{A}graphic/{A}graphicData")
        for element in () if content is None else content:
            name = local_name(element)
            if name == "tbl":
                yield from _table(element, self._cell)
            elif name == "chart":
                yield from self._drawn(element.get(f"{R}id"), chart_lines, "[chart]")
            elif name == "relIds":
                yield from self._drawn(element.get(f"{R}dm"), diagram_lines, "[diagram]")
            elif name == "oleObj" or element.find(f".//{P}oleObj") is not None:
                embedded = element if name == "oleObj" else element.find(f".//{P}oleObj")
                yield f"[embedded object: {embedded.get('progId') or 'of unknown kind'}]"
            elif element.tag == f"{MC}AlternateContent":
                yield from self._alternative(element, lambda each: False)

    def _drawn(
        self, id_: str | None, read: Callable[[Element], Iterator[str]], instead: str
    ) -> Iterator[str]:
        root = self._part.root(id_)
        if root is None:
            yield instead
        else:
            yield from read(root)

    def _cell(self, cell: Element) -> str:
        return "\n".join(filter(None, (self.text(each) for each in cell.iter(f"{A}p"))))


def is_kind(*kinds: str) -> Callable[[Element], bool]:
    """Return what says whether a shape is a placeholder of one of these types."""
    return lambda shape: kind(placeholder(shape)) in kinds


def _table(element: Element, read: Callable[[Element], str]) -> Iterator[str]:
    """Yield the lines of a table. A cell that spans several has its text in the first of them."""
    rows = [
        [
            "" if cell.get("hMerge") in ("1", "true") or cell.get("vMerge") in ("1", "true") else read(cell)
            for cell in row.iterchildren(f"{A}tc")
        ]
        for row in element.iterchildren(f"{A}tr")
    ]
    if any(any(row) for row in rows):
        yield from table(rows, max(map(len, rows)))
        yield ""
