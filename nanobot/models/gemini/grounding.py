"""The sources of an answer that Google's search has grounded."""

from typing import Any

import msgspec

from nanobot.core.message import Citation, Message
from nanobot.models.citations import bounded, citation
from nanobot.models.lenient import decode_any


def with_sources(message: Message, metadata: msgspec.Raw) -> Message:
    """Return the message with the sources that `groundingMetadata` names for its text."""
    try:
        said = decode_any(bytes(metadata))
    except (ValueError, RecursionError):
        return message
    chunks = said.get("groundingChunks") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(chunks, list):
        return message
    text = message.text
    encoded = text.encode()
    pages = [_page(chunk) for chunk in chunks]
    found: list[Citation | None] = []
    named: set[int] = set()
    supports = said.get("groundingSupports")
    for support in supports if isinstance(supports, list) else ():
        start, end = _stretch(support, text, encoded)
        numbers = support.get("groundingChunkIndices") if isinstance(support, dict) else None
        for number in numbers if isinstance(numbers, list) else ():
            if type(number) is int and 0 <= number < len(pages):
                named.add(number)
                found.append(citation(*pages[number], start, end, len(text)))
    found += [citation(*page, None, None, len(text)) for at, page in enumerate(pages) if at not in named]
    sources = bounded(found)
    return msgspec.structs.replace(message, citations=sources) if sources else message


def _page(chunk: object) -> tuple[Any, Any]:
    """Return address and title of a chunk, which is of the web or of maps."""
    places = [chunk.get("web"), chunk.get("maps")] if isinstance(chunk, dict) else []
    page = next((place for place in places if isinstance(place, dict)), {})
    return page.get("uri"), page.get("title")


def _stretch(support: object, text: str, encoded: bytes) -> tuple[int | None, int | None]:
    """Return the characters of the text that a segment means, which is counted in bytes."""
    segment = support.get("segment") if isinstance(support, dict) else None
    if not isinstance(segment, dict):
        return None, None
    said, start, end = segment.get("text"), segment.get("startIndex") or 0, segment.get("endIndex")
    if type(start) is int and type(end) is int and 0 <= start < end <= len(encoded):
        first = len(encoded[:start].decode(errors="ignore"))
        last = first + len(encoded[start:end].decode(errors="ignore"))
        if not isinstance(said, str) or text[first:last] == said:
            return first, last
    # Of an answer in several parts the segment counts from the beginning of its own.
    first = text.find(said) if isinstance(said, str) and said else -1
    return (first, first + len(said)) if first >= 0 and isinstance(said, str) else (None, None)
