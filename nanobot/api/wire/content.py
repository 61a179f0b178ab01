"""Parts of content as OpenAI writes them: images, files, sounds.

A part that only refers to its content becomes one of `submit/references.py`, which is resolved at submission.
"""

import re
from typing import Annotated, Literal

import msgspec

from nanobot.core.errors import InvalidRequest, UnsupportedFile
from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import File, Image, Part, Text, ToolResult
from nanobot.reading.kinds import picture_type
from nanobot.submit.references import (
    InlineFile,
    RemoteFile,
    RemoteImage,
    UploadedFile,
    decode_base64,
    file_name,
    is_of_web,
    quoted,
)

IMAGE_URL = r"^(data:image/[A-Za-z0-9.+-]+(;[A-Za-z0-9_.+-]+=[^;,]*)*;base64,|https?://)"
"""What the URL of an image looks like, as a JSON schema has it."""
_IMAGE = LatePattern(r"(data:image/[a-z0-9.+-]+)((?:;[\w.+-]+=[^;,]*)*);base64,", re.IGNORECASE)
_DATA_URL = LatePattern(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]*)*);base64,", re.IGNORECASE)
_LONGEST_HEAD = 256
_IMAGE_HEAD_CHARS = 64
ParticipantName = Annotated[str, msgspec.Meta(max_length=256)]
AudioFormat = Literal["wav", "mp3"]
Detail = Literal["auto", "low", "high", "original"]


def image_part(url: str, detail: Detail | None, path: str) -> Image:
    """Return the image of the part at `path`.

    The media type of a data URL is what its bytes are: providers refuse a JPEG that is called a PNG.

    Raises:
        InvalidRequest: its URL is neither a data URL of an image nor one of the web, or the data is no image.
    """
    # The rest may be megabytes.
    if (head := _IMAGE.match(url[:_LONGEST_HEAD])) is not None:
        if any(space in url for space in "\r\n \t"):
            # Some programs wrap lines of base64.
            for space in "\r\n \t":
                url = url.replace(space, "")
        media_type = _image_type(url, head.end(), f"{path}.url")
        # Providers take no parameters, such as a charset.
        start = f"data:{media_type};base64,"
        return Image(url if url.startswith(start) else start + url[head.end() :], detail)
    if is_of_web(url):
        return RemoteImage(url, detail, path)
    raise InvalidRequest(
        f"{path}.url is {quoted(url)}: it must be a data URL (data:image/…;base64,…) or a URL of http or "
        "https",
        param=f"{path}.url",
    )


def _image_type(url: str, start: int, path: str) -> str:
    """Return the media type of the image in a data URL, whose base64 begins at `start`.

    Only both ends are decoded: here is the event loop.

    Raises:
        InvalidRequest: it is no base64, or no image.
    """
    if (len(url) - start) % 4:
        raise InvalidRequest(
            f"{path} is not base64: it has {len(url) - start} characters, which is no multiple of four",
            param=path,
        )
    first = decode_base64(url[start : start + _IMAGE_HEAD_CHARS], path)
    decode_base64(url[max(start, len(url) - _IMAGE_HEAD_CHARS) :], path)
    media_type = picture_type(first)
    if media_type is None:
        raise UnsupportedFile(
            f"{path} is no image: its bytes are those of none; PNG, JPEG, GIF and WebP are taken", param=path
        )
    return media_type


def file_part(content: str | None, name: str | None, file_id: str | None, path: str) -> File:
    """Return the file of the part at `path`: `content` is a data URL, bare base64 or a URL of the web,
    `file_id` an upload; one of them.

    Raises:
        InvalidRequest: there is neither, or both.
    """
    if (content is None) == (file_id is None):
        raise InvalidRequest(f"{path} needs file_data (with filename), or file_id: one of them", param=path)
    if file_id is not None:
        return UploadedFile(name or "", "", file_id, path=path)
    assert content is not None  # noqa: S101 - one of the two is there
    if is_of_web(content):
        return RemoteFile(file_name(name), "", url=content, path=path)
    announced = _DATA_URL.match(content[:_LONGEST_HEAD])
    encoded = content[announced.end() :] if announced else content
    mime, parameters = (announced[1] or "", announced[2]) if announced else ("", "")
    return InlineFile(
        file_name(name), "", content=encoded, mime=mime, charset=_charset(parameters), path=path
    )


def _charset(parameters: str) -> str | None:
    """Return the encoding that the parameters of a media type declare."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip(" \"'") or None
    return None


def instruction(parts: tuple[Part, ...], role: str, path: str) -> str:
    """Return the text of a message with instructions.

    Raises:
        InvalidRequest: there is something else in it, which the model would not see.
    """
    for index, part in enumerate(parts):
        if not isinstance(part, Text):
            raise InvalidRequest(
                f"{path}[{index}] is no text: a {role} message may have nothing else,"
                " send it in a user message",
                param=f"{path}[{index}]",
            )
    return "".join(part.text for part in parts if isinstance(part, Text))


def tool_result(call_id: str, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return the result of a call, and behind it the images and files that came with its text."""
    text = "".join(part.text for part in parts if isinstance(part, Text))
    return (ToolResult(call_id, text), *(part for part in parts if not isinstance(part, Text)))
