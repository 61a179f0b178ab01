"""How much a file may cost to read, and how the reading process answers."""

import msgspec


class DocumentBounds(msgspec.Struct, frozen=True):
    """What reading one file may cost.

    `max_bytes` of the file, `max_characters` of its text (the rest is cut off), `wall_s` and `cpu_s` of the
    process that reads it, `memory_bytes` of its address space (where the system can limit it). A zip may have
    `max_members`, `max_unpacked_bytes` in all, and unpack to `max_ratio` times its size; a small one may be
    packed better. A PDF may have `max_pages`, a workbook `max_rows`, blank ones counted.
    """

    max_bytes: int = 20 * 1024 * 1024
    max_characters: int = 80_000
    wall_s: float = 30.0
    cpu_s: int = 20
    memory_bytes: int = 1024 * 1024 * 1024
    max_members: int = 5_000
    max_unpacked_bytes: int = 256 * 1024 * 1024
    max_ratio: int = 200
    max_pages: int = 2_000
    max_rows: int = 200_000


class ReadRequest(msgspec.Struct, frozen=True):
    """What the child process is told, in one line; the file follows it on its standard input.

    `charset`: somebody's word for a page's encoding.
    """

    kind: str
    bounds: DocumentBounds
    charset: str | None = None


class ExtractedText(msgspec.Struct, frozen=True, tag="said"):
    """The file's text; `is_cut`: it has more than that."""

    text: str
    is_cut: bool = False


class ReadFailure(msgspec.Struct, frozen=True, tag="trouble"):
    """Why a file has no text here:

    `unreadable`, `encrypted`, `unsupported`, or `missing`: the library that reads it is not installed.
    """

    reason: str
    why: str = ""


Outcome = ExtractedText | ReadFailure


class Unreadable(Exception):
    """Why the file cannot be read, for the `ReadFailure` that the child answers with."""

    def __init__(self, why: str, reason: str = "unreadable") -> None:
        super().__init__(why)
        self.trouble = ReadFailure(reason, why)


class Writing:
    """The text as far as it has been written.

    `write` returns False once there is as much as is wanted: the reader may stop.
    """

    def __init__(self, max_characters: int) -> None:
        self._room = max_characters
        self._pieces: list[str] = []
        self._has_words = False
        self.is_cut = False

    def write(self, text: str, *, is_mark: bool = False) -> bool:
        """Add `text`; `is_mark`: it says where one is (a page, a sheet) and is not the file's own."""
        self._has_words = self._has_words or not (is_mark or text.isspace() or not text)
        if len(text) > self._room:
            self.is_cut = True
            text = text[: self._room]
        self._pieces.append(text)
        self._room -= len(text)
        return not self.is_cut

    def said(self) -> ExtractedText:
        """Return what was written.

        Raises:
            Unreadable: no words are in it.
        """
        if not self._has_words:
            raise Unreadable("there is no text in it (pages that are pictures, as of a scan, cannot be read)")
        text = "".join(self._pieces).strip().replace("\0", "")
        # half a surrogate pair, as some PDFs have, is no text
        return ExtractedText(text.encode("utf-8", "replace").decode(), self.is_cut)
