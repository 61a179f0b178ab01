"""Why a file of a kind that is not read here is not, and what to send in its place: by its first bytes."""

from nanobot.reading.kinds import picture_type

_HEAD_BYTES = 512
_COMPRESSED = "compressed: send the files that are in it"
_BEGINNINGS = (
    (b"\x1f\x8b", _COMPRESSED),
    (b"BZh", _COMPRESSED),
    (b"\xfd7zXZ\0", _COMPRESSED),
    (b"\x28\xb5\x2f\xfd", _COMPRESSED),
    (b"7z\xbc\xaf\x27\x1c", "an archive: send the files that are in it"),
    (b"Rar!\x1a\x07", "an archive: send the files that are in it"),
    (b"SQLite format 3\0", "a database: export what you need of it as CSV"),
    (b"PAR1", "a table in the format Parquet: export it as CSV"),
    (b"ARROW1", "a table in the format Arrow: export it as CSV"),
    (b"OggS", "a recording: send it as MP3 or WAV, as a part of type input_audio"),
    (b"fLaC", "a recording: send it as MP3 or WAV, as a part of type input_audio"),
    (b"\x1aE\xdf\xa3", "a film: send pictures of it"),
)
_TAR_AT, _TAR = 257, b"ustar"
_OTHERS = "of a kind that is not read here: PDF, office documents, HTML, CSV, text and code are"


def why_unread(content: bytes) -> str:
    """Return what a file is that nothing here reads, and what to do, to stand behind "the file is"."""
    head = content[:_HEAD_BYTES]
    if (picture := picture_type(head[:32])) is not None:
        name = picture.partition("/")[2].removeprefix("x-").upper()
        return f"a picture in the format {name}: save it as JPEG or PNG"
    if head[4:8] == b"ftyp":
        return "a film or a recording: of a recording send MP3 or WAV, as a part of type input_audio"
    if head[_TAR_AT:].startswith(_TAR):
        return "an archive: send the files that are in it"
    return next((why for begin, why in _BEGINNINGS if head.startswith(begin)), _OTHERS)
