"""Parts of messages that only point at their content: a URL, an upload, bytes that are not read yet.

A marked part is one of the core's values that lacks its content; `attachments.py` replaces it by the whole one.
"""

import base64
import re

from nanobot.core.errors import InvalidRequest
from nanobot.core.message import File, Image

_MOST_SHOWN = 40
_LONGEST_NAME = 255


class RemoteImage(Image, frozen=True, tag="image"):
    """An image that stands behind its `url`, which is not a data URL. `path` names the part in errors."""

    path: str = ""


class InlineFile(File, frozen=True, tag="file"):
    """A file that came along: its `content` as bytes, or as base64."""

    content: bytes | str = b""
    mime: str = ""
    path: str = ""


class RemoteFile(File, frozen=True, tag="file"):
    """A file that stands behind a URL."""

    url: str = ""
    path: str = ""


class UploadedFile(File, frozen=True, tag="file"):
    """An upload, known by its `file_id`."""

    path: str = ""


Unresolved = RemoteImage | InlineFile | RemoteFile | UploadedFile


def is_of_web(url: str) -> bool:
    return url[:8].lower().startswith(("http://", "https://"))


def file_name(given: str | None) -> str:
    """Return the name of a file as it is shown: without folders and control characters, and not too long."""
    last = re.split(r"[/\\]", given or "")[-1]
    return "".join(character if character.isprintable() else " " for character in last).strip()[
        :_LONGEST_NAME
    ]


def decode_base64(encoded: str, path: str) -> bytes:
    """Return the bytes.

    Raises:
        InvalidRequest: it is not base64.
    """
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        raise InvalidRequest(f"{path} is not base64: {shown(encoded)}", param=path) from None


def data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def shown(text: str) -> str:
    return repr(text) if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]!r}…"
