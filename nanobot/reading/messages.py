"""What the server and the process that reads a file send each other."""

from typing import Literal, get_args

import msgspec

from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.kinds import Kind

Unit = Literal["page", "sheet", "slide", "chapter", "part", "row", "line"]
"""What a file is counted in. A sheet has rows, everything else lines: those of the text as it is shown."""
UNITS: tuple[Unit, ...] = get_args(Unit)


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in a file, counted from 1.

    `number`: of the page, sheet, slide or chapter; a file that has none of these is all one, number 1.
    `line`: of the text in it; of a sheet, its row. `character`: in that line.
    """

    number: int = 1
    line: int = 1
    character: int = 1


START = Position()


class Picture(msgspec.Struct, frozen=True):
    """A picture in a file, or a page of it as a picture. The text refers to it as `[picture 1: …]`."""

    content: bytes
    media_type: str


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """Where a unit, or a row that does not follow the row before it, begins: at which character of the text,
    and the unit's number and line.
    """

    offset: int
    number: int
    line: int = 1


class ExtractionRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the process is to read.

    `kind`: as the first bytes tell it. `charset`: the encoding that somebody declared. `start`: where reading
    begins. `wants_pictures`: the model that is to answer sees pictures.
    """

    kind: Kind
    bounds: DocumentBounds
    charset: str | None = None
    start: Position = START
    wants_pictures: bool = False


class ExtractedText(msgspec.Struct, frozen=True, tag="text", omit_defaults=True):
    """The text of a file.

    `unit`: what it is counted in; `totals`: how many there are, as far as that is known, also `row` or `line`
    of the unit in which it was cut. `cut`: where it goes on, None where this is all. `marks`: see `Mark`.
    `titles`: of units, by number.
    """

    text: str
    unit: Unit = "line"
    totals: dict[Unit, int] = {}
    titles: dict[int, str] = {}
    cut: Position | None = None
    marks: tuple[Mark, ...] = ()
    pictures: tuple[Picture, ...] = ()

    @property
    def is_cut(self) -> bool:
        return self.cut is not None


class ExtractionFailure(msgspec.Struct, frozen=True, tag="failure"):
    """Why a file has no text.

    `reason`: `unreadable`, `encrypted`, `unsupported`, or `missing`, if the library that reads it is not
    installed. `why`: the details, or the name of that library.
    """

    reason: str
    why: str = ""


Extraction = ExtractedText | ExtractionFailure


class Unreadable(Exception):
    """Raised by readers of formats for a file that has no text."""

    def __init__(self, why: str, reason: str = "unreadable") -> None:
        super().__init__(why)
        self.failure = ExtractionFailure(reason, why)
