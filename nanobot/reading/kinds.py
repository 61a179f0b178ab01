"""The kind of a file: by its first bytes, and by name and media type only where those do not tell."""

import re
from typing import Literal

from nanobot.core.late_pattern import LatePattern
from nanobot.reading.encodings import utf_16_encoding

Kind = Literal[
    "pdf",
    "zip",
    "compound",
    "docx",
    "pptx",
    "odt",
    "odp",
    "epub",
    "xlsx",
    "xlsb",
    "xls",
    "ods",
    "flat",
    "xml-sheets",
    "html",
    "rtf",
    "mail",
    "mhtml",
    "notebook",
    "text",
    "image",
    "audio",
    "binary",
]
"""`zip`: an archive, as DOCX, XLSX, PPTX and others are. `compound`: the container of older Office formats,
and of encrypted files of the newer ones. Which format it is in these is looked for where the file is read.
`flat`: OpenDocument in one XML file. `xml-sheets`: XML Spreadsheet 2003.
"""

_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_OTHER_PICTURES = (
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"\0\0\x01\0", "image/x-icon"),
    (b"\xff\x0a", "image/jxl"),
    (b"\0\0\0\x0cJXL ", "image/jxl"),
)
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx"), "image/heic"),
    **dict.fromkeys((b"mif1", b"msf1", b"heim", b"heis"), "image/heif"),
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
}
_MAIL_EXTENSIONS = frozenset({"eml", "mbox", "mht", "mhtml"})
_MAIL_HEADER = LatePattern(rb"[A-Za-z][A-Za-z0-9-]{1,60}:[ \t]?\S")
_MAIL_SIGNS = LatePattern(rb"^(mime-version|message-id|received|return-path|delivered-to):", re.I | re.M)
_ARCHIVED_PAGE = LatePattern(rb"^(content-type:\s*multipart/related|snapshot-content-location:)", re.I | re.M)
_TEXT_EXTENSIONS = frozenset({"txt", "csv", "tsv", "log", "md", "json", "xml", "yaml", "yml", "ini", "sql"})
_MAX_ZERO_SHARE = 0.2
_HTML_EXTENSIONS = frozenset({"html", "htm", "xhtml"})
_HTML = LatePattern(rb"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_FLAT = LatePattern(rb"<office:document\s[^>]{0,4000}?opendocument:xmlns:office")
_XML_SHEETS = LatePattern(rb"<(?:\w{1,9}:)?Workbook\s[^>]{0,2000}?schemas-microsoft-com:office:spreadsheet")
_ENCODED = (
    ("utf-8-sig", b"\xef\xbb\xbf"),
    ("utf-32", b"\xff\xfe\0\0"),
    ("utf-32", b"\0\0\xfe\xff"),
    ("utf-16", b"\xff\xfe"),
    ("utf-16", b"\xfe\xff"),
)
_LIKELY: tuple[tuple[bytes, Kind], ...] = (
    (b"application/epub+zip", "epub"),
    (b"application/vnd.oasis.opendocument.spreadsheet", "ods"),
    (b"application/vnd.oasis.opendocument.presentation", "odp"),
    (b"application/vnd.oasis.opendocument.", "odt"),
    (b"word/document", "docx"),
    (b"xl/workbook", "xlsx"),
    (b"ppt/presentation", "pptx"),
)
_MEDIA_TYPE_BYTES = 128
_DIRECTORY_BYTES = 64 * 1024
_HEAD_BYTES = 4_096
_CONTROL_BYTES = frozenset(range(32)) - frozenset(b"\t\n\r\f\b\x1b")
_MAX_CONTROL_SHARE = 0.02


def kind_of(content: bytes, *, name: str = "", mime: str = "") -> Kind:
    """Return the kind of the file."""
    head = content[:_HEAD_BYTES]
    if image_type(head):
        return "image"
    if audio_format(head):
        return "audio"
    if _is_pdf(head) or (extension(name) == "pdf" and b"%PDF-" in head[:1024]):
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return "compound"
    if (
        byte_order_mark(head) is None
        and _is_binary(head)
        and utf_16_encoding(head) is None
        and not _is_damaged_text(head, name)
    ):
        return "binary"
    return _kind_of_text(head, extension(name), mime.partition(";")[0].strip().lower())


def likely_kind(kind: Kind, content: bytes) -> Kind:
    """Return the kind that is most likely in a container, cheaply; other kinds as they are."""
    if kind == "compound":
        return "xls"
    if kind != "zip":
        return kind
    # The names of what is in it are at the end; a media type, if it has one, at the start.
    ends = content[:_MEDIA_TYPE_BYTES] + content[-_DIRECTORY_BYTES:]
    return next((likely for mark, likely in _LIKELY if mark in ends), kind)


def _kind_of_text(head: bytes, extension_: str, mime: str) -> Kind:
    if head.startswith(b"{\\rtf"):
        return "rtf"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        if _FLAT.search(head):
            return "flat"
        if _XML_SHEETS.search(head):
            return "xml-sheets"
    if extension_ == "ipynb" and head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return "notebook"
    if _is_mail(head, is_declared=extension_ in _MAIL_EXTENSIONS or mime == "message/rfc822"):
        return "mhtml" if _ARCHIVED_PAGE.search(head) and extension_ != "eml" else "mail"
    is_declared_html = mime in ("text/html", "application/xhtml+xml") or extension_ in _HTML_EXTENSIONS
    return "html" if is_declared_html or _is_html(head) else "text"


def image_type(head: bytes) -> str | None:
    """Return the media type of an image in a format that models take, None for anything else."""
    for magic, media_type in _IMAGES:
        if head.startswith(magic):
            return media_type
    return "image/webp" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


def picture_type(head: bytes) -> str | None:
    """Return the media type of a picture in any usual format, None for anything else. `head`: its first 32
    bytes.
    """
    if known := image_type(head):
        return known
    for magic, media_type in _OTHER_PICTURES:
        if head.startswith(magic):
            return media_type
    # ISO media: the brand says which.
    return _BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None


def audio_format(head: bytes) -> Literal["wav", "mp3"] | None:
    """Return the format of audio that models take, None for anything else."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    return (
        "mp3"
        if (head.startswith(b"ID3") and head[3:4] < b"\x10")
        # The head of a frame of MPEG audio, layer III.
        or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2)
        else None
    )


def byte_order_mark(head: bytes) -> str | None:
    """Return the encoding of the byte order mark, None where there is none."""
    return next((encoding for encoding, mark in _ENCODED if head.startswith(mark)), None)


def extension(name: str) -> str:
    """Return the extension of a file name, in lower case and without the dot."""
    stem, dot, end = name.rpartition(".")
    return end.lower() if dot and stem else ""


def _is_pdf(head: bytes) -> bool:
    """Return whether a PDF begins here: some programs write bytes before it, and a text may mention PDF."""
    before, mark, _ = head[:1024].partition(b"%PDF-")
    return bool(mark) and (not before.strip(b"\xef\xbb\xbf \t\r\n") or _is_binary(head))


def _is_mail(head: bytes, *, is_declared: bool) -> bool:
    """Return whether a mail begins here. Where no name says so, it must have headers that only mails have."""
    head = head.lstrip(b"\r\n")
    if head.startswith(b"From "):
        head = head.partition(b"\n")[2]
    if _MAIL_HEADER.match(head) is None:
        return False
    headers = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0]
    return is_declared or len(set(_MAIL_SIGNS.findall(headers.lower()))) > 1


def _is_html(head: bytes) -> bool:
    rest = head.lstrip()
    while rest.startswith(b"<!--"):
        rest = rest.partition(b"-->")[2].lstrip()
    return _HTML.match(rest) is not None


def _is_damaged_text(head: bytes, name: str) -> bool:
    """Return whether it is a text but for some zeros, as programs leave in exports and in logs that a crash
    cut. Its name must say so, too.
    """
    if extension(name) not in _TEXT_EXTENSIONS or head.count(0) > _MAX_ZERO_SHARE * len(head):
        return False
    rest = head.replace(b"\0", b"")
    return not _is_binary(rest)


def _is_binary(head: bytes) -> bool:
    if b"\0" in head:
        return True
    return bool(head) and sum(byte in _CONTROL_BYTES for byte in head) > _MAX_CONTROL_SHARE * len(head)
