"""Text files whose encoding is to be found out. Imported in the worker only."""

from nanobot.reading.plain import decode
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the text."""
    buffer.write(decode(source.content, charset=source.charset))
    buffer.end()
