"""Parts of content as OpenAI writes them: images, files, sounds.

A part that only refers to its content becomes one of `submit/references.py`, which is resolved at submission.
"""

import re

from nanobot.core.errors import InvalidRequest
from nanobot.core.message import Audio, File, Image
from nanobot.submit.references import (
    InlineFile,
    RemoteFile,
    RemoteImage,
    UploadedFile,
    file_name,
    is_of_web,
    quoted,
)

_IMAGE = re.compile(r"data:image/[a-z.+-]+;base64,", re.IGNORECASE)
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]*)*);base64,", re.IGNORECASE)
FORMATS = ("wav", "mp3")
DETAILS = ("auto", "low", "high")


def image_part(url: str, detail: str | None, path: str) -> Image:
    """Return the image of the part at `path`.

    Raises:
        InvalidRequest: its URL or its detail is none.
    """
    if detail not in (None, *DETAILS):
        raise InvalidRequest(
            f"{path}.detail is {detail!r}: it must be {', '.join(DETAILS[:-1])} or {DETAILS[-1]}",
            param=f"{path}.detail",
        )
    if _IMAGE.match(url[:64]):
        return Image(url, detail)  # type: ignore[arg-type]
    if is_of_web(url):
        return RemoteImage(url, detail, path)  # type: ignore[arg-type]
    raise InvalidRequest(
        f"{path}.url is {quoted(url)}: it must be a data URL (data:image/…;base64,…) or a URL of http or https",
        param=f"{path}.url",
    )


def file_part(content: str | None, name: str | None, file_id: str | None, path: str) -> File:
    """Return the file of the part at `path`: `content` is a data URL, bare base64 or a URL of the web,
    `file_id` an upload; one of them.

    Raises:
        InvalidRequest: there is neither, or both.
    """
    if (content is None) == (file_id is None):
        raise InvalidRequest(f"{path} needs file_data (with filename), or file_id: one of them", param=path)
    if file_id is not None:
        return UploadedFile(name or "", "", file_id, path)
    assert content is not None  # noqa: S101 - one of the two is there
    if is_of_web(content):
        return RemoteFile(file_name(name), "", None, content, path)
    announced = _DATA_URL.match(content[:256])
    encoded = content[announced.end() :] if announced else content
    return InlineFile(file_name(name), "", None, encoded, (announced[1] or "") if announced else "", path)


def audio_part(data: str, format_: str, path: str) -> Audio:
    """Return the sound of the part at `path`.

    Raises:
        InvalidRequest: it is none, or of a format that is not known.
    """
    if format_ not in FORMATS:
        raise InvalidRequest(
            f"{path}.format is {quoted(format_)}: it must be {' or '.join(FORMATS)}", param=f"{path}.format"
        )
    if not data:
        raise InvalidRequest(f"{path}.data is empty: base64 is needed", param=f"{path}.data")
    return Audio(data, format_)
