"""What the server and the process that reads a file send each other."""

import msgspec

from nanobot.core.extent import START, WHOLE, Extent, Position
from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.kinds import Kind


class Picture(msgspec.Struct, frozen=True):
    """A picture in a file, or a page of it as a picture. The text refers to it as `[picture 1: …]`."""

    content: bytes
    media_type: str


class ExtractionRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the process is to read.

    `kind`: as the first bytes tell it. `charset`: the encoding that somebody declared. `start`: where reading
    begins. `page_url`: where a page of the web is from; its links are then made absolute, and its main text
    comes first.
    """

    kind: Kind
    bounds: DocumentBounds
    charset: str | None = None
    start: Position = START
    page_url: str = ""


class ExtractedText(msgspec.Struct, frozen=True, tag="text", omit_defaults=True):
    """The text of a file, what of the file it shows, and the pictures that it refers to."""

    text: str
    extent: Extent = WHOLE
    pictures: tuple[Picture, ...] = ()


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
