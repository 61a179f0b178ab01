"""The sources of one answer, as servers of this format name them: annotations of the message (OpenAI,
OpenRouter), or lists beside it (Perplexity, xAI).
"""

import msgspec

from nanobot.core.message import Message
from nanobot.models.citations import of_annotations, of_lists
from nanobot.models.lenient import decode_any
from nanobot.models.openai.chunk import Chunk

NO_SOURCES = (b"", b"null", b"[]")
_MOST_PIECES = 1_024


class Sources:
    """Collects them. A list that comes again takes the place of the one before, annotations add up."""

    def __init__(self) -> None:
        self._annotations: list[bytes] = []
        self._urls = self._results = b""

    def take(self, annotations: msgspec.Raw) -> None:
        """Note the annotations of a piece of the message."""
        raw = bytes(annotations)
        is_new = raw not in NO_SOURCES and raw not in self._annotations[-1:]
        if is_new and len(self._annotations) < _MOST_PIECES:
            self._annotations.append(raw)

    def take_lists(self, chunk: Chunk) -> None:
        """Note the lists that a chunk has."""
        urls, results = bytes(chunk.citations), bytes(chunk.search_results)
        self._urls = self._urls if urls in NO_SOURCES else urls
        self._results = self._results if results in NO_SOURCES else results

    def named_in(self, message: Message) -> Message:
        """Return the message with its sources."""
        if not (self._annotations or self._urls or self._results):
            return message
        text = message.text
        annotations = [each for raw in self._annotations for each in _list(raw)]
        found = of_annotations(annotations, text) or of_lists(_list(self._urls), _list(self._results), text)
        return msgspec.structs.replace(message, citations=found) if found else message


def _list(raw: bytes) -> list[object]:
    try:
        found = decode_any(raw) if raw else []
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []
