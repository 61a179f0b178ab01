"""PPTX as text, with shows (PPSX), templates (POTX) and files with macros (PPTM). In the worker only."""

import re
from collections.abc import Iterable, Iterator

from nanobot.reading.formats.markdown import heading
from nanobot.reading.formats.ooxml.package import Package
from nanobot.reading.formats.ooxml.part import Part
from nanobot.reading.formats.presentation.bullets import NO_PAGES, Pages
from nanobot.reading.formats.presentation.comments import Comments
from nanobot.reading.formats.presentation.names import P, R, kind, placeholder
from nanobot.reading.formats.presentation.shapes import ShapeReader, is_kind
from nanobot.reading.formats.xml import Element
from nanobot.reading.messages import Unreadable
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_TYPES = ("presentationml.presentation.main", "presentationml.slideshow.main", "presentationml.template.main")
_TITLES = ("title", "ctrTitle")
_AROUND_NOTES = ("sldImg", "sldNum", "dt", "hdr", "ftr")
"""What stands around the notes on their pages, mostly the same on all of them."""
_PAGE_NUMBER = re.compile(r"\d+|[‹<][^‹›<>]{1,12}[›>]")
"""A number of a page, or what stands for it where it is not known: `‹Nr.›`, `<number>`."""
_OFF = ("0", "false")


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the slides in their order: title, texts, tables, charts, then notes and comments.

    Raises:
        Unreadable: the presentation itself is missing or damaged from its beginning.
    """
    package = Package(source.archive)
    part = package.main_part((*_TYPES, "ms-powerpoint."), "ppt/presentation.xml")
    root = package.xml(part) if part else None
    if part is None or root is None or not str(root.tag).startswith(P):
        raise Unreadable("it is broken: the presentation itself is missing in it")
    Presentation(package, part, root, buffer).write()
    package.say_damage(buffer)


class Presentation:
    """One presentation while it is read."""

    def __init__(self, package: Package, part: str, root: Element, buffer: TextBuffer) -> None:
        self._package = package
        self._buffer = buffer
        self._slides = _slides(package, part, root)
        self._comments = Comments(package, part)
        self._parsed: dict[str, Element | None] = {}
        self._shown_pages: set[str] = set()
        self._around_notes: set[str] = set()

    def write(self) -> None:
        """Write all slides that are asked for."""
        buffer = self._buffer
        buffer.total("slide", len(self._slides))
        for number, part in enumerate(self._slides, 1):
            if buffer.is_full:
                return
            slide = self._package.xml(part)
            is_hidden = slide is not None and slide.get("show") in _OFF
            if not buffer.begin("slide", number, hidden=is_hidden):
                continue
            if slide is None:
                buffer.note("this slide is damaged")
                continue
            for text in self._texts(part, slide):
                if not buffer.write_line(text):
                    return

    def _texts(self, part: str, slide: Element) -> Iterator[str]:
        pages, parts = self._pages(part)
        shapes = self._shapes(part, pages)
        for tree in slide.iterfind(f"{P}cSld/{P}spTree"):
            for title in _title_shapes(tree):
                text = " ".join(filter(None, (shapes.text(each) for each in title.iter("{*}p"))))
                if text:
                    yield heading(1, text)
            yield from shapes.texts(tree, skip=is_kind(*_TITLES))
        for page_part, page in zip(parts, pages, strict=True):
            yield from self._of_page(page_part, page)
        yield from self._notes(part)
        yield from self._comments.of(part)

    def _notes(self, part: str) -> Iterator[str]:
        for notes_part in self._package.related(part, "notesSlide"):
            root = self._package.xml(notes_part)
            if root is None:
                continue
            shapes = self._shapes(notes_part)
            around = is_kind(*_AROUND_NOTES)
            texts: list[str] = []
            for tree in root.iterfind(f"{P}cSld/{P}spTree"):
                texts += shapes.texts(tree, skip=around)
                for shape in filter(around, tree.iterchildren(f"{P}sp")):
                    texts += self._first_time(shapes.paragraphs(shape))
            if texts:
                yield "[notes: " + "\n".join(texts) + "]"

    def _first_time(self, texts: Iterable[str]) -> list[str]:
        """Return those of the texts that no page of notes had before."""
        new = [text for text in texts if text not in self._around_notes and not _PAGE_NUMBER.fullmatch(text)]
        self._around_notes.update(new)
        return new

    def _of_page(self, part: str, page: Element | None) -> Iterator[str]:
        """Yield what a layout or master shows besides placeholders, with the first slide made after it."""
        if page is None or part in self._shown_pages:
            return
        self._shown_pages.add(part)
        shapes = self._shapes(part)
        for tree in page.iterfind(f"{P}cSld/{P}spTree"):
            texts = shapes.texts(
                tree, skip=lambda shape: shape.tag == f"{P}pic" or placeholder(shape) is not None
            )
            text = "\n".join(texts)
            if text.strip():
                yield f"[on all slides of this layout: {text}]"

    def _pages(self, part: str) -> tuple[Pages, tuple[str, str]]:
        """Return the layout and the master of a slide, and the names of their parts."""
        layout = next(iter(self._package.related(part, "slideLayout")), "")
        master = next(iter(self._package.related(layout, "slideMaster")), "") if layout else ""
        return Pages(self._page(layout), self._page(master)), (layout, master)

    def _shapes(self, part: str, pages: Pages = NO_PAGES) -> ShapeReader:
        return ShapeReader(Part(self._package, part, self._buffer), pages)

    def _page(self, part: str) -> Element | None:
        if part not in self._parsed:
            self._parsed[part] = self._package.xml(part) if part else None
        return self._parsed[part]


def _slides(package: Package, part: str, root: Element) -> list[str]:
    """Return the parts of the slides in the order of the show; without one, as they are related."""
    relations = package.relationships(part)
    listed = [
        relations[id_].target
        for entry in root.iter(f"{P}sldId")
        if (id_ := entry.get(f"{R}id", "")) in relations and not relations[id_].is_external
    ]
    return listed or package.related(part, "slide")


def _title_shapes(tree: Element) -> Iterator[Element]:
    for shape in tree.iter(f"{P}sp"):
        if kind(placeholder(shape)) in _TITLES:
            yield shape
