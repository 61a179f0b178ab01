"""Which paragraphs of a slide have a bullet or a number: they say so, or their shape, layout or master."""

from collections.abc import Iterator
from typing import NamedTuple

from nanobot.reading.formats.numerals import numeral
from nanobot.reading.formats.ooxml.drawing_text import A
from nanobot.reading.formats.presentation.names import P, kind, placeholder
from nanobot.reading.formats.xml import Element

_LEVELS = 9
_LARGEST = 1_000_000
_KINDS = frozenset({f"{A}buNone", f"{A}buChar", f"{A}buAutoNum", f"{A}buBlip"})
_FORMS = {
    "alphaLc": "lowerLetter",
    "alphaUc": "upperLetter",
    "romanLc": "lowerRoman",
    "romanUc": "upperRoman",
    "circleNum": "decimalEnclosedCircle",
    "ea1Chs": "chineseCounting",
    "ea1Cht": "chineseCounting",
    "ea1JpnChs": "japaneseCounting",
    "ea1JpnKor": "japaneseCounting",
    "thaiNum": "thaiNumbers",
    "hindiNum": "hindiNumbers",
    "arabicDb": "decimalFullWidth",
}
_SIGNS = (("ParenBoth", "({})"), ("ParenR", "{})"), ("Period", "{}."), ("Minus", "{}-"), ("Plain", "{}"))


class Pages(NamedTuple):
    """What a slide is made after; None where it is missing."""

    layout: Element | None
    master: Element | None


NO_PAGES = Pages(None, None)


class Bullets:
    """The bullets and numbers of one text, paragraph by paragraph."""

    def __init__(self, body: Element, shape: Element | None, pages: Pages) -> None:
        self._styles = [each for each in _styles(body, shape, pages) if each is not None]
        self._inherited: dict[int, Element | None] = {}
        self._counts: list[tuple[str, int]] = [("", 0)] * _LEVELS

    def label(self, paragraph: Element) -> tuple[str, int]:
        """Return the bullet or number of a paragraph that has text, and its level from 0."""
        properties = paragraph.find(f"{A}pPr")
        said = "0" if properties is None else properties.get("lvl", "0")
        level = min(int(said), _LEVELS - 1) if said.isdecimal() else 0
        bullet = _bullet(properties)
        if bullet is None:
            bullet = self._inherited_bullet(level)
        label = self._shown(bullet, level)
        self._counts[level + 1 :] = [("", 0)] * (_LEVELS - level - 1)
        return label, level

    def _shown(self, bullet: Element | None, level: int) -> str:
        if bullet is None or bullet.tag != f"{A}buAutoNum":
            self._counts[level] = ("", 0)
            return "" if bullet is None or bullet.tag == f"{A}buNone" else "-"
        form, start = bullet.get("type", "arabicPeriod"), bullet.get("startAt", "1")
        before, count = self._counts[level]
        first = min(int(start), _LARGEST) if start.isdecimal() else 1
        # Numbers of another form, or with another start, begin a new count.
        now = count + 1 if before == form + start else first
        self._counts[level] = (form + start, now)
        return _number(now, form)

    def _inherited_bullet(self, level: int) -> Element | None:
        if level not in self._inherited:
            found = (_bullet(style.find(f"{A}lvl{level + 1}pPr")) for style in self._styles)
            self._inherited[level] = next((each for each in found if each is not None), None)
        return self._inherited[level]


def _styles(body: Element, shape: Element | None, pages: Pages) -> Iterator[Element | None]:
    """Yield the lists of styles that hold for a text, the nearest first."""
    yield body.find(f"{A}lstStyle")
    place = None if shape is None else placeholder(shape)
    if place is None:
        return
    of_layout = _same_placeholder(pages.layout, place)
    for page, wanted in ((pages.layout, place), (pages.master, place if of_layout is None else of_layout)):
        found = _same_placeholder(page, wanted)
        if found is not None:
            yield found.getparent().getparent().getparent().find(f"{P}txBody/{A}lstStyle")
    style = {"title": "titleStyle", "ctrTitle": "titleStyle"}.get(kind(place), "bodyStyle")
    if kind(place) not in ("dt", "ftr", "sldNum") and pages.master is not None:
        yield pages.master.find(f"{P}txStyles/{P}{style}")


def _same_placeholder(page: Element | None, place: Element) -> Element | None:
    """Return the placeholder of the layout or master that `place` is one of: by its index, or its type."""
    if page is None:
        return None
    all_places = list(page.iter(f"{P}ph"))
    index, wanted = place.get("idx"), kind(place)
    by_index = (each for each in all_places if index is not None and each.get("idx") == index)
    by_kind = (each for each in all_places if _family(kind(each)) == _family(wanted))
    found = next(by_index, None)
    return next(by_kind, None) if found is None else found


def _family(kind_: str) -> str:
    return {"ctrTitle": "title", "obj": "body", "subTitle": "body"}.get(kind_, kind_)


def _bullet(properties: Element | None) -> Element | None:
    if properties is None:
        return None
    return next((child for child in properties if child.tag in _KINDS), None)


def _number(number: int, form: str) -> str:
    for ending, sign in _SIGNS:
        if form.endswith(ending):
            name = form.removesuffix(ending)
            return sign.format(numeral(number, _FORMS.get(name, "decimal")))
    return f"{numeral(number, _FORMS.get(form, 'decimal'))}."
