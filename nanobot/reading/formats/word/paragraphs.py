"""What stands in a paragraph: runs, fields, links, notes, pictures, equations."""

from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar

from nanobot.reading.formats.lines import Line
from nanobot.reading.formats.ooxml.charts import chart_lines
from nanobot.reading.formats.ooxml.diagrams import diagram_lines
from nanobot.reading.formats.ooxml.drawing_text import MC, A, paragraph_text
from nanobot.reading.formats.ooxml.equations import M, equation
from nanobot.reading.formats.ooxml.part import Part
from nanobot.reading.formats.scripts import PLAIN, Look
from nanobot.reading.formats.symbols import symbol
from nanobot.reading.formats.word.fields import Fields, form_value
from nanobot.reading.formats.word.names import R, W, value
from nanobot.reading.formats.word.surroundings import Surroundings
from nanobot.reading.formats.xml import Element

_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_CX = "{http://schemas.microsoft.com/office/drawing/2014/chartex}"
_DGM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_PIC = "{http://schemas.openxmlformats.org/drawingml/2006/picture}"
_WP = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"
_V = "{urn:schemas-microsoft-com:vml}"
_O = "{urn:schemas-microsoft-com:office:office}"
_NOT_SHOWN = frozenset(
    [
        f"{W}{name}"
        for name in (
            *("pPr", "rPr", "sdtPr", "sdtEndPr", "smartTagPr", "customXmlPr", "fldData", "ffData"),
            *("del", "moveFrom", "delText", "delInstrText", "rt", "tblPr", "sectPr", "annotationRef"),
        )
    ]
    + [f"{M}oMathParaPr", f"{A}extLst"]
)


def _constant(text: str) -> Callable[..., None]:
    def read(reader: "ParagraphReader", element: Element, line: Line, look: Look) -> None:
        line.add(text, PLAIN if text == "\n" else look)

    return read


class ParagraphReader:
    """Reads the paragraphs of one part of a document, its body, a note, a header.

    What is not known is looked into: a file may wrap text in elements that are newer than this reader.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        part: Part,
        blocks: Callable[[Element], Iterator[str]],
        root: Element,
    ) -> None:
        self._styles = surroundings.styles
        self._notes = surroundings.notes
        self._part = part
        self._blocks = blocks
        self._fields = Fields(root)
        self._alt = ""

    def read(self, paragraph: Element) -> Line:
        """Return the paragraph."""
        line = Line()
        style = value(paragraph.find(f"{W}pPr"), "pStyle")
        self._walk(paragraph, line, self._styles.of(style).look)
        return line

    def read_run(self, run: Element) -> Line:
        """Return a run, or whatever else stands in paragraphs, without one around it."""
        line = Line()
        self._walk((run,), line, PLAIN)
        return line

    def _walk(self, elements: Iterable[Element], line: Line, look: Look) -> None:
        for child in elements:
            tag = child.tag
            read = self._READERS.get(tag)
            if read is not None:
                read(self, child, line, look)
            elif tag not in _NOT_SHOWN:
                self._walk(child, line, look)

    # Text

    def _run(self, run: Element, line: Line, look: Look) -> None:
        properties = run.find(f"{W}rPr")
        self._walk(run, line, look if properties is None else self._styles.changed(look, properties))

    def _text(self, element: Element, line: Line, look: Look) -> None:
        if element.text and not self._fields.is_hidden:
            line.add(element.text, look)

    def _symbol(self, element: Element, line: Line, look: Look) -> None:
        try:
            code = int(element.get(f"{W}char", ""), 16)
        except ValueError:
            return
        line.add(symbol(code, element.get(f"{W}font", "")), look)

    def _ruby(self, element: Element, line: Line, look: Look) -> None:
        """Show the reading of Chinese characters in brackets behind them."""
        self._walk(element, line, look)
        above = element.find(f"{W}rt")
        if above is not None:
            start = line.size
            self._walk(above, line, look)
            line.enclose(start, "(", ")")

    def _control(self, element: Element, line: Line, look: Look) -> None:
        start = line.size
        content = element.find(f"{W}sdtContent")
        if content is not None:
            self._walk(content, line, look)
        properties = element.find(f"{W}sdtPr")
        if properties is not None and properties.find(f"{W}showingPlcHdr") is not None:
            line.enclose(start, "[placeholder: ", "]")

    # Fields and links

    def _simple_field(self, element: Element, line: Line, look: Look) -> None:
        self._fields.begin()
        self._fields.instruct(element.get(f"{W}instr", ""))
        self._fields.separate(line, line.size)
        self._walk(element, line, look)
        self._end_field(line)

    def _field_character(self, element: Element, line: Line, look: Look) -> None:
        kind = element.get(f"{W}fldCharType")
        if kind == "begin":
            line.add(form_value(element), look)
            self._fields.begin()
        elif kind == "separate":
            self._fields.separate(line, line.size)
        elif kind == "end":
            self._end_field(line)

    def _end_field(self, line: Line) -> None:
        link = self._fields.end(line)
        if link is not None:
            line.link(link[1], link[0])

    def _instruction(self, element: Element, line: Line, look: Look) -> None:
        self._fields.instruct(element.text or "")

    def _hyperlink(self, element: Element, line: Line, look: Look) -> None:
        start = line.size
        self._walk(element, line, look)
        line.link(start, self._part.address(element.get(f"{R}id")))

    # Notes and comments

    def _footnote(self, element: Element, line: Line, look: Look) -> None:
        line.add(self._notes.refer("footnote", element.get(f"{W}id", "")))

    def _endnote(self, element: Element, line: Line, look: Look) -> None:
        line.add(self._notes.refer("endnote", element.get(f"{W}id", "")))

    def _comment(self, element: Element, line: Line, look: Look) -> None:
        line.add(self._notes.comment(element.get(f"{W}id", "")))

    # What is not text

    def _equation(self, element: Element, line: Line, look: Look) -> None:
        line.add(equation(element), look)

    def _drawing(self, element: Element, line: Line, look: Look) -> None:
        """Read a drawing, whose description is that of the picture in it."""
        properties = element.find(f"{_WP}docPr")
        before = self._alt
        if properties is not None:
            self._alt = properties.get("descr") or properties.get("title") or ""
        self._walk(element, line, look)
        self._alt = before

    def _picture(self, element: Element, line: Line, look: Look) -> None:
        own = element.find(f".//{_PIC}cNvPr")
        alt = self._alt or ("" if own is None else own.get("descr") or "")
        blip = element.find(f".//{A}blip")
        line.add(self._part.picture(None if blip is None else blip.get(f"{R}embed"), alt))

    def _old_picture(self, element: Element, line: Line, look: Look) -> None:
        alt = element.getparent().get("alt") or element.get(f"{_O}title") or self._alt
        line.add(self._part.picture(element.get(f"{R}id"), alt))

    def _word_art(self, element: Element, line: Line, look: Look) -> None:
        line.after.append(element.get("string", ""))

    def _object(self, element: Element, line: Line, look: Look) -> None:
        """Read an embedded object: what it is; the picture of it that is kept for printing is not."""
        embedded = element.find(f".//{_O}OLEObject")
        if embedded is None:
            self._walk(element, line, look)
        else:
            line.add(f"[embedded object: {embedded.get('ProgID') or 'of unknown kind'}]")

    def _text_box(self, element: Element, line: Line, look: Look) -> None:
        line.after.extend(self._blocks(element))

    def _shape_text(self, element: Element, line: Line, look: Look) -> None:
        text = paragraph_text(element)
        if text:
            line.after.append(text)

    def _chart(self, element: Element, line: Line, look: Look) -> None:
        self._drawn(element.get(f"{R}id"), line, chart_lines, "[chart]")

    def _diagram(self, element: Element, line: Line, look: Look) -> None:
        self._drawn(element.get(f"{R}dm"), line, diagram_lines, "[diagram]")

    def _drawn(
        self, id_: str | None, line: Line, read: Callable[[Element], Iterator[str]], instead: str
    ) -> None:
        root = self._part.root(id_)
        line.after.append(instead if root is None else "\n".join(read(root)))

    def _alternatives(self, element: Element, line: Line, look: Look) -> None:
        """Read the first alternative that has anything to show."""
        for alternative in element:
            size, after = line.size, len(line.after)
            self._walk(alternative, line, look)
            if (line.size, len(line.after)) != (size, after):
                return

    _READERS: ClassVar[dict[str, Callable[..., None]]] = {
        f"{W}r": _run,
        f"{W}t": _text,
        f"{W}tab": _constant("\t"),
        f"{W}ptab": _constant("\t"),
        f"{W}br": _constant("\n"),
        f"{W}cr": _constant("\n"),
        f"{W}noBreakHyphen": _constant("-"),
        f"{W}sym": _symbol,
        f"{W}ruby": _ruby,
        f"{W}sdt": _control,
        f"{W}fldSimple": _simple_field,
        f"{W}fldChar": _field_character,
        f"{W}instrText": _instruction,
        f"{W}hyperlink": _hyperlink,
        f"{W}footnoteReference": _footnote,
        f"{W}endnoteReference": _endnote,
        f"{W}commentReference": _comment,
        f"{M}oMath": _equation,
        f"{M}oMathPara": _equation,
        f"{_WP}inline": _drawing,
        f"{_WP}anchor": _drawing,
        f"{_PIC}pic": _picture,
        f"{_V}imagedata": _old_picture,
        f"{_V}textpath": _word_art,
        f"{W}object": _object,
        f"{W}txbxContent": _text_box,
        f"{A}p": _shape_text,
        f"{_C}chart": _chart,
        f"{_CX}chart": _chart,
        f"{_DGM}relIds": _diagram,
        f"{MC}AlternateContent": _alternatives,
    }
