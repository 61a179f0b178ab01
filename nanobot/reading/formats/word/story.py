"""A story of a document: the paragraphs and tables of its body, of a note, of a header."""

from collections.abc import Iterator

from nanobot.reading.formats.lines import Line, indent
from nanobot.reading.formats.markdown import heading, table_block
from nanobot.reading.formats.ooxml.drawing_text import MC
from nanobot.reading.formats.ooxml.part import Part
from nanobot.reading.formats.word.names import R, W, value, whole
from nanobot.reading.formats.word.paragraphs import ParagraphReader
from nanobot.reading.formats.word.surroundings import Surroundings
from nanobot.reading.formats.word.tables import rows, single_cell
from nanobot.reading.formats.xml import Element

_BODY_LEVEL = 9
_NOT_SHOWN = frozenset(
    f"{W}{name}" for name in ("sectPr", "sdtPr", "sdtEndPr", "tcPr", "customXmlPr", "del", "moveFrom", "pPr")
)
_IN_LINE = frozenset(f"{W}{name}" for name in ("r", "hyperlink", "fldSimple", "commentRangeEnd", "smartTag"))


class WordStory:
    """Reads what one part of the document has in it."""

    def __init__(self, surroundings: Surroundings, part: Part, root: Element) -> None:
        self._surroundings = surroundings
        self._part = part
        self._paragraphs = ParagraphReader(surroundings, part, self.blocks, root)
        self._unended: Line | None = None

    def blocks(self, container: Element, *, is_nested: bool = False) -> Iterator[str]:
        """Yield the text of each paragraph and table in `container`.

        `is_nested`: it is a cell, where there are neither headings nor tables.
        """
        for child in container:
            tag = child.tag
            if tag == f"{W}p":
                yield from self._paragraph(child, is_nested)
            elif tag == f"{W}tbl":
                yield from self._table(child, is_nested)
            elif tag == f"{W}altChunk":
                yield from self._surroundings.foreign(self._part.target(child.get(f"{R}id")))
            elif tag == f"{MC}AlternateContent":
                yield from self._alternative(child, is_nested)
            elif tag in _IN_LINE or str(tag).endswith(("}oMathPara", "}oMath")):
                yield from self._finished(self._paragraphs.read_run(child), "", 0)
            elif tag not in _NOT_SHOWN:
                yield from self.blocks(child, is_nested=is_nested)
        if self._unended is not None:
            line, self._unended = self._unended, None
            yield from self._finished(line, "", 0)

    def text(self, container: Element, separator: str = "\n") -> str:
        """Return all text of `container`."""
        return separator.join(self.blocks(container, is_nested=True))

    def _paragraph(self, paragraph: Element, is_nested: bool) -> Iterator[str]:
        properties = paragraph.find(f"{W}pPr")
        unended, self._unended = self._unended, None
        line = self._paragraphs.read(paragraph)
        if unended is not None:
            unended.append(line)
            line = unended
        if _is_end_deleted(properties):
            self._unended = None if line.is_empty else line
            return
        label, depth = self._label(properties)
        level = 0 if is_nested else self._heading_level(properties)
        yield from self._finished(line, label, depth, level)

    def _finished(self, line: Line, label: str, depth: int, level: int = 0) -> Iterator[str]:
        whole_text = line.text()
        text = whole_text.strip()
        if text and level:
            yield heading(level, f"{label} {text}")
        elif text and label:
            yield f"{'  ' * depth}{label} {text}"
        elif text:
            yield f"{'  ' * depth}{indent(whole_text)}{text}"
        yield from filter(None, line.after)

    def _heading_level(self, properties: Element | None) -> int:
        own = value(properties, "outlineLvl")
        if own is not None:
            level = whole(own, _BODY_LEVEL)
            return level + 1 if 0 <= level < _BODY_LEVEL else 0
        return self._surroundings.styles.of(value(properties, "pStyle")).outline

    def _label(self, properties: Element | None) -> tuple[str, int]:
        """Return the number of a list's paragraph, and its level."""
        if properties is None:
            return "", 0
        style = self._surroundings.styles.of(value(properties, "pStyle"))
        numbers = properties.find(f"{W}numPr")
        use, level = value(numbers, "numId"), value(numbers, "ilvl")
        depth = style.level if level is None else whole(level)
        label = self._surroundings.numbering.label(style.numbering if use is None else use, depth)
        return (label, max(0, min(depth, _BODY_LEVEL))) if label else ("", 0)

    def _table(self, element: Element, is_nested: bool) -> Iterator[str]:
        frame = single_cell(element)
        if frame is not None:
            yield from self.blocks(frame, is_nested=is_nested)
            return
        yield from table_block(rows(element, self.text), is_nested=is_nested)

    def _alternative(self, element: Element, is_nested: bool) -> Iterator[str]:
        for alternative in element:
            texts = list(self.blocks(alternative, is_nested=is_nested))
            if texts:
                yield from texts
                return


def _is_end_deleted(properties: Element | None) -> bool:
    """Return whether the end of the paragraph was deleted, so that the next one goes on in its line."""
    mark = None if properties is None else properties.find(f"{W}rPr")
    if mark is None:
        return False
    return mark.find(f"{W}del") is not None or mark.find(f"{W}moveFrom") is not None
