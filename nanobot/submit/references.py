"""Parts of messages that only refer to their content: a URL, an upload, bytes that are not read yet.

Each is one of the core's parts without its content; `attachments.py` replaces it by the whole one.
"""

import base64
import hashlib

from nanobot.core.errors import InvalidRequest
from nanobot.core.message import Audio, File, Image

_MOST_QUOTED = 40
_LONGEST_NAME = 255


class RemoteImage(Image, frozen=True, tag="image"):
    """An image whose `url` is one of the web. `path` names the part in errors."""

    path: str = ""


class InlineFile(File, frozen=True, tag="file"):
    """A file that was sent along: its `content` as bytes, or as base64. `charset`: as the client declares."""

    content: bytes | str = b""
    mime: str = ""
    charset: str | None = None
    path: str = ""


class RemoteFile(File, frozen=True, tag="file"):
    """A file behind a URL."""

    url: str = ""
    path: str = ""


class UploadedFile(File, frozen=True, tag="file"):
    """An upload, known by its `file_id`."""

    path: str = ""


Unresolved = RemoteImage | InlineFile | RemoteFile | UploadedFile


def source_of(part: Image | Audio | File) -> str:
    """Return a digest of the part as the client sent it: of its content, its URL or its upload's id."""
    if isinstance(part, InlineFile):
        sent = part.content if isinstance(part.content, bytes) else part.content.encode()
        return _digest("inline", part.name, sent)
    if isinstance(part, UploadedFile):
        return _digest("upload", part.file_id or "")
    if isinstance(part, RemoteFile | Image):
        return _digest("url", part.url)
    if isinstance(part, Audio):
        return _digest("audio", part.data)
    return _digest("file", part.name, part.text.encode())


def _digest(kind: str, name: str, content: bytes = b"") -> str:
    digest = hashlib.blake2b(f"{kind}\0{name}\0".encode(), digest_size=16)
    digest.update(content)
    return digest.hexdigest()


def is_of_web(url: str) -> bool:
    """Return whether the URL is one of http or https."""
    return url[:8].lower().startswith(("http://", "https://"))


def file_name(name: str | None) -> str:
    """Return the name as it is shown: without folders and control characters, at most 255 characters."""
    path = name or ""
    last = path[max(path.rfind("/"), path.rfind("\\")) + 1 :].lstrip()[:_LONGEST_NAME]
    return "".join(character if character.isprintable() else " " for character in last).strip()


def decode_base64(encoded: str, path: str) -> bytes:
    """Return the bytes.

    Raises:
        InvalidRequest: it is not base64.
    """
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        raise InvalidRequest(f"{path} is not base64: {quoted(encoded)}", param=path) from None


def data_url(media_type: str, content: bytes) -> str:
    """Return the content as a data URL."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def quoted(text: str) -> str:
    """Return the text in quotation marks, cut to 40 characters, for an error message."""
    return repr(text) if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]!r}…"
