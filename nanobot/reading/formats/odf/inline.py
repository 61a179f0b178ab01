"""What stands in a paragraph of OpenDocument."""

import re
from collections.abc import Callable, Iterator
from typing import ClassVar, Protocol

from nanobot.reading.formats.lines import Line
from nanobot.reading.formats.odf.names import DC, DRAW, FIELD, OFFICE, SVG, TEXT, XLINK, whole
from nanobot.reading.formats.odf.styles import OdfStyles
from nanobot.reading.formats.scripts import PLAIN, Look
from nanobot.reading.formats.xml import Element

_SPACES = re.compile(r"[ \t\r\n]+")
_MOST_SPACES = 200
ANNOTATIONS = (f"{OFFICE}annotation", "{http://openoffice.org/2009/office}annotation")
_NOT_SHOWN = frozenset(
    [
        *(f"{SVG}title", f"{SVG}desc", f"{DC}creator", f"{DC}date", f"{TEXT}tracked-changes"),
        *(f"{OFFICE}annotation-end", f"{TEXT}soft-page-break", f"{TEXT}script", f"{TEXT}note-citation"),
        *(f"{TEXT}ruby-text", f"{OFFICE}event-listeners", f"{OFFICE}forms"),
    ]
)
_IS_TRUE = ("true", "1")


class Drawings(Protocol):
    """Reads what is drawn: frames, shapes, pictures."""

    def in_line(self, element: Element) -> str:
        """Return what stands in the line, such as a picture."""
        ...

    def on_its_own(self, element: Element) -> Iterator[str]:
        """Yield what follows the line: text boxes, tables, charts."""
        ...


class InlineReader:
    """Reads paragraphs. `notes` takes a note and returns its mark; `text` returns the text of a container."""

    def __init__(
        self,
        styles: OdfStyles,
        drawings: Drawings,
        notes: Callable[[Element], str],
        text: Callable[[Element], str],
    ) -> None:
        self._styles = styles
        self._drawings = drawings
        self._notes = notes
        self._text = text

    def read(self, paragraph: Element) -> Line:
        """Return a paragraph or heading."""
        line = Line()
        look = self._styles.look("paragraph", paragraph.get(f"{TEXT}style-name"))
        self._walk(paragraph, line, look)
        return line

    def read_comment(self, element: Element) -> Line:
        """Return a comment that stands beside paragraphs."""
        line = Line()
        self._comment(element, line, PLAIN)
        return line

    def _walk(self, element: Element, line: Line, look: Look) -> None:
        if element.text:
            line.add(_SPACES.sub(" ", element.text), look)
        for child in element:
            tag = child.tag
            read = self._READERS.get(tag)
            if read is not None:
                read(self, child, line, look)
            elif str(tag).startswith(DRAW):
                line.add(self._drawings.in_line(child))
                line.after.extend(self._drawings.on_its_own(child))
            elif tag not in _NOT_SHOWN:
                self._walk(child, line, look)
            if child.tail:
                line.add(_SPACES.sub(" ", child.tail), look)

    def _span(self, element: Element, line: Line, look: Look) -> None:
        own = self._styles.look("text", element.get(f"{TEXT}style-name"))
        changed = Look(
            own.script if own.script.value else look.script,
            own.is_hidden or look.is_hidden,
            own.is_struck or look.is_struck,
        )
        self._walk(element, line, changed)

    def _space(self, element: Element, line: Line, look: Look) -> None:
        line.add(" " * max(1, whole(element.get(f"{TEXT}c"), 1, _MOST_SPACES)), look)

    def _tab(self, element: Element, line: Line, look: Look) -> None:
        line.add("\t", look)

    def _break(self, element: Element, line: Line, look: Look) -> None:
        line.add("\n")

    def _link(self, element: Element, line: Line, look: Look) -> None:
        start = line.size
        self._walk(element, line, look)
        address = element.get(f"{XLINK}href", "")
        # What begins so is a place in the document itself.
        line.link(start, "" if address.startswith(("#", "../#")) else address)

    def _note(self, element: Element, line: Line, look: Look) -> None:
        line.add(self._notes(element))

    def _comment(self, element: Element, line: Line, look: Look) -> None:
        text = self._text(element).strip()
        author = " ".join((element.findtext(f"{DC}creator") or "").split())
        if text:
            line.add(f" [comment{f' by {author}' if author else ''}: {text}]")

    def _ruby(self, element: Element, line: Line, look: Look) -> None:
        self._walk(element, line, look)
        above = element.findtext(f"{TEXT}ruby-text")
        if above:
            line.add(f"({above})", look)

    def _field(self, element: Element, line: Line, look: Look) -> None:
        """Read a field of a form: a box that is ticked, or what was chosen of a list."""
        parameters = [
            (each.get(f"{FIELD}name", ""), each.get(f"{FIELD}value", ""))
            for each in element.iterchildren(f"{FIELD}param")
        ]
        kind, values = element.get(f"{FIELD}type", ""), dict(parameters)
        if kind.endswith("FORMCHECKBOX"):
            line.add("[x]" if values.get("Checkbox_Checked") in _IS_TRUE else "[ ]", look)
        elif kind.endswith("FORMDROPDOWN"):
            entries = [value for name, value in parameters if name == "Dropdown_ListEntry"]
            chosen = whole(values.get("Dropdown_Selected"), 0, len(entries))
            line.add(entries[chosen] if chosen < len(entries) else "", look)
        self._walk(element, line, look)

    def _hidden(self, element: Element, line: Line, look: Look) -> None:
        text = element.get(f"{TEXT}string-value") or "".join(element.itertext())
        is_hidden = element.get(f"{TEXT}is-hidden", "true") in _IS_TRUE
        line.add(text, Look(is_hidden=is_hidden))

    _READERS: ClassVar[dict[str, Callable[..., None]]] = {
        f"{TEXT}span": _span,
        f"{TEXT}s": _space,
        f"{TEXT}tab": _tab,
        f"{TEXT}tab-stop": _tab,
        f"{TEXT}line-break": _break,
        f"{TEXT}a": _link,
        f"{TEXT}note": _note,
        f"{TEXT}footnote": _note,
        f"{TEXT}endnote": _note,
        **dict.fromkeys(ANNOTATIONS, _comment),
        f"{TEXT}ruby": _ruby,
        f"{FIELD}fieldmark": _field,
        f"{TEXT}hidden-text": _hidden,
    }
