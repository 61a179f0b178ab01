"""A web page as text. Runs in the child process only."""

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

from nanobot.reading.bounds import Writing
from nanobot.reading.plain import decode_html

_SILENT = frozenset({"script", "style", "template", "noscript", "svg", "iframe", "object", "canvas", "head"})
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


def read_html(content: bytes, charset: str | None, writing: Writing) -> None:
    """Write the title and what the page shows, a line for each block."""
    page = LexborHTMLParser(decode_html(content, charset=charset))
    title = page.css_first("title")
    if title is not None and title.text().strip() and not writing.write(title.text().strip() + "\n\n"):
        return
    if page.body is None:
        return
    lines = _Lines(writing)
    lines.walk(page.body)
    lines.end()


class _Lines:
    """Puts words together to lines, and lines to paragraphs."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._words: list[str] = []
        self._goes_on = True

    def walk(self, root: LexborNode) -> None:
        """Write all below `root`, without recursion: a page may be nested deeper than Python may."""
        todo: list[tuple[LexborNode, bool]] = [(root, False)]
        while todo and self._goes_on:
            node, is_over = todo.pop()
            tag = node.tag or ""
            if tag == "-text":
                self._words.append(node.text_content or "")
                continue
            if tag in _BLOCKS:
                self.end()
            if tag in _CELLS and not is_over:
                self._words.append(" ")
            if is_over or tag in _SILENT:
                continue
            todo.append((node, True))
            todo.extend((child, False) for child in reversed(list(node.iter(include_text=True))))

    def end(self) -> None:
        """End the line."""
        line = _SPACES.sub(" ", "".join(self._words)).strip()
        self._words.clear()
        if line and self._goes_on:
            self._goes_on = self._writing.write(line + "\n")
