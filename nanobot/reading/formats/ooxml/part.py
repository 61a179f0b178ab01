"""One part of an OOXML file, and what it refers to by relationships."""

from nanobot.reading.formats.ooxml.package import Package, Relationship
from nanobot.reading.formats.xml import Element
from nanobot.reading.messages import Unreadable
from nanobot.reading.text_buffer import TextBuffer


class Part:
    """A part that is read into `buffer`."""

    def __init__(self, package: Package, name: str, buffer: TextBuffer) -> None:
        self._package = package
        self._name = name
        self._buffer = buffer

    def address(self, id_: str | None) -> str:
        """Return where a link leads outside of the document, an empty text if it does not."""
        relation = self._relation(id_)
        return relation.target if relation is not None and relation.is_external else ""

    def target(self, id_: str | None) -> str:
        """Return the name of the part that is referred to, an empty text if there is none."""
        relation = self._relation(id_)
        return "" if relation is None or relation.is_external else relation.target

    def root(self, id_: str | None) -> Element | None:
        """Return the root element of the part that is referred to, None if it cannot be read."""
        target = self.target(id_)
        return self._package.xml(target) if target else None

    def picture(self, id_: str | None, alt: str) -> str:
        """Return the text that stands for a picture."""
        target = self.target(id_)

        def content() -> bytes:
            picture = self._package.read(target) if target else None
            if picture is None:
                raise Unreadable("the picture is damaged")
            return picture

        return self._buffer.picture(content, alt)

    def _relation(self, id_: str | None) -> Relationship | None:
        return self._package.relationships(self._name).get(id_ or "")
