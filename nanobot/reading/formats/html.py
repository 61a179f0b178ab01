"""A web page as Markdown. Imported in the worker only."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser, LexborNode

from nanobot.reading.formats.css_looks import class_looks, look_of
from nanobot.reading.formats.html_lists import HtmlLists, whole
from nanobot.reading.formats.html_tables import Cell, table_rows
from nanobot.reading.formats.markdown import heading, table
from nanobot.reading.plain import decode_html
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_SKIPPED = frozenset({"script", "style", "template", "noscript", "iframe", "object", "canvas", "head", "rp"})
_BLOCKS = frozenset(
    {
        "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details",
        "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1",
        "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "legend", "li", "main", "menu", "nav",
        "ol", "optgroup", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th",
        "thead", "title", "tr", "ul",
    }
)  # fmt: skip
_PARAGRAPHS = frozenset(
    {"p", "blockquote", "ul", "ol", "dl", "pre", "table", "figure", "h1", "h2", "h3", "h4", "h5", "h6"}
)
_MARKED = frozenset({"a", "sup", "sub", "del", "s", "strike", "h1", "h2", "h3", "h4", "h5", "h6"})
_PLAIN = frozenset({"span", "font"})
"""Elements that look as their style says, and say nothing themselves."""
_MAX_SHEETS = 50
_LISTS = frozenset({"ul", "ol", "menu", "dir"})
_SPACES = re.compile(r"[ \t\r\n\f]+")
_INVISIBLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_ADDRESSES = re.compile(r"(?!javascript:|data:|#|about:)\S", re.IGNORECASE)
_DATA_PICTURE = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)
_MAX_NESTED_TABLES = 8
_LONGEST_ADDRESS = 2_000
_MAX_OPTIONS = 50
_MAX_WORDS = 200


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the title and what the page shows."""
    write_page(decode_html(source.content, charset=source.charset), buffer, source.page_url)
    buffer.end()


def write_page(page: str, buffer: TextBuffer, url: str = "", sheets: Sequence[str] = ()) -> None:
    """Write the page as Markdown. `url`: where on the web it is from; its links are then made absolute, and
    its main text comes first. `sheets`: style sheets of the page besides those that are in it.
    """
    document = LexborHTMLParser(page)
    looks = class_looks((*sheets, *(each.text() for each in document.css("style")[:_MAX_SHEETS])))
    title = document.css_first("head > title")
    text = _SPACES.sub(" ", title.text() or "").strip() if title is not None else ""
    if text:
        buffer.write(f"{text}\n\n")
    if document.body is None:
        return
    main = None
    if url:
        _make_absolute(document, url)
        main = _main_text(document)
    if main is not None:
        for line in _Page(buffer, 0, looks).lines(main):
            buffer.write_line(line)
        main.decompose()
    for line in _Page(buffer, 0, looks).lines(document.body):
        buffer.write_line(line)


def _make_absolute(document: LexborHTMLParser, url: str) -> None:
    """Make the addresses of links absolute."""
    base = document.css_first("base[href]")
    try:
        base_url = urljoin(url, base.attributes.get("href") or "") if base is not None else url
    except ValueError:
        base_url = url
    for link in document.css("a[href]"):
        address = (link.attributes.get("href") or "").strip()
        if not _ADDRESSES.match(address) or len(address) > _LONGEST_ADDRESS:
            continue
        try:
            link.attrs["href"] = urljoin(base_url, address)
        except ValueError:
            # What is not an address stays as it is.
            continue


def _main_text(document: LexborHTMLParser) -> LexborNode | None:
    """Return the element that the page says is its main text, None where it says nothing of the kind."""
    main = document.css_first("main, [role=main]")
    if main is not None:
        return main
    articles = document.css("article")
    return articles[0] if len(articles) == 1 else None


@dataclass(slots=True)
class _State:
    """Where the walk is: what is open around it."""

    lists: HtmlLists = field(default_factory=HtmlLists)
    quotes: int = 0
    verbatim: int = 0


class _Page:
    """Turns nodes into lines. `depth`: of tables in one another. `looks`: what classes look like."""

    def __init__(
        self, buffer: TextBuffer, depth: int, looks: Mapping[str, str], *, is_within_hidden: bool = False
    ) -> None:
        self._buffer = buffer
        self._looks = looks
        self._depth = depth
        self._pieces: list[str] = []
        self._state = _State()
        self._marker = ""
        self._is_apart = True
        self._wants_blank = False
        self._starts: list[int] = []
        self._is_within_hidden = is_within_hidden

    def lines(self, root: LexborNode) -> Iterator[str]:
        """Yield all lines below `root`. Not recursive: a page may be nested deeper than Python allows."""
        todo: list[tuple[LexborNode, bool]] = [(root, False)]
        while todo:
            node, is_end = todo.pop()
            tag = node.tag or ""
            if tag == "-text":
                self._pieces.append(node.text_content or "")
                continue
            if tag in _SKIPPED or tag.startswith("-"):
                continue
            if is_end:
                yield from self._end(tag, node)
                continue
            if not self._is_within_hidden and _is_hidden(node):
                self._pieces.append(self._hidden_text(node))
                continue
            if tag == "table" and self._depth < _MAX_NESTED_TABLES and _is_table(node):
                yield from self._line()
                yield from self._table(node)
                continue
            if tag in ("math", "svg"):
                self._pieces.append(_formula(node) if tag == "math" else self._drawing(node))
                continue
            yield from self._start(tag, node)
            if tag in ("select", "textarea", "input", "img", "br", "hr"):
                continue
            todo.append((node, True))
            todo.extend((child, False) for child in reversed(list(node.iter(include_text=True))))
        yield from self._line()

    def _start(self, tag: str, node: LexborNode) -> Iterator[str]:
        if tag in _BLOCKS:
            yield from self._line()
            self._wants_blank = self._wants_blank or (tag in _PARAGRAPHS and not self._state.lists)
        if tag == "br":
            yield from self._line()
        elif tag == "hr":
            yield from self._written("---")
        elif tag == "pre":
            self._state.verbatim += 1
            yield from self._written("```")
        elif tag == "blockquote":
            self._state.quotes += 1
        elif tag in _LISTS:
            self._state.lists.open(tag, node)
            self._wants_blank = self._wants_blank and len(self._state.lists) == 1
        elif tag == "li":
            self._marker = self._state.lists.marker(node)
        elif tag == "dd":
            self._marker = ": "
        elif tag in ("td", "th"):
            self._pieces.append(" ")
        else:
            self._inline(tag, node)

    def _inline(self, tag: str, node: LexborNode) -> None:
        tag = self._look(node) if tag in _PLAIN else tag
        if tag in _MARKED:
            self._starts.append(len(self._pieces))
        elif tag == "img":
            self._pieces.append(self._picture(node))
        elif tag in ("input", "select", "textarea"):
            self._pieces.append(f" {_value(tag, node)} ")
        elif tag == "option":
            self._pieces.append(" ")
        elif tag == "rt":
            self._pieces.append("(")

    def _look(self, node: LexborNode) -> str:
        """Return the element that looks as the style of this one says, nothing for plain text."""
        attributes = node.attributes
        look = look_of(attributes.get("style") or "")
        names = (attributes.get("class") or "").split() if self._looks and not look else ()
        return look or next((self._looks[name] for name in names if name in self._looks), "")

    def _end(self, tag: str, node: LexborNode) -> Iterator[str]:
        tag = self._look(node) if tag in _PLAIN else tag
        if tag in _MARKED:
            start = min(self._starts.pop(), len(self._pieces)) if self._starts else 0
            text = _SPACES.sub(" ", "".join(self._pieces[start:]))
            if text.strip():
                self._pieces[start:] = [_marked(tag, node, text)]
        elif tag == "rt":
            self._pieces.append(")")
        if tag in _BLOCKS:
            yield from self._line()
        if tag == "pre":
            self._state.verbatim -= 1
            yield from self._written("```")
        if tag in _PARAGRAPHS:
            self._wants_blank = self._wants_blank or len(self._state.lists) <= (tag in _LISTS)
        if tag == "blockquote":
            self._state.quotes -= 1
        elif tag in _LISTS:
            self._state.lists.close()
        elif tag in ("li", "dd"):
            self._marker = ""

    def _line(self) -> Iterator[str]:
        """Yield the line that the pieces are, if there is anything in it."""
        text = "".join(self._pieces)
        self._pieces.clear()
        self._starts = [0] * len(self._starts)
        if self._state.verbatim:
            for line in text.strip("\n").expandtabs(4).splitlines() if text.strip() else []:
                yield from self._written(line.rstrip())
            return
        text = _SPACES.sub(" ", text).strip()
        if text:
            yield from self._written(text)

    def _written(self, text: str) -> Iterator[str]:
        if self._wants_blank and not self._is_apart:
            yield ""
        self._wants_blank = self._is_apart = False
        indent = self._state.lists.indent
        marker, self._marker = self._marker, ""
        if marker and self._state.lists:
            indent = indent[: len(indent) - len(marker)] if len(indent) >= len(marker) else ""
        yield f"{'> ' * min(self._state.quotes, 8)}{indent}{marker}{text}"

    def _table(self, node: LexborNode) -> Iterator[str]:
        caption = node.css_first("caption")
        self._wants_blank = True
        if caption is not None:
            text = _SPACES.sub(" ", caption.text()).strip()
            if text:
                yield from self._written(text)
                self._wants_blank = True
        rows = [[Cell(self._cell(cell), *spans) for cell, spans in row] for row in _rows_of(node)]
        texts = table_rows(rows)
        for line in table(texts, max(map(len, texts), default=0)):
            yield from self._written(line)
        self._wants_blank = True

    def _cell(self, node: LexborNode) -> str:
        inner = _Page(self._buffer, self._depth + 1, self._looks)
        return "\n".join(line for line in inner.lines(node) if line)

    def _hidden_text(self, node: LexborNode) -> str:
        inner = _Page(self._buffer, self._depth + 1, self._looks, is_within_hidden=True)
        text = " ".join(line.strip() for line in inner.lines(node)).strip()
        return f" [hidden: {text}] " if text else ""

    def _drawing(self, node: LexborNode) -> str:
        """Return what a drawing is called, and the words in it; an icon has none."""
        named = node.attributes.get("aria-label") or ""
        said = (_SPACES.sub(" ", each.text()).strip() for each in node.css("title, desc, text")[:_MAX_WORDS])
        words = list(dict.fromkeys(word for word in (named.strip(), *said) if word))
        return f" {self._buffer.picture(b'', ', '.join(words))} " if words else ""

    def _picture(self, node: LexborNode) -> str:
        alt, address = node.attributes.get("alt"), node.attributes.get("src") or ""
        if alt is not None and not alt.strip():
            # What is said to be of no meaning.
            return ""
        match = _DATA_PICTURE.match(address)
        if match is None:
            return self._buffer.picture(b"", alt or "")
        return self._buffer.picture(lambda: _decoded(address[match.end() :]), alt or "")


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded)
    except binascii.Error:
        return b""


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    if not attributes:
        return False
    return "hidden" in attributes or _INVISIBLE.search(attributes.get("style") or "") is not None


def _marked(tag: str, node: LexborNode, text: str) -> str:
    inner = text.strip()
    before = " " if text.startswith(" ") else ""
    after = " " if text.endswith(" ") else ""
    if tag == "a":
        address = (node.attributes.get("href") or "").strip()
        is_shown = address.rstrip("/").endswith(inner.rstrip("/")) and "." in inner
        if not _ADDRESSES.match(address) or len(address) > _LONGEST_ADDRESS or is_shown:
            return text
        return f"{before}[{inner}]({address}){after}"
    if tag in ("sup", "sub"):
        return f"{'^' if tag == 'sup' else '_'}{_grouped(inner)}{after}"
    if tag.startswith("h"):
        return heading(int(tag[1]), inner)
    return f"{before}~~{inner}~~{after}"


def _grouped(script: str) -> str:
    """Return a superscript or subscript in brackets where what follows could be taken for a part of it."""
    return script if script.isalnum() or script.startswith(("(", "[")) else f"({script})"


def _formula(node: LexborNode) -> str:
    """Return MathML as a line; its text alone would have a fraction look like a product."""
    from nanobot.reading.formats.mathml import formula
    from nanobot.reading.formats.xml import parse

    parsed = parse((node.html or "").encode("utf-8", "replace"))
    return formula(parsed.root) if parsed is not None else node.text()


def _value(tag: str, node: LexborNode) -> str:
    attributes = node.attributes
    if tag == "select":
        options = node.css("option")[:_MAX_OPTIONS]
        if not options:
            return _SPACES.sub(" ", node.text()).strip()
        chosen = [option for option in options if "selected" in option.attributes] or options[:1]
        return f"[chosen: {', '.join(_SPACES.sub(' ', option.text()).strip() for option in chosen)}]"
    if tag == "textarea":
        return _SPACES.sub(" ", node.text()).strip()
    kind = (attributes.get("type") or "text").lower()
    if kind in ("checkbox", "radio"):
        return "[x]" if "checked" in attributes else "[ ]"
    if kind in ("hidden", "password", "image", "file"):
        return ""
    return attributes.get("value") or ""


def _is_table(node: LexborNode) -> bool:
    """Return whether the element is a table of values, and not only used to lay out a page."""
    has_tables = any(inner.mem_id != node.mem_id for inner in node.css("table"))
    if has_tables or node.attributes.get("role") in ("presentation", "none"):
        return False
    rows = list(_rows_of(node))
    return len(rows) > 0 and max(len(row) for row in rows) > 1


def _rows_of(node: LexborNode) -> Iterator[list[tuple[LexborNode, tuple[int, int]]]]:
    """Yield the cells of each row, with how many columns and rows they span."""
    for part in node.iter():
        rows = [part] if part.tag == "tr" else [row for row in part.iter() if row.tag == "tr"]
        for row in rows if part.tag in ("tr", "thead", "tbody", "tfoot") else ():
            cells = [cell for cell in row.iter() if cell.tag in ("td", "th")]
            yield [
                (cell, (whole(cell.attributes.get("colspan"), 1), whole(cell.attributes.get("rowspan"), 1)))
                for cell in cells
            ]
