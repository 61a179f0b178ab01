"""A document of Word: its body in order, with what stands around it."""

import importlib
from collections.abc import Iterator
from itertools import chain

from nanobot.reading.formats.ooxml.package import Package
from nanobot.reading.formats.ooxml.part import Part
from nanobot.reading.formats.word.names import R, W, switch
from nanobot.reading.formats.word.notes import WordNotes
from nanobot.reading.formats.word.numbering import Numbering
from nanobot.reading.formats.word.story import WordStory
from nanobot.reading.formats.word.styles import WordStyles
from nanobot.reading.formats.word.surroundings import Surroundings
from nanobot.reading.formats.xml import Element
from nanobot.reading.kinds import kind_of
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_OCCASIONS = {"first": " of the first page", "even": " of even pages"}
_FOREIGN = {"html": "html", "rtf": "rtf", "mail": "mail", "mhtml": "mail", "text": "text"}


class Document:
    """One document while it is read."""

    def __init__(
        self, source: Source, package: Package, part: str, root: Element, buffer: TextBuffer
    ) -> None:
        self._source = source
        self._package = package
        self._part = part
        self._root = root
        self._buffer = buffer
        self._settings = self._sibling("settings")
        self._notes = WordNotes(package, part, lambda name, root: self._story(name, root).text)
        self._surroundings = Surroundings(
            WordStyles(self._sibling("styles")),
            Numbering(self._sibling("numbering")),
            self._notes,
            self._foreign,
        )

    def write(self) -> None:
        """Write the headers, the body with its notes, and the footers."""
        for text in chain(self._around("header"), self._body(), self._around("footer")):
            self._buffer.write_line(text)

    def _foreign(self, part: str) -> Iterator[str]:
        """Yield nothing, but write the file that is embedded as a piece of this text."""
        content = self._package.read(part) if part else None
        if content is None:
            return
        kind = kind_of(content, name=part)
        if kind not in _FOREIGN:
            yield "[a part of this document is kept in another format, and not shown]"
            return
        read = importlib.import_module(f"nanobot.reading.formats.{_FOREIGN[kind]}").read
        read(Source(content, self._source.bounds), self._buffer)

    def _body(self) -> Iterator[str]:
        story = self._story(self._part, self._root)
        for container in self._root.iterchildren(f"{W}body"):
            for text in story.blocks(container):
                yield text
                yield from self._notes.take()
        yield from self._notes.take()

    def _around(self, kind: str) -> Iterator[str]:
        """Yield the headers, or footers, each text once. Those that no page shows are marked hidden."""
        texts: dict[str, tuple[str, bool]] = {}
        for part, occasion, is_shown in self._references(kind):
            root = self._package.xml(part)
            text = "" if root is None else self._story(part, root).text(root).strip()
            known = texts.get(text, (occasion, is_shown))
            texts[text] = (min(known[0], occasion), known[1] or is_shown)
        texts.pop("", None)
        for text, (occasion, is_shown) in texts.items():
            yield f"[{kind}{_OCCASIONS.get(occasion, '')}{'' if is_shown else ', hidden'}: {text}]"
        yield from self._notes.take()

    def _references(self, kind: str) -> list[tuple[str, str, bool]]:
        """Return the part of each header, or footer, the pages that it is for, and whether there are any."""
        relations = self._package.relationships(self._part)
        has_even = bool(switch(self._settings, "evenAndOddHeaders"))
        references = []
        for section in self._root.iter(f"{W}sectPr"):
            shown = {"first": bool(switch(section, "titlePg")), "even": has_even}
            for reference in section.findall(f"{W}{kind}Reference"):
                occasion = reference.get(f"{W}type", "default")
                relation = relations.get(reference.get(f"{R}id", ""))
                if relation is not None and not relation.is_external:
                    references.append((relation.target, occasion, shown.get(occasion, True)))
        return references

    def _story(self, part: str, root: Element) -> WordStory:
        return WordStory(self._surroundings, Part(self._package, part, self._buffer), root)

    def _sibling(self, kind: str) -> Element | None:
        part = next(iter(self._package.related(self._part, kind)), None)
        return self._package.xml(part) if part else None
