"""What the server and the process that reads a file send each other."""

import msgspec

from nanobot.reading.bounds import DocumentBounds


class ExtractionRequest(msgspec.Struct, frozen=True):
    """What the process is to read. `charset`: the encoding that somebody declared for a web page."""

    kind: str
    bounds: DocumentBounds
    charset: str | None = None


class ExtractedText(msgspec.Struct, frozen=True, tag="text"):
    """The text of a file. `is_cut`: the file has more text than the bounds allow."""

    text: str
    is_cut: bool = False


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
