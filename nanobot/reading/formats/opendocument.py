"""ODT and ODP as text, with their templates, and drawings. Imported in the worker only."""

from collections.abc import Iterable, Iterator
from itertools import chain

from nanobot.reading.formats.markdown import heading
from nanobot.reading.formats.odf.names import DRAW, MANIFEST, OFFICE, PRESENTATION, STYLE
from nanobot.reading.formats.odf.story import OdfStory
from nanobot.reading.formats.odf.styles import OdfStyles
from nanobot.reading.formats.ooxml.package import Package
from nanobot.reading.formats.xml import Element
from nanobot.reading.messages import Unreadable
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_HEADERS = ("header", "header-first", "header-left")
_FOOTERS = ("footer", "footer-first", "footer-left")
_AROUND = frozenset({"header", "footer", "date-time", "page-number", "page"})


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the text as it is now, or the slides in their order.

    Raises:
        Unreadable: the content is missing, damaged from its beginning, or encrypted.
    """
    package = Package(source.archive)
    _refuse_encrypted(package)
    root = package.xml("content.xml")
    body = None if root is None else root.find(f"{OFFICE}body")
    if body is None:
        raise Unreadable("it is broken: the content is missing in it")
    OpenDocument(package, root, buffer).write(body)
    package.say_damage(buffer)
    buffer.end()


def _refuse_encrypted(package: Package) -> None:
    manifest = package.xml("META-INF/manifest.xml")
    if manifest is not None and next(manifest.iter(f"{MANIFEST}encryption-data"), None) is not None:
        raise Unreadable("a password protects it", "encrypted")


class OpenDocument:
    """One document while it is read."""

    def __init__(self, package: Package, root: Element, buffer: TextBuffer) -> None:
        self._buffer = buffer
        self._more = package.xml("styles.xml")
        roots = [root] if self._more is None else [root, self._more]
        self._styles = OdfStyles(roots)
        self._story = OdfStory(package, self._styles, root, buffer)
        self._masters = {
            master.get(f"{STYLE}name", ""): master
            for each in roots
            for master in each.iter(f"{STYLE}master-page")
        }
        self._seen: set[str] = set()

    def write(self, body: Element) -> None:
        """Write what is in the body."""
        slides = [page for show in body for page in show.iterchildren(f"{DRAW}page")]
        if slides:
            self._write_slides(slides)
            return
        for text in chain(self._around(_HEADERS), self._text(body), self._around(_FOOTERS)):
            self._buffer.write_line(text)

    def _text(self, body: Element) -> Iterator[str]:
        for text in self._story.blocks(body):
            yield text
            yield from self._story.take_notes()
        yield from self._story.take_notes()

    def _around(self, kinds: Iterable[str]) -> Iterator[str]:
        """Yield the headers, or footers, each text once."""
        for master in self._masters.values():
            for kind in kinds:
                element = master.find(f"{STYLE}{kind}")
                if element is None or element.get(f"{STYLE}display") == "false":
                    continue
                text = self._story.text(element).strip()
                if text and text not in self._seen:
                    self._seen.add(text)
                    yield f"[{kind.partition('-')[0]}: {text}]"

    def _write_slides(self, slides: list[Element]) -> None:
        buffer = self._buffer
        buffer.total("slide", len(slides))
        for number, slide in enumerate(slides, 1):
            if buffer.is_full:
                return
            is_hidden = self._styles.is_page_hidden(slide.get(f"{DRAW}style-name"))
            if buffer.begin("slide", number, hidden=is_hidden):
                for text in self._slide(slide):
                    if not buffer.write_line(text):
                        return

    def _slide(self, slide: Element) -> Iterator[str]:
        shapes = [shape for shape in slide if not _is_placeholder(shape)]
        titles = [shape for shape in shapes if _class(shape) == "title"]
        for title in titles:
            text = " ".join(self._story.text(title).split())
            if text:
                yield heading(1, text)
        yield from self._story.blocks([shape for shape in shapes if _class(shape) != "title"])
        yield from self._once("on all slides of this layout", self._master_shapes(slide))
        for kind in ("header", "footer", "date-time"):
            yield from self._once(kind, self._declared(slide, kind))
        for notes in slide.iterchildren(f"{PRESENTATION}notes"):
            pages = [each for each in notes if not _is_placeholder(each) and _class(each) not in _AROUND]
            text = "\n".join(self._story.blocks(pages)).strip()
            if text:
                yield f"[notes: {text}]"
        yield from self._story.take_notes()

    def _master_shapes(self, slide: Element) -> str:
        """Return what the layout of a slide shows besides places for its texts."""
        master = self._masters.get(slide.get(f"{DRAW}master-page-name", ""))
        shapes = [] if master is None else [each for each in master if str(each.tag).startswith(DRAW)]
        return "\n".join(self._story.blocks([each for each in shapes if _is_text(each)])).strip()

    def _declared(self, slide: Element, kind: str) -> str:
        """Return the header, footer or date that the slide uses of those declared for all."""
        name = slide.get(f"{PRESENTATION}use-{kind}-name")
        if name is None:
            return ""
        for declaration in slide.getparent().iterchildren(f"{PRESENTATION}{kind}-decl"):
            if declaration.get(f"{PRESENTATION}name") == name:
                return " ".join((declaration.text or "").split())
        return ""

    def _once(self, what: str, text: str) -> Iterator[str]:
        if text and text not in self._seen:
            self._seen.add(text)
            yield f"[{what}: {text}]"


def _class(shape: Element) -> str:
    return str(shape.get(f"{PRESENTATION}class", ""))


def _is_placeholder(shape: Element) -> bool:
    """Return whether the shape is a place for text that has none yet, but asks for it."""
    return bool(shape.get(f"{PRESENTATION}placeholder") == "true")


def _is_text(shape: Element) -> bool:
    is_picture = shape.find(f"{DRAW}image") is not None
    return not _class(shape) and not _is_placeholder(shape) and not is_picture
