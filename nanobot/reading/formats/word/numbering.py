"""The numbers and bullets of lists, counted as Word does."""

import re
from dataclasses import dataclass, field

from nanobot.reading.formats.numerals import numeral
from nanobot.reading.formats.word.names import W, switch, value, whole
from nanobot.reading.formats.xml import Element

_LEVELS = 9
_PLACE = re.compile(r"%([1-9])")
_LARGEST = 10_000_000


@dataclass(frozen=True)
class Level:
    """One level of a list. `text`: such as `%1.%2)`. `restart`: the level, from 1, after which it begins
    again; None for each that is above it, 0 for never.
    """

    form: str = "decimal"
    text: str = ""
    start: int = 1
    restart: int | None = None
    is_legal: bool = False


@dataclass
class _List:
    """A list as it is defined, and how far it has been counted. `style`: that which has the definition."""

    levels: dict[int, Level]
    style: str = ""
    counts: list[int | None] = field(default_factory=lambda: [None] * _LEVELS)


@dataclass(frozen=True)
class _Use:
    """A list as paragraphs refer to it. `starts` and `levels`: what is different for these."""

    definition: str
    starts: dict[int, int]
    levels: dict[int, Level]


class Numbering:
    """The lists of a document; all are bullets if its part is damaged."""

    def __init__(self, root: Element | None) -> None:
        self._lists: dict[str, _List] = {}
        self._uses: dict[str, _Use] = {}
        self._started: set[tuple[str, int]] = set()
        if root is not None:
            self._load(root)

    def label(self, use: str, level: int) -> str | None:
        """Count a paragraph of the list `use`, and return its number or `-`; None if it has neither.

        `level` counts from 0.
        """
        level = max(0, min(level, _LEVELS - 1))
        if use in ("", "0"):
            return None
        entry = self._uses.get(use)
        definition = self._lists.get(entry.definition) if entry else None
        if entry is None or definition is None:
            return None
        levels = {**definition.levels, **entry.levels}
        self._count(use, level, entry, definition, levels)
        return _text(level, levels, definition.counts)

    def _count(self, use: str, level: int, entry: _Use, definition: _List, levels: dict[int, Level]) -> None:
        counts = definition.counts
        start = entry.starts.get(level)
        if start is not None and (use, level) not in self._started:
            self._started.add((use, level))
            counts[level] = start
        else:
            now = counts[level]
            counts[level] = levels.get(level, _DEFAULT).start if now is None else min(now + 1, _LARGEST)
        for deeper in range(level + 1, _LEVELS):
            restart = levels.get(deeper, _DEFAULT).restart
            if restart is None or level < restart:
                counts[deeper] = None

    def _load(self, root: Element) -> None:
        linked: dict[str, str] = {}
        for element in root.iter(f"{W}abstractNum"):
            number = element.get(f"{W}abstractNumId", "")
            self._lists[number] = _List(_levels(element), value(element, "numStyleLink") or "")
            link = value(element, "styleLink")
            if link:
                linked[link] = number
        for element in root.iter(f"{W}num"):
            definition = value(element, "abstractNumId") or ""
            used = self._lists.get(definition)
            if used is not None and not used.levels:
                definition = linked.get(used.style, definition)
            self._uses[element.get(f"{W}numId", "")] = _use(element, definition)


_DEFAULT = Level()


def _use(element: Element, definition: str) -> _Use:
    starts: dict[int, int] = {}
    levels: dict[int, Level] = {}
    for override in element.iter(f"{W}lvlOverride"):
        number = whole(override.get(f"{W}ilvl"))
        start = value(override, "startOverride")
        if start is not None:
            starts[number] = whole(start, 1)
        levels.update(_levels(override))
    return _Use(definition, starts, levels)


def _levels(element: Element) -> dict[int, Level]:
    return {whole(level.get(f"{W}ilvl")): _level(level) for level in element.findall(f"{W}lvl")}


def _level(element: Element) -> Level:
    form = next((each.get(f"{W}val", "") for each in element.iter(f"{W}numFmt")), "decimal")
    restart = value(element, "lvlRestart")
    return Level(
        form,
        value(element, "lvlText") or "",
        max(0, min(whole(value(element, "start"), 0), _LARGEST)),
        None if restart is None else whole(restart),
        bool(switch(element, "isLgl")),
    )


def _text(level: int, levels: dict[int, Level], counts: list[int | None]) -> str | None:
    own = levels.get(level, _DEFAULT)
    if own.form == "bullet":
        return "-"

    def number(match: re.Match[str]) -> str:
        place = int(match[1]) - 1
        entry = levels.get(place, _DEFAULT)
        count = counts[place]
        form = "decimal" if own.is_legal and place != level else entry.form
        return numeral(entry.start if count is None else count, form)

    return _PLACE.sub(number, own.text).strip() or None
