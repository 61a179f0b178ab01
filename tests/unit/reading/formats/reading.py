"""Reading a file in the process of the tests, as a worker does it."""

from nanobot.core.extent import START, Position
from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.extraction import extract
from nanobot.reading.kinds import kind_of
from nanobot.reading.messages import ExtractedText, ExtractionRequest


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
    bounds = bounds or DocumentBounds(max_pictures=8 if wants_pictures else 0)
    request = ExtractionRequest(kind, bounds, charset, start)
    extraction = extract(request, content)
    assert isinstance(extraction, ExtractedText), extraction
    return extraction


def text_of(content: bytes, name: str = "", **options: str | None) -> str:
    return extracted(content, name, charset=options.get("charset")).text


def rows_of(text: str) -> list[str]:
    """Return the lines of the rows of a sheet."""
    return [line for line in text.split("\n") if line.startswith("| ") and line[2].isdigit()]
