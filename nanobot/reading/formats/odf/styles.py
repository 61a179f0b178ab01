"""Styles of OpenDocument: how characters look, what is hidden, how lists are numbered."""

from collections.abc import Iterable
from dataclasses import replace

from nanobot.reading.formats.odf.names import PRESENTATION, STYLE, TEXT, whole
from nanobot.reading.formats.scripts import PLAIN, Look, Script
from nanobot.reading.formats.xml import Element

_MOST_PARENTS = 30
_MOST_LEVELS = 10


class OdfStyles:
    """The styles of a document. `roots`: what has them, the document itself first."""

    def __init__(self, roots: Iterable[Element]) -> None:
        self._styles: dict[tuple[str, str], Element] = {}
        self._lists: dict[str, dict[int, Element]] = {}
        self._looks: dict[tuple[str, str], Look] = {}
        self.outline: dict[int, Element] = {}
        for root in roots:
            for style in root.iter(f"{STYLE}style"):
                key = (style.get(f"{STYLE}family", ""), style.get(f"{STYLE}name", ""))
                self._styles.setdefault(key, style)
            for style in root.iter(f"{TEXT}list-style"):
                self._lists.setdefault(style.get(f"{STYLE}name", ""), _levels(style))
            for style in root.iter(f"{TEXT}outline-style"):
                self.outline = self.outline or _levels(style)

    def list_levels(self, name: str) -> dict[int, Element]:
        """Return the levels of a list style, from 1."""
        return self._lists.get(name, {})

    def look(self, family: str, name: str | None) -> Look:
        """Return how text in this style looks."""
        key = (family, name or "")
        known = self._looks.get(key)
        if known is None:
            known = PLAIN
            for style in reversed(self._chain(*key)):
                known = _changed(known, style.find(f"{STYLE}text-properties"))
            self._looks[key] = known
        return known

    def is_page_hidden(self, name: str | None) -> bool:
        """Return whether the slides in this style are left out of the show."""
        return any(
            properties.get(f"{PRESENTATION}visibility") == "hidden"
            for style in self._chain("drawing-page", name or "")
            for properties in style.iterchildren(f"{STYLE}drawing-page-properties")
        )

    def _chain(self, family: str, name: str) -> list[Element]:
        """Return the style and its parents, the nearest first."""
        chain: list[Element] = []
        style = self._styles.get((family, name))
        while style is not None and style not in chain and len(chain) < _MOST_PARENTS:
            chain.append(style)
            style = self._styles.get((family, style.get(f"{STYLE}parent-style-name", "")))
        return chain


def _changed(look: Look, properties: Element | None) -> Look:
    if properties is None:
        return look
    display = properties.get(f"{TEXT}display")
    if display is not None:
        look = replace(look, is_hidden=display == "none")
    # AbiWord says only how many lines there are.
    line = properties.get(f"{STYLE}text-line-through-style") or properties.get(
        f"{STYLE}text-line-through-type"
    )
    if line is not None:
        look = replace(look, is_struck=line != "none")
    position = properties.get(f"{STYLE}text-position")
    if position is not None:
        look = replace(look, script=_script(position.split()[0] if position.split() else ""))
    return look


def _script(position: str) -> Script:
    if position in ("super", "sub"):
        return Script.SUPER if position == "super" else Script.SUB
    try:
        raised = float(position.rstrip("%"))
    except ValueError:
        return Script.NONE
    return Script.SUPER if raised > 0 else Script.SUB if raised < 0 else Script.NONE


def _levels(style: Element) -> dict[int, Element]:
    return {whole(level.get(f"{TEXT}level"), 1, _MOST_LEVELS): level for level in style}
