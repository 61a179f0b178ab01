"""The text of a file while it is extracted."""

from nanobot.reading.messages import ExtractedText, Unreadable


class TextBuffer:
    """Collects text up to `max_characters`. `is_cut`: there was more."""

    def __init__(self, max_characters: int) -> None:
        self._free_characters = max_characters
        self._pieces: list[str] = []
        self._has_words = False
        self.is_cut = False

    def write(self, text: str) -> bool:
        """Add text of the file. Return False once the buffer is full: the reader can stop."""
        self._has_words = self._has_words or not (text.isspace() or not text)
        return self._add(text)

    def write_marker(self, text: str) -> bool:
        """Add a marker of a page, sheet or slide, which is not text of the file. Return as `write`."""
        return self._add(text)

    def _add(self, text: str) -> bool:
        if len(text) > self._free_characters:
            self.is_cut = True
            text = text[: self._free_characters]
        self._pieces.append(text)
        self._free_characters -= len(text)
        return not self.is_cut

    def extracted(self) -> ExtractedText:
        """Return what was written.

        Raises:
            Unreadable: there are no words in it.
        """
        if not self._has_words:
            raise Unreadable("there is no text in it (pages that are pictures, as of a scan, cannot be read)")
        text = "".join(self._pieces).strip().replace("\0", "")
        # Some PDFs have lone halves of surrogate pairs, which cannot be encoded.
        return ExtractedText(text.encode("utf-8", "replace").decode(), self.is_cut)
