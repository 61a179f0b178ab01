"""The numbers and bullets of OpenDocument's lists and headings."""

import re
from collections.abc import Mapping

from nanobot.reading.formats.numerals import numeral
from nanobot.reading.formats.odf.names import LOEXT, STYLE, TEXT, whole
from nanobot.reading.formats.xml import Element

LEVELS = 10
_LARGEST = 1_000_000
_FORMS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_PLACE = re.compile(r"%(\d+)%")


class Counts:
    """How far a list has been counted, level by level from 1."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def restart(self, level: int) -> None:
        """Begin this level anew, and those below it."""
        self._counts = {each: count for each, count in self._counts.items() if each < level}

    def next(self, level: int, levels: Mapping[int, Element], start: int | None = None) -> None:
        """Count an entry of this level, from `start` on if that is said."""
        now = self._counts.get(level)
        self.restart(level + 1)
        first = _start(levels.get(level)) if now is None else now + 1
        self._counts[level] = min(first if start is None else start, _LARGEST)

    def label(self, level: int, levels: Mapping[int, Element]) -> str:
        """Return the number or bullet of the entry that was counted last; empty if it has none."""
        style = levels.get(level)
        if style is None:
            return ""
        if not str(style.tag).endswith("level-style-number") and style.tag != f"{TEXT}outline-level-style":
            return "-"
        if not style.get(f"{STYLE}num-format"):
            return f"{style.get(f'{STYLE}num-prefix', '')}{style.get(f'{STYLE}num-suffix', '')}".strip()
        pattern = style.get(f"{STYLE}num-list-format") or style.get(f"{LOEXT}num-list-format")
        if pattern:
            return _PLACE.sub(lambda match: self._number(int(match[1]), levels), pattern).strip()
        shown = max(1, whole(style.get(f"{TEXT}display-levels"), 1, level))
        numbers = [self._number(each, levels) for each in range(level - shown + 1, level + 1)]
        middle = ".".join(filter(None, numbers))
        return f"{style.get(f'{STYLE}num-prefix', '')}{middle}{style.get(f'{STYLE}num-suffix', '')}".strip()

    def _number(self, level: int, levels: Mapping[int, Element]) -> str:
        style = levels.get(level)
        form = "" if style is None else style.get(f"{STYLE}num-format", "")
        if not form:
            return ""
        return numeral(self._counts.get(level, _start(style)), _FORMS.get(form, "decimal"))


def _start(style: Element | None) -> int:
    return 1 if style is None else whole(style.get(f"{TEXT}start-value"), 1, _LARGEST)
