"""Footnotes, endnotes and comments."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal, Protocol

from nanobot.reading.formats.numerals import numeral
from nanobot.reading.formats.ooxml.package import Package
from nanobot.reading.formats.word.names import W
from nanobot.reading.formats.xml import Element

Kind = Literal["footnote", "endnote"]


class TextOf(Protocol):
    """Returns the text of an element."""

    def __call__(self, container: Element, separator: str, /) -> str: ...


class WordNotes:
    """The notes of a document, by what refers to them.

    `part`: the document itself. `reader` returns what reads the text of another part.
    """

    def __init__(self, package: Package, part: str, reader: Callable[[str, Element], TextOf]) -> None:
        self._package = package
        self._reader = reader
        self._parts = {
            kind: next(iter(package.related(part, relation)), "")
            for kind, relation in (
                ("footnote", "footnotes"),
                ("endnote", "endnotes"),
                ("comment", "comments"),
            )
        }
        self._elements: dict[str, dict[str, Element]] = {}
        self._readers: dict[str, TextOf] = {}
        self._labels: dict[tuple[str, str], str] = {}
        self._counts = {"footnote": 0, "endnote": 0}
        self._waiting: deque[tuple[Kind, str]] = deque()

    def refer(self, kind: Kind, id_: str) -> str:
        """Return the mark of a note, `[^1]`, or `[^i]` of an endnote; `take` will have its text."""
        label = self._labels.get((kind, id_))
        if label is None:
            self._counts[kind] += 1
            label = numeral(self._counts[kind], "lowerRoman" if kind == "endnote" else "decimal")
            self._labels[kind, id_] = label
            self._waiting.append((kind, id_))
        return f"[^{label}]"

    def take(self) -> Iterator[str]:
        """Yield the texts of the notes that were referred to since the last time."""
        # Notes may refer to notes.
        while self._waiting:
            kind, id_ = self._waiting.popleft()
            text = self._text(kind, id_)
            if text:
                yield f"[^{self._labels[kind, id_]}]: {text}"

    def comment(self, id_: str) -> str:
        """Return the text of a comment, marked as such."""
        element = self._of("comment").get(id_)
        text = "" if element is None else self._text("comment", id_)
        if element is None or not text:
            return ""
        author = " ".join(element.get(f"{W}author", "").split())
        return f" [comment{f' by {author}' if author else ''}: {text}]"

    def _text(self, kind: str, id_: str) -> str:
        # Whatever refers to itself ends here.
        element = self._of(kind).pop(id_, None)
        return "" if element is None else self._readers[kind](element, " ").strip()

    def _of(self, kind: str) -> dict[str, Element]:
        """Return the notes of a kind that were not yet shown, by id."""
        known = self._elements.get(kind)
        if known is None:
            part = self._parts[kind]
            root = self._package.xml(part) if part else None
            known = {} if root is None else {each.get(f"{W}id", ""): each for each in root.iter(f"{W}{kind}")}
            self._elements[kind] = known
            if root is not None:
                self._readers[kind] = self._reader(part, root)
        return known
