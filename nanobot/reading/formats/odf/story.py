"""Paragraphs, lists and tables of OpenDocument in their order."""

from collections import deque
from collections.abc import Iterable, Iterator

from nanobot.reading.formats.lines import Line, indent
from nanobot.reading.formats.markdown import heading, table_block
from nanobot.reading.formats.numerals import numeral
from nanobot.reading.formats.odf.drawings import DrawingReader
from nanobot.reading.formats.odf.inline import ANNOTATIONS, InlineReader
from nanobot.reading.formats.odf.lists import LEVELS, Counts
from nanobot.reading.formats.odf.names import DC, DRAW, OFFICE, PRESENTATION, SVG, TABLE, TEXT, XML_ID, whole
from nanobot.reading.formats.odf.styles import OdfStyles
from nanobot.reading.formats.odf.tables import rows, single_cell
from nanobot.reading.formats.ooxml.package import Package
from nanobot.reading.formats.xml import Element
from nanobot.reading.text_buffer import TextBuffer

_LARGEST = 1_000_000
_LISTS = frozenset(f"{TEXT}{name}" for name in ("list", "ordered-list", "unordered-list"))
_INDEXES = ("table-of-content", "alphabetical", "illustration", "table", "object", "user", "bibliography")
_NOT_SHOWN = frozenset(
    [
        *(f"{TEXT}{name}" for name in ("tracked-changes", "note")),
        *(f"{TEXT}{name}-source" for name in _INDEXES),
        *(f"{TEXT}{name}-index-source" for name in _INDEXES),
        *(f"{OFFICE}forms", f"{OFFICE}event-listeners", f"{PRESENTATION}notes", f"{DRAW}glue-point"),
        *(f"{SVG}title", f"{SVG}desc", f"{DC}creator", f"{DC}date"),
    ]
)
_OFF = ("none", "condition")


class OdfStory:
    """Reads the text of a document: its body, a header, a slide. `root`: the document that it is in."""

    def __init__(self, package: Package, styles: OdfStyles, root: Element, buffer: TextBuffer) -> None:
        self._styles = styles
        self._drawings = DrawingReader(package, buffer, root, self.blocks)
        self._inline = InlineReader(styles, self._drawings, self._refer, self.text)
        self._headings = Counts()
        self._lists: dict[str, Counts] = {}
        self._waiting: deque[tuple[str, Element]] = deque()
        self._counts = {"footnote": 0, "endnote": 0}

    def blocks(self, container: Iterable[Element], *, is_nested: bool = False) -> Iterator[str]:
        """Yield the text of each paragraph and table in `container`.

        `is_nested`: it is a cell, where there are neither headings nor tables.
        """
        for child in container:
            tag = child.tag
            if tag == f"{TEXT}p":
                yield from _finished(self._inline.read(child))
            elif tag == f"{TEXT}h":
                yield from self._heading(child, is_nested)
            elif tag in _LISTS:
                yield from self._list(child, None, 1, is_nested)
            elif tag == f"{TABLE}table":
                yield from self._table(child, is_nested)
            elif tag == f"{TEXT}section" and child.get(f"{TEXT}display") in _OFF:
                yield from (f"[hidden: {text}]" for text in self.blocks(child, is_nested=True))
            elif str(tag).startswith(DRAW):
                yield from filter(None, (self._drawings.in_line(child),))
                yield from self._drawings.on_its_own(child)
            elif tag in ANNOTATIONS:
                yield from _finished(self._inline.read_comment(child))
            elif tag not in _NOT_SHOWN:
                yield from self.blocks(child, is_nested=is_nested)

    def text(self, container: Element) -> str:
        """Return all text of `container`."""
        return "\n".join(self.blocks(container, is_nested=True))

    def take_notes(self) -> Iterator[str]:
        """Yield the notes that were referred to since the last time."""
        while self._waiting:
            label, body = self._waiting.popleft()
            text = " ".join(self.blocks(body, is_nested=True)).strip()
            if text:
                yield f"[^{label}]: {text}"

    def _refer(self, note: Element) -> str:
        kind = note.get(f"{TEXT}note-class") or str(note.tag).rpartition("}")[2]
        kind = kind if kind in self._counts else "footnote"
        self._counts[kind] += 1
        label = numeral(self._counts[kind], "lowerRoman" if kind == "endnote" else "decimal")
        body = next((child for child in note if str(child.tag).endswith("-body")), None)
        if body is not None:
            self._waiting.append((label, body))
        return f"[^{label}]"

    def _heading(self, element: Element, is_nested: bool, label: str | None = None) -> Iterator[str]:
        level = max(1, whole(element.get(f"{TEXT}outline-level") or element.get(f"{TEXT}level"), 1, LEVELS))
        if label is None:
            label = ""
            if element.get(f"{TEXT}is-list-header") != "true":
                self._headings.next(level, self._styles.outline)
                label = self._headings.label(level, self._styles.outline)
        line = self._inline.read(element)
        text = line.text().strip()
        if text:
            labelled = f"{label} {text}".strip()
            yield labelled if is_nested else heading(level, labelled)
        yield from filter(None, line.after)

    def _list(self, element: Element, style: str | None, level: int, is_nested: bool) -> Iterator[str]:
        """Yield the entries of a list; `style` is that of the list around it."""
        style = element.get(f"{TEXT}style-name") or style or ""
        counts = self._counts_of(element, style, level)
        levels = self._styles.list_levels(style)
        for item in element:
            is_counted = item.tag == f"{TEXT}list-item"
            if is_counted:
                start = item.get(f"{TEXT}start-value")
                counts.next(level, levels, None if start is None else whole(start, 1, _LARGEST))
            label = (counts.label(level, levels) if levels else "-") if is_counted else ""
            for child in item:
                if child.tag in _LISTS:
                    yield from self._list(child, style, min(level + 1, LEVELS), is_nested)
                elif child.tag == f"{TEXT}h":
                    yield from self._heading(child, is_nested, label)
                    label = ""
                else:
                    for text in self.blocks([child], is_nested=is_nested):
                        entry = f"{label} {text.lstrip()}" if label else text
                        yield f"{'  ' * (level - 1)}{entry}"
                        label = ""

    def _counts_of(self, element: Element, style: str, level: int) -> Counts:
        """Return what a list is counted with: anew, or as it goes on from another one."""
        continued = element.get(f"{TEXT}continue-list")
        goes_on = element.get(f"{TEXT}continue-numbering") == "true"
        counts = self._lists.get(f"#{continued}") if continued else self._lists.get(style)
        if counts is None or (level == 1 and not continued and not goes_on):
            counts = Counts()
        elif level > 1 and not goes_on:
            counts.restart(level)
        self._lists[style] = counts
        id_ = element.get(XML_ID)
        if id_:
            self._lists[f"#{id_}"] = counts
        return counts

    def _table(self, element: Element, is_nested: bool) -> Iterator[str]:
        frame = single_cell(element)
        if frame is not None:
            yield from self.blocks(frame, is_nested=is_nested)
            return
        yield from table_block(rows(element, self.text), is_nested=is_nested)


def _finished(line: Line) -> Iterator[str]:
    text = line.text()
    core = text.strip()
    # A single space is what is left of white space in the XML.
    begins = indent(text).removeprefix(" ") and indent(text)
    yield from filter(None, (core and begins + core, *line.after))
