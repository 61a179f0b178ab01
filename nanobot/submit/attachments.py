"""Content that messages only refer to, fetched and read before a turn is admitted: images of the web, files
that were sent along or uploaded.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from urllib.parse import unquote, urlsplit

import msgspec

from nanobot.core.errors import InvalidRequest, NanobotError, UnsupportedFile, UrlRefused
from nanobot.core.message import Audio, File, Image, Message, Part, Text
from nanobot.core.store import Store
from nanobot.reading.documents import DocumentReader
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
    source_of,
)

_MOST_REFERENCES = 32
_IMAGE_TYPES = "PNG, JPEG, GIF and WebP"


class Attachments:
    """Replaces parts that refer to content by the content. `fetcher` None: no URL is followed."""

    def __init__(self, store: Store, documents: DocumentReader, fetcher: Fetcher | None) -> None:
        self._store = store
        self._documents = documents
        self._fetcher = fetcher

    async def resolve(self, messages: tuple[Message, ...], session_key: str) -> tuple[Message, ...]:
        """Return `messages` with the content of every part; the same object where nothing is missing.

        Raises:
            InvalidRequest: some content cannot be fetched or read; `param` names the part.
            UploadNotFound: the session has no such upload.
        """
        unresolved = _unresolved(messages)
        if not unresolved:
            return messages
        if len(unresolved) > _MOST_REFERENCES:
            raise InvalidRequest(
                f"{len(unresolved)} files and URLs in one request: at most {_MOST_REFERENCES} are allowed",
                param="messages",
            )
        parts = await _all([self._resolve(part, session_key) for part in unresolved])
        return _replaced(with_sources(messages), parts)

    async def resolve_earlier(self, messages: tuple[Message, ...], session_key: str) -> tuple[Message, ...]:
        """Return the messages that a client sent before the new ones and the transcript lacks, with the
        content of every part.

        Content that is gone becomes a note that says so, since it was answered long ago; so do all but the
        last 32.
        """
        unresolved = _unresolved(messages)
        if not unresolved:
            return messages
        first = max(0, len(unresolved) - _MOST_REFERENCES)
        notes: list[Part] = [Text(f"({_kind(part)} stood here)") for part in unresolved[:first]]
        rest = await _all([self._resolve_or_note(part, session_key) for part in unresolved[first:]])
        return _replaced(messages, [*notes, *rest])

    async def _resolve_or_note(self, part: Unresolved, session_key: str) -> Part:
        try:
            return await self._resolve(part, session_key)
        except NanobotError as error:
            return Text(f"({_kind(part)} stood here: {error.public_message})")

    async def _resolve(self, part: Unresolved, session_key: str) -> Part:
        if isinstance(part, RemoteImage):
            return await self._remote_image(part)
        if isinstance(part, RemoteFile):
            return await self._remote_file(part, session_key)
        if isinstance(part, InlineFile):
            content = part.content
            if isinstance(content, str):
                # Here and below: megabytes of base64 would hold up the event loop.
                content = await asyncio.to_thread(decode_base64, content, f"{part.path}.file_data")
            return await self._read(part.name, content, part.path, session_key, mime=part.mime)
        upload, content = await self._store.open_upload(part.file_id or "", session_key)
        return await self._read(part.name or upload.name, content, part.path, session_key, file_id=upload.id)

    async def _read(
        self,
        name: str,
        content: bytes,
        path: str,
        session_key: str,
        *,
        mime: str = "",
        charset: str | None = None,
        file_id: str | None = None,
    ) -> Part:
        """Return the file as the model sees it: an image or a sound as such, anything else as text.

        Raises:
            InvalidRequest: it cannot be read; `param` is `path`.
        """
        # The first bytes decide: names and media types are claims of the client.
        kind = image_type(content[:16])
        if kind is not None:
            return Image(await asyncio.to_thread(data_url, kind, content))
        format_ = audio_format(content[:16])
        if format_ is not None:
            # Only the base64 after the comma is kept, so any media type will do.
            return Audio((await asyncio.to_thread(data_url, "audio/x", content)).partition(",")[2], format_)
        try:
            document = await self._documents.read(
                content, name=name, mime=mime, charset=charset, owner=session_key
            )
        except InvalidRequest as error:
            error.param = error.param or path
            raise
        text = document.text
        if document.is_cut:
            text += f"\n(The file goes on: only its first {len(text)} characters are shown.)"
        return File(name or "file", text, file_id)

    async def _remote_image(self, part: RemoteImage) -> Image:
        path = f"{part.path}.url"
        fetched = await self._fetch(part.url, path, accept="image/*")
        kind = image_type(fetched.content[:16])
        if kind is None:
            raise UnsupportedFile(
                f"what {path} leads to is no image that models take: {_IMAGE_TYPES} are", param=path
            )
        return Image(await asyncio.to_thread(data_url, kind, fetched.content), part.detail)

    async def _remote_file(self, part: RemoteFile, session_key: str) -> Part:
        fetched = await self._fetch(part.url, f"{part.path}.file_data")
        name = part.name or file_name(unquote(urlsplit(fetched.url).path))
        return await self._read(
            name,
            fetched.content,
            part.path,
            session_key,
            mime=fetched.content_type,
            charset=fetched.charset,
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


def with_sources(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the messages with the sources of those that have parts without their content."""
    return tuple(
        msgspec.structs.replace(
            message,
            sources=tuple(
                source_of(part) for part in message.parts if isinstance(part, Image | Audio | File)
            ),
        )
        if any(isinstance(part, Unresolved) for part in message.parts)
        else message
        for message in messages
    )


def has_references(messages: tuple[Message, ...]) -> bool:
    """Return whether a part of `messages` lacks its content."""
    return bool(_unresolved(messages))


def _kind(part: Unresolved) -> str:
    return "an image" if isinstance(part, RemoteImage) else "a file"


def _unresolved(messages: tuple[Message, ...]) -> list[Unresolved]:
    return [
        part
        for message in messages
        for part in message.parts
        # Most parts are texts, which the cheaper test sorts out.
        if type(part) is not Text and isinstance(part, Unresolved)
    ]


def _replaced(messages: tuple[Message, ...], parts: Sequence[Part]) -> tuple[Message, ...]:
    rest = iter(parts)
    return tuple(
        msgspec.structs.replace(
            message,
            parts=tuple(next(rest) if isinstance(part, Unresolved) else part for part in message.parts),
        )
        if any(isinstance(part, Unresolved) for part in message.parts)
        else message
        for message in messages
    )


async def _all(resolving: Sequence[Awaitable[Part]]) -> list[Part]:
    """Return the results in order; the first failure cancels the rest."""

    # `create_task` takes only coroutines.
    async def one(it: Awaitable[Part]) -> Part:
        return await it

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(it)) for it in resolving]
    except* NanobotError as failed:
        # The API answers with one error; groups of them are unknown to it.
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
