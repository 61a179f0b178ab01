"""Text files whose encoding is to be found out. Imported in the worker only."""

from nanobot.reading.plain import decoded
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the text as it is, and a note at its end where bytes of it could not be read."""
    text = decoded(source.content, charset=source.charset)
    buffer.write(text.text)
    buffer.end()
    if text.lost:
        places = (
            "1 place that cannot be read" if text.lost == 1 else f"{text.lost} places that cannot be read"
        )
        buffer.note(f"{places} as {text.encoding}: shown as \ufffd")
