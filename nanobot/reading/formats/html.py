"""A web page as text. Imported in the worker only."""

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

from nanobot.reading.plain import decode_html
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_HIDDEN = frozenset({"script", "style", "template", "noscript", "svg", "iframe", "object", "canvas", "head"})
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "caption",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "option",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "title",
        "tr",
        "ul",
    ]
)
_CELLS = frozenset({"td", "th"})
_SPACES = re.compile(r"[ \t\r\n\f]+")


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the title and the visible text, a line for each block."""
    page = LexborHTMLParser(decode_html(source.content, charset=source.charset))
    title = page.css_first("title")
    if title is not None and title.text().strip():
        buffer.write(title.text().strip() + "\n\n")
    if page.body is None:
        return
    lines = _Lines(buffer)
    lines.walk(page.body)
    lines.end()
    buffer.end()


class _Lines:
    """Collects the visible text of blocks into lines."""

    def __init__(self, buffer: TextBuffer) -> None:
        self._buffer = buffer
        self._words: list[str] = []

    def walk(self, root: LexborNode) -> None:
        """Write all text below `root`. Not recursive: a page may be nested deeper than Python allows."""
        todo: list[tuple[LexborNode, bool]] = [(root, False)]
        while todo:
            node, is_end = todo.pop()
            tag = node.tag or ""
            if tag == "-text":
                self._words.append(node.text_content or "")
                continue
            if tag in _BLOCKS:
                self.end()
            if tag in _CELLS and not is_end:
                self._words.append(" ")
            if is_end or tag in _HIDDEN:
                continue
            todo.append((node, True))
            todo.extend((child, False) for child in reversed(list(node.iter(include_text=True))))

    def end(self) -> None:
        """End the line."""
        line = _SPACES.sub(" ", "".join(self._words)).strip()
        self._words.clear()
        if line:
            self._buffer.write_line(line)
