"""The lists of a web page: how their items are marked and indented. Imported in the worker only."""

from dataclasses import dataclass

from selectolax.lexbor import LexborNode

from nanobot.reading.formats.numerals import numeral

_STYLES = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_MAX_INDENT = 40


@dataclass(slots=True)
class _HtmlList:
    """A list that is open. `number`: of its next item, None where items have none."""

    number: int | None
    step: int
    style: str
    indent: str


class HtmlLists:
    """The lists that are open around a place of the page."""

    def __init__(self) -> None:
        self._open: list[_HtmlList] = []

    def __len__(self) -> int:
        return len(self._open)

    @property
    def indent(self) -> str:
        """What the lines of an item of the innermost list begin with."""
        return self._open[-1].indent if self._open else ""

    def open(self, tag: str, node: LexborNode) -> None:
        """Open the list that the element begins."""
        attributes = node.attributes
        number, step = None, 1
        if tag == "ol":
            count = sum(child.tag == "li" for child in node.iter())
            step = -1 if "reversed" in attributes else 1
            number = whole(attributes.get("start"), count if step < 0 else 1)
        indent = self.indent[:_MAX_INDENT] + ("   " if number is not None else "  ")
        self._open.append(_HtmlList(number, step, attributes.get("type") or "1", indent))

    def close(self) -> None:
        """Close the innermost list, where one is open."""
        if self._open:
            self._open.pop()

    def marker(self, item: LexborNode) -> str:
        """Return what stands before the item: its number, or a dash."""
        if not self._open or self._open[-1].number is None:
            return "- "
        innermost = self._open[-1]
        number = whole(item.attributes.get("value"), innermost.number or 0)
        innermost.number = number + innermost.step
        return numeral(number, _STYLES.get(innermost.style, "decimal")) + ". "


def whole(text: str | None, otherwise: int) -> int:
    """Return the number that an attribute is, `otherwise` where it is none."""
    text = (text or "").strip()
    return int(text) if text.lstrip("-").isdecimal() and len(text) < 9 else otherwise
