"""EPUB as text, chapter by chapter. Imported in the worker only."""

import posixpath
import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote

from nanobot.reading.formats.html import write_page
from nanobot.reading.formats.ooxml.package import Package
from nanobot.reading.formats.xml import Element
from nanobot.reading.kinds import picture_type
from nanobot.reading.messages import Unreadable
from nanobot.reading.plain import decode, decode_html
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_OBFUSCATIONS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
"""What hides fonts from being copied; texts are not encrypted so."""
_PAGES = ("application/xhtml+xml", "text/html", "application/xml", "text/x-oeb1-document")
_MOST_FALLBACKS = 5
_MOST_SHEETS = 20
_PICTURE_BYTES = 32
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())  # noqa: SIM905
_CLOSED = re.compile(r"<([a-zA-Z][\w:.-]*)((?:\s[^<>]*)?)/>")
_TITLE = re.compile(r"<title\b[^<>]*>.*?</title\s*>", re.IGNORECASE | re.DOTALL)
_INNER_LINK = re.compile(r"\shref\s*=\s*(\"(?![a-zA-Z][\w+.-]*:)[^\"]*\"|'(?![a-zA-Z][\w+.-]*:)[^']*')")
_DECLARED = re.compile(rb"<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([\w.:-]{1,40})")


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the chapters in the order in which they are read.

    Raises:
        Unreadable: it is broken, or copy protection encrypts it.
    """
    package = Package(source.archive)
    part = _package_document(package)
    root = package.xml(part) if part else None
    if root is None:
        raise Unreadable("it is broken: the list of its chapters is missing in it")
    book = Book(package, part, root)
    book.refuse_protected()
    buffer.total("chapter", len(book.chapters))
    for number, chapter in enumerate(book.chapters, 1):
        if buffer.is_full:
            return
        if not buffer.begin("chapter", number, book.title_of(chapter)):
            continue
        if number == 1 and book.about:
            buffer.write_line(f"[book: {book.about}]")
        content = package.read(chapter)
        if content is None:
            buffer.note("this chapter is missing, or damaged")
        elif picture_type(content[:_PICTURE_BYTES]) is not None:
            buffer.write_line(buffer.picture(content))
        else:
            write_page(_page(content), buffer, sheets=book.sheets)
    package.say_damage(buffer)


class _Item(NamedTuple):
    part: str
    media_type: str
    properties: str
    fallback: str = ""


class Book:
    """What the package document `root` says. `part`: its name; `chapters`: the parts with text, in order."""

    def __init__(self, package: Package, part: str, root: Element) -> None:
        self._package = package
        self._folder = posixpath.dirname(part)
        self._items = dict(self._read_items(root))
        self.chapters = list(self._read_spine(root))
        self.sheets = tuple(self._read_sheets())
        self.about = _about(root)
        self._titles: dict[str, str] | None = None

    def title_of(self, chapter: str) -> str:
        """Return the title of a chapter in the table of contents, an empty text if it is not in it."""
        if self._titles is None:
            self._titles = dict(reversed(list(self._read_titles())))
        return self._titles.get(chapter, "")

    def refuse_protected(self) -> None:
        """Refuse a book whose chapters are encrypted."""
        root = self._package.xml(_ENCRYPTION) if _ENCRYPTION in self._package else None
        for entry in () if root is None else root.iter("{*}EncryptedData"):
            method = entry.find("{*}EncryptionMethod")
            hidden = {
                _resolved("", reference.get("URI", "")) for reference in entry.iter("{*}CipherReference")
            }
            is_font = method is not None and method.get("Algorithm", "") in _OBFUSCATIONS
            if not is_font and hidden.intersection(self.chapters):
                raise Unreadable("its publisher's copy protection (DRM) encrypts it", "unsupported")

    def _read_items(self, root: Element) -> Iterator[tuple[str, _Item]]:
        for item in root.iterfind("{*}manifest/{*}item"):
            part = _resolved(self._folder, item.get("href", ""))
            properties = item.get("properties", "")
            yield (
                item.get("id", ""),
                _Item(part, item.get("media-type", "").lower(), properties, item.get("fallback", "")),
            )

    def _read_spine(self, root: Element) -> Iterator[str]:
        listed = [each.get("idref", "") for each in root.iterfind("{*}spine/{*}itemref")]
        # A book without an order is read as it lists its parts.
        for id_ in listed or self._items:
            item = self._page_of(id_)
            if item is not None and (listed or item.media_type in _PAGES):
                yield item.part

    def _page_of(self, id_: str) -> _Item | None:
        """Return the item, or what stands for it where it is of a kind that not every reader knows."""
        first = item = self._items.get(id_)
        for _ in range(_MOST_FALLBACKS):
            if item is None or item.media_type in _PAGES or not item.media_type:
                break
            item = self._items.get(item.fallback)
        return first if item is None else item

    def _read_sheets(self) -> Iterator[str]:
        """Yield the style sheets of the book, which are taken to be those of all chapters."""
        sheets = (item.part for item in self._items.values() if item.media_type == "text/css")
        for part in islice(sheets, _MOST_SHEETS):
            yield decode(self._package.read(part) or b"")

    def _read_titles(self) -> Iterator[tuple[str, str]]:
        """Yield the parts and titles of the table of contents, in its newer or older form."""
        for item in self._items.values():
            is_new = "nav" in item.properties.split()
            if not is_new and item.media_type != "application/x-dtbncx+xml":
                continue
            try:
                root = self._package.xml(item.part)
            except Unreadable:
                continue
            folder = posixpath.dirname(item.part)
            for entry in () if root is None else root.iter("{*}a" if is_new else "{*}navPoint"):
                content = entry if is_new else entry.find("{*}content")
                label = entry if is_new else entry.find("{*}navLabel")
                if content is not None and label is not None:
                    target = content.get("href" if is_new else "src", "")
                    yield _resolved(folder, target), " ".join("".join(label.itertext()).split())


def _package_document(package: Package) -> str:
    root = package.xml(_CONTAINER) if _CONTAINER in package else None
    for entry in () if root is None else root.iter("{*}rootfile"):
        part = str(entry.get("full-path", ""))
        if part in package:
            return part
    return package.first_named(".opf")


def _about(root: Element) -> str:
    """Return the title of the book and who wrote it."""
    title = " ".join((root.findtext("{*}metadata/{*}title") or "").split())
    authors = [" ".join((each.text or "").split()) for each in root.iterfind("{*}metadata/{*}creator")]
    written = ", ".join(filter(None, authors))
    return f"{title}{f' by {written}' if written else ''}" if title else ""


def _resolved(folder: str, target: str) -> str:
    path = unquote(target.partition("#")[0])
    return posixpath.normpath(posixpath.join(folder, path)).lstrip("/") if path else ""


def _page(content: bytes) -> str:
    """Return a chapter as HTML, in which only some elements may be closed where they begin."""
    declared = _DECLARED.match(content.lstrip(b"\xef\xbb\xbf \r\n"))
    page = decode_html(content, charset=declared[1].decode("ascii") if declared else None)

    def closed(match: re.Match[str]) -> str:
        name, attributes = match.groups()
        return match[0] if name.lower() in _VOID else f"<{name}{attributes}></{name}>"

    # The title of a chapter's file is mostly that of the book; where links inside of it lead is of no use.
    return _INNER_LINK.sub("", _TITLE.sub("", _CLOSED.sub(closed, page), count=1))
