"""The comments on a slide, of the older kind and of the newer one with answers."""

from collections.abc import Iterator

from nanobot.reading.formats.ooxml.drawing_text import one_line
from nanobot.reading.formats.ooxml.package import Package
from nanobot.reading.formats.presentation.names import P
from nanobot.reading.formats.xml import Element, local_name


class Comments:
    """The comments of a presentation. `part` is the presentation itself."""

    def __init__(self, package: Package, part: str) -> None:
        self._package = package
        self._authors: dict[str, str] = {}
        for kind in ("commentAuthors", "authors"):
            for author in self._elements(package.related(part, kind)):
                self._authors[author.get("id", "")] = " ".join(author.get("name", "").split())

    def of(self, slide: str) -> Iterator[str]:
        """Yield the comments on the slide of this part."""
        for comment in self._elements(self._package.related(slide, "comments")):
            yield from self._shown(comment)

    def _shown(self, comment: Element) -> Iterator[str]:
        text = " ".join((comment.findtext(f"{P}text") or "").split())
        body = next((child for child in comment if local_name(child) == "txBody"), None)
        text = text or one_line(body)
        author = self._authors.get(comment.get("authorId", ""), "")
        if text:
            yield f"[comment{f' by {author}' if author else ''}: {text}]"
        for answers in comment:
            if local_name(answers) == "replyLst":
                for answer in answers:
                    yield from self._shown(answer)

    def _elements(self, parts: list[str]) -> Iterator[Element]:
        for part in parts:
            root = self._package.xml(part)
            yield from () if root is None else root
