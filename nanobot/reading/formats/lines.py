"""A paragraph while it is read: its pieces of text, and what is anchored in it but stands on its own."""

from nanobot.reading.formats.markdown import linked
from nanobot.reading.formats.scripts import PLAIN, Look, Segment, joined
from nanobot.reading.formats.symbols import shown


def indent(text: str) -> str:
    """Return the white space that a line begins with: in code it has a meaning."""
    text = text.lstrip("\n\r")
    return text[: len(text) - len(text.lstrip(" \t\u00a0"))].replace("\u00a0", " ")


class Line:
    """Collects a paragraph. `after`: text boxes, charts and the like, which follow it."""

    def __init__(self) -> None:
        self._segments: list[Segment] = []
        self.after: list[str] = []

    @property
    def size(self) -> int:
        """How many pieces there are, for `wrap`."""
        return len(self._segments)

    @property
    def is_empty(self) -> bool:
        return not self.after and not any(segment.text.strip() for segment in self._segments)

    def add(self, text: str, look: Look = PLAIN) -> None:
        if text:
            text = shown(text, look.font)
            self._segments.append(Segment(text, look.script, look.is_hidden, look.is_struck))

    def link(self, start: int, address: str) -> None:
        """Make the pieces from `start` on a link, unless its text is the address already."""
        text = linked(self._taken(start), address)
        end = f"]({address})"
        before = self._segments[-1].text if self._segments else ""
        if address and before.endswith(end) and text.startswith("["):
            # Programs cut a link in two where the look of its text changes.
            self._segments.pop()
            text = before.removesuffix(end) + text[1:]
        self.add(text)

    def enclose(self, start: int, before: str, after: str) -> None:
        """Put the pieces from `start` on between two texts, unless there are no words in them."""
        text = self._taken(start)
        core = text.strip()
        if not core:
            return self.add(text)
        left, _, right = text.partition(core)
        return self.add(f"{left}{before}{core}{after}{right}")

    def append(self, other: "Line") -> None:
        """Put another paragraph behind this one, as if they had never been two."""
        self._segments += other._segments  # noqa: SLF001
        self.after += other.after

    def text(self) -> str:
        return joined(self._segments)

    def _taken(self, start: int) -> str:
        """Remove the pieces from `start` on, and return their text."""
        text = joined(self._segments[start:])
        del self._segments[start:]
        return text
