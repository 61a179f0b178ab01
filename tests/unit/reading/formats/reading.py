"""Reading a file in the process of the tests, as a worker does it."""

from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.extraction import extract
from nanobot.reading.kinds import kind_of
from nanobot.reading.messages import START, ExtractedText, ExtractionRequest, Position


def extracted(
    content: bytes,
    name: str = "",
    *,
    charset: str | None = None,
    start: Position = START,
    wants_pictures: bool = False,
    bounds: DocumentBounds | None = None,
) -> ExtractedText:
    """Return what is extracted from the file; it must be readable."""
    kind = kind_of(content, name=name)
    request = ExtractionRequest(kind, bounds or DocumentBounds(), charset, start, wants_pictures)
    extraction = extract(request, content)
    assert isinstance(extraction, ExtractedText), extraction
    return extraction


def text_of(content: bytes, name: str = "", **options: str | None) -> str:
    return extracted(content, name, charset=options.get("charset")).text
