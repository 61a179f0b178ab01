"""Styles: what they say about headings, lists, and how characters look."""

import re
from dataclasses import dataclass, replace
from typing import Any

from nanobot.reading.formats.scripts import PLAIN, Look, Script
from nanobot.reading.formats.word.names import W, switch, value, whole
from nanobot.reading.formats.xml import Element

_MOST_BASES = 30
_BODY_LEVEL = 9
_SCRIPTS = {"superscript": Script.SUPER, "subscript": Script.SUB}
_HEADING = re.compile(
    r"(?:heading|überschrift|titre|título|titulo|titolo|kop|rubrik|overskrift|otsikko|nagłówek|nadpis|címsor"
    r"|başlık|заголовок|επικεφαλίδα|标题|標題|見出し|제목|หัวเรื่อง|כותרת|عنوان)\s*([1-9])(?:\s+char)?",
    re.IGNORECASE,
)
"""The names of headings in programs that translate them."""
_TITLES = frozenset({"title", "titel", "titre principal", "标题", "標題"})


@dataclass(frozen=True)
class Style:
    """What a style says, its bases included.

    `outline`: the level of the heading, from 1; 0 for text of the body. `characters`: properties of its runs.
    """

    outline: int = 0
    numbering: str = ""
    level: int = 0
    look: Look = PLAIN
    characters: Element | None = None


_NO_STYLE = Style()


class WordStyles:
    """The styles of a document; none are known if its part is damaged."""

    def __init__(self, root: Element | None) -> None:
        self._elements = (
            {}
            if root is None
            else {element.get(f"{W}styleId", ""): element for element in root.iter(f"{W}style")}
        )
        self._known: dict[str, Style] = {}

    def of(self, style: str | None) -> Style:
        """Return what the style of this id says."""
        if not style:
            return _NO_STYLE
        known = self._known.get(style)
        if known is None:
            # A style that is based on itself ends here.
            self._known[style] = _NO_STYLE
            known = self._known[style] = self._resolved(style)
        return known

    def changed(self, look: Look, properties: Element | None) -> Look:
        """Return the look of a run with these properties, where `look` is that of its surroundings."""
        if properties is None:
            return look
        style = value(properties, "rStyle")
        if style:
            look = self.changed(look, self.of(style).characters)
        changes: dict[str, Any] = {}
        script = value(properties, "vertAlign")
        if script is not None:
            changes["script"] = _SCRIPTS.get(script, Script.NONE)
        hidden = switch(properties, "vanish")
        if hidden is not None:
            changes["is_hidden"] = hidden
        for name in ("strike", "dstrike"):
            struck = switch(properties, name)
            if struck is not None:
                changes["is_struck"] = struck
        fonts = properties.find(f"{W}rFonts")
        if fonts is not None:
            changes["font"] = fonts.get(f"{W}ascii") or fonts.get(f"{W}hAnsi") or look.font
        return replace(look, **changes) if changes else look

    def _resolved(self, style: str) -> Style:
        chain = self._chain(style)
        if not chain:
            return replace(_NO_STYLE, outline=heading_level(style) or 0)
        outline: int | None = None
        numbering: str | None = None
        level: int | None = None
        look = PLAIN
        for element in chain:
            properties = element.find(f"{W}pPr")
            numbers = None if properties is None else properties.find(f"{W}numPr")
            if outline is None:
                outline = _outline(element, properties)
            if numbering is None:
                numbering = value(numbers, "numId")
            if level is None and (said := value(numbers, "ilvl")) is not None:
                level = whole(said)
        for element in reversed(chain):
            look = self.changed(look, element.find(f"{W}rPr"))
        return Style(outline or 0, numbering or "", level or 0, look, chain[0].find(f"{W}rPr"))

    def _chain(self, style: str | None) -> list[Element]:
        """Return the style and those that it is based on, the nearest first."""
        chain: list[Element] = []
        while style and len(chain) < _MOST_BASES:
            element = self._elements.get(style)
            if element is None or element in chain:
                break
            chain.append(element)
            style = value(element, "basedOn")
        return chain


def heading_level(name: str) -> int | None:
    """Return the level that the name of a style says, None if it is not one of a heading."""
    match = _HEADING.fullmatch(name.strip())
    if match:
        return int(match[1])
    return 1 if name.strip().lower() in _TITLES else None


def _outline(element: Element, properties: Element | None) -> int | None:
    """Return the level of the headings of this style; 0 for text of the body; None if it says nothing."""
    said = value(properties, "outlineLvl")
    if said is not None:
        level = whole(said, _BODY_LEVEL)
        return 0 if not 0 <= level < _BODY_LEVEL else level + 1
    is_of_paragraphs = element.get(f"{W}type", "paragraph") == "paragraph"
    return heading_level(value(element, "name") or "") if is_of_paragraphs else None
