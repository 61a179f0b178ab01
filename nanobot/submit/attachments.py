"""What parts of a message only point at, brought in before the turn is admitted: images of the web, files
that were sent or uploaded.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from urllib.parse import unquote, urlsplit

import msgspec

from nanobot.core.errors import InvalidRequest, NanobotError, SessionNotFound, UnsupportedFile, UrlRefused
from nanobot.core.message import Audio, File, Image, Message, Part, Text
from nanobot.core.store import Store
from nanobot.reading.documents import Documents
from nanobot.reading.fetch import Fetched, Fetcher
from nanobot.reading.kinds import audio_format, image_type
from nanobot.submit.references import (
    InlineFile,
    RemoteFile,
    RemoteImage,
    Unresolved,
    data_url,
    decode_base64,
    file_name,
)

_MOST_SOUGHT = 32
_IMAGE_TYPES = "PNG, JPEG, GIF and WebP"


class Attachments:
    """Fills in parts. `fetcher` None: no URL is followed."""

    def __init__(self, store: Store, documents: Documents, fetcher: Fetcher | None) -> None:
        self._store = store
        self._documents = documents
        self._fetcher = fetcher

    async def fill(self, messages: tuple[Message, ...], session_key: str) -> tuple[Message, ...]:
        """Return `messages` with all that they point at; the same where they point at nothing.

        Raises:
            InvalidRequest: something cannot be had, or not read; `param` names the part.
            UploadNotFound: there is no such upload of this session.
        """
        sought = _sought(messages)
        if not sought:
            return messages
        if len(sought) > _MOST_SOUGHT:
            raise InvalidRequest(
                f"{len(sought)} files and URLs in one request: at most {_MOST_SOUGHT} are allowed",
                param="messages",
            )
        found = await _all([self._found(part, session_key) for part in sought])
        return _replaced(messages, found)

    async def fill_history(self, messages: tuple[Message, ...], session_key: str) -> tuple[Message, ...]:
        """Return the messages that came before with all that they point at, where they are new to the server;
        else a session has a history of its own. What can no longer be had is said to be missing: it was
        answered long ago.
        """
        sought = _sought(messages)
        if not sought:
            return messages
        if await self._has_history(session_key):
            return _replaced(messages, [Text("")] * len(sought))
        too_many = len(sought) - _MOST_SOUGHT
        wanted = [
            self._found_or_missed(part, session_key, is_wanted=at >= too_many)
            for at, part in enumerate(sought)
        ]
        return _replaced(messages, await _all(wanted))

    async def _has_history(self, session_key: str) -> bool:
        try:
            return bool(await self._store.messages(session_key, limit=1))
        except SessionNotFound:
            return False

    async def _found_or_missed(self, part: Unresolved, session_key: str, *, is_wanted: bool) -> Part:
        what = "an image" if isinstance(part, RemoteImage) else "a file"
        if not is_wanted:
            return Text(f"({what} stood here)")
        try:
            return await self._found(part, session_key)
        except NanobotError as error:
            return Text(f"({what} stood here: {error.message})")

    async def _found(self, part: Unresolved, session_key: str) -> Part:
        if isinstance(part, RemoteImage):
            return await self._image_at(part)
        if isinstance(part, RemoteFile):
            return await self._file_at(part)
        if isinstance(part, InlineFile):
            content = part.content
            if isinstance(content, str):
                content = await asyncio.to_thread(decode_base64, content, f"{part.path}.file_data")
            return await self._read(part.name, content, part.path, mime=part.mime)
        upload, content = await self._store.open_upload(part.file_id or "", session_key)
        return await self._read(part.name or upload.name, content, part.path, file_id=upload.id)

    async def _read(
        self,
        name: str,
        content: bytes,
        path: str,
        *,
        mime: str = "",
        charset: str | None = None,
        file_id: str | None = None,
    ) -> Part:
        """Return the file as the model sees it: an image or a sound as such, anything else as text.

        Raises:
            InvalidRequest: it cannot be read; `param` is `path`.
        """
        kind = image_type(content[:16])
        if kind is not None:
            return Image(await asyncio.to_thread(data_url, kind, content))
        format_ = audio_format(content[:16])
        if format_ is not None:
            return Audio((await asyncio.to_thread(data_url, "audio/x", content)).partition(",")[2], format_)
        try:
            document = await self._documents.read(content, name=name, mime=mime, charset=charset)
        except InvalidRequest as error:
            error.param = error.param or path
            raise
        text = document.text
        if document.is_cut:
            text += f"\n(The file goes on: only its first {len(text)} characters are shown.)"
        return File(name or "file", text, file_id)

    async def _image_at(self, part: RemoteImage) -> Image:
        path = f"{part.path}.url"
        fetched = await self._fetch(part.url, path, accept="image/*")
        kind = image_type(fetched.content[:16])
        if kind is None:
            raise UnsupportedFile(
                f"what {path} leads to is no image that models take: {_IMAGE_TYPES} are", param=path
            )
        return Image(await asyncio.to_thread(data_url, kind, fetched.content), part.detail)

    async def _file_at(self, part: RemoteFile) -> Part:
        fetched = await self._fetch(part.url, f"{part.path}.file_data")
        name = part.name or file_name(unquote(urlsplit(fetched.url).path))
        return await self._read(
            name, fetched.content, part.path, mime=fetched.content_type, charset=fetched.charset
        )

    async def _fetch(self, url: str, path: str, *, accept: str = "*/*") -> Fetched:
        if self._fetcher is None:
            raise UrlRefused(
                "this server fetches nothing from the web (files.fetch): send a data URL", param=path
            )
        try:
            return await self._fetcher.fetch(url, accept=accept)
        except InvalidRequest as error:
            error.param = path
            raise


def points_at_something(messages: tuple[Message, ...]) -> bool:
    """Return whether a part of `messages` lacks its content."""
    return bool(_sought(messages))


def _sought(messages: tuple[Message, ...]) -> list[Unresolved]:
    return [
        part
        for message in messages
        for part in message.parts
        if type(part) is not Text and isinstance(part, Unresolved)
    ]


def _replaced(messages: tuple[Message, ...], found: Sequence[Part]) -> tuple[Message, ...]:
    rest = iter(found)
    return tuple(
        msgspec.structs.replace(
            message,
            parts=tuple(next(rest) if isinstance(part, Unresolved) else part for part in message.parts),
        )
        if any(isinstance(part, Unresolved) for part in message.parts)
        else message
        for message in messages
    )


async def _all(wanted: Sequence[Awaitable[Part]]) -> list[Part]:
    """Return what all of them return; the first failure ends the rest."""

    async def one(it: Awaitable[Part]) -> Part:
        return await it

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(it)) for it in wanted]
    except* NanobotError as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
