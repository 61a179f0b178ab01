"""What the stories of a document have in common."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nanobot.reading.formats.word.notes import Notes
from nanobot.reading.formats.word.numbering import Numbering
from nanobot.reading.formats.word.styles import Styles


@dataclass(frozen=True)
class Surroundings:
    """`foreign` reads a part of another format, which is a piece of the text."""

    styles: Styles
    numbering: Numbering
    notes: Notes
    foreign: Callable[[str], Iterator[str]]
