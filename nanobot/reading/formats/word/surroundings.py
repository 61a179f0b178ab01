"""What the stories of a document have in common."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nanobot.reading.formats.word.notes import WordNotes
from nanobot.reading.formats.word.numbering import Numbering
from nanobot.reading.formats.word.styles import WordStyles


@dataclass(frozen=True)
class Surroundings:
    """`foreign` reads a part of another format, which is a piece of the text."""

    styles: WordStyles
    numbering: Numbering
    notes: WordNotes
    foreign: Callable[[str], Iterator[str]]
