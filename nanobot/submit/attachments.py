"""Content that messages only refer to, fetched and read before a turn is admitted: images of the web, files
that were sent along or uploaded.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Sequence
from urllib.parse import unquote, urlsplit

import msgspec

from nanobot.core.errors import InvalidRequest, NanobotError, UnsupportedFile, UrlRefused
from nanobot.core.message import Audio, File, Image, Message, Part, Text
from nanobot.core.store import Store
from nanobot.reading.documents import DocumentReader
from nanobot.reading.fetch import Fetched, Fetcher
from nanobot.reading.kinds import audio_format, image_type
from nanobot.submit.kept_files import KeptFiles
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
Parts = tuple[Part, ...]
_IMAGE_TYPES = "PNG, JPEG, GIF and WebP"


class _Asker(msgspec.Struct, frozen=True):
    """For whom files are read. `pictures`: how many the model is shown of each file; `kept`: where the ids of
    files go that are kept with the session, None: none may be.
    """

    session_key: str
    pictures: int = 0
    kept: list[str] | None = None


class Attachments:
    """Replaces parts that refer to content by the content.

    `fetcher` None: no URL is followed. `kept_files` keeps those whose text is longer than what is read, and
    those that commands are to work on; None: none are kept.
    """

    def __init__(
        self,
        store: Store,
        documents: DocumentReader,
        fetcher: Fetcher | None,
        kept_files: KeptFiles | None = None,
    ) -> None:
        self._store = store
        self._documents = documents
        self._fetcher = fetcher
        self._kept_files = kept_files

    async def resolve(
        self,
        messages: tuple[Message, ...],
        session_key: str,
        *,
        most_pictures: int = 0,
        kept: list[str] | None = None,
    ) -> tuple[Message, ...]:
        """Return `messages` with the content of every part; the same object where nothing is missing.

        `most_pictures`: how many pictures out of the files the model may be shown in all. A file with more
        text than is read is kept with the session, and its id added to `kept`, also where this raises; None:
        none is. `keeping` has such a list.

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
        asker = _Asker(session_key, most_pictures // len(unresolved), kept)
        parts = await _all([self._resolve(part, asker) for part in unresolved])
        # What was sent along may be megabytes.
        return _replaced(await asyncio.to_thread(with_sources, messages), parts)

    @contextlib.asynccontextmanager
    async def keeping(self, session_key: str) -> AsyncGenerator[list[str], None]:
        """Yield where `resolve` puts the ids of the files that it keeps; they are deleted again where the
        request is refused within.
        """
        kept: list[str] = []
        try:
            yield kept
        except NanobotError:
            if self._kept_files is not None:
                await self._kept_files.take_back(kept, session_key)
            raise

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
        notes = [(Text(f"({_kind(part)} stood here)"),) for part in unresolved[:first]]
        asker = _Asker(session_key)
        rest = await _all([self._resolve_or_note(part, asker) for part in unresolved[first:]])
        return _replaced(messages, [*notes, *rest])

    async def _resolve_or_note(self, part: Unresolved, asker: _Asker) -> Parts:
        try:
            return await self._resolve(part, asker)
        except NanobotError as error:
            return (Text(f"({_kind(part)} stood here: {error.public_message})"),)

    async def _resolve(self, part: Unresolved, asker: _Asker) -> Parts:
        """Return what stands for the part: its content, and the pictures in it."""
        if isinstance(part, RemoteImage):
            return (await self._remote_image(part, asker),)
        if isinstance(part, RemoteFile):
            return await self._remote_file(part, asker)
        if isinstance(part, InlineFile):
            content = part.content
            if isinstance(content, str):
                # Here and below: megabytes of base64 would hold up the event loop.
                content = await asyncio.to_thread(decode_base64, content, f"{part.path}.file_data")
            return await self._read(
                part.name, content, part.path, asker, mime=part.mime, charset=part.charset
            )
        upload, content = await self._store.open_upload(part.file_id or "", asker.session_key)
        return await self._read(part.name or upload.name, content, part.path, asker, file_id=upload.id)

    async def _read(
        self,
        name: str,
        content: bytes,
        path: str,
        asker: _Asker,
        *,
        mime: str = "",
        charset: str | None = None,
        file_id: str | None = None,
    ) -> Parts:
        """Return the file as the model sees it: an image or a sound as such, anything else as text, followed
        by the pictures in it.

        Raises:
            InvalidRequest: it cannot be read; `param` is `path`.
        """
        # The first bytes decide: names and media types are claims of the client.
        kind = image_type(content[:16])
        if kind is not None:
            if name and file_id is None and self._keeps_all(asker):
                await self._keep(name, content, asker)
            return (Image(await asyncio.to_thread(data_url, kind, content)),)
        format_ = audio_format(content[:16])
        if format_ is not None:
            # Only the base64 after the comma is kept, so any media type will do.
            data = (await asyncio.to_thread(data_url, "audio/x", content)).partition(",")[2]
            return (Audio(data, format_),)
        try:
            document = await self._documents.read(
                content,
                name=name,
                mime=mime,
                charset=charset,
                owner=asker.session_key,
                most_pictures=asker.pictures,
            )
        except InvalidRequest as error:
            error.param = error.param or path
            raise
        name = name or "file"
        if file_id is None and (document.extent.cut is not None or self._keeps_all(asker)):
            file_id = await self._keep(name, content, asker)
        pictures = [
            Image(await asyncio.to_thread(data_url, picture.media_type, picture.content))
            for picture in document.pictures
        ]
        return (File(name, document.text, file_id, document.extent), *pictures)

    def _keeps_all(self, asker: _Asker) -> bool:
        return self._kept_files is not None and self._kept_files.keeps_all(asker.session_key)

    async def _keep(self, name: str, content: bytes, asker: _Asker) -> str | None:
        """Keep the file with the session, where that may be; return its id."""
        if self._kept_files is None or asker.kept is None:
            return None
        return await self._kept_files.keep(name, content, asker.session_key, asker.kept)

    async def _remote_image(self, part: RemoteImage, asker: _Asker) -> Image:
        path = f"{part.path}.url"
        fetched = await self._fetch(part.url, path, asker, accept="image/*")
        kind = image_type(fetched.content[:16])
        if kind is None:
            raise UnsupportedFile(
                f"what {path} leads to is no image that models take: {_IMAGE_TYPES} are", param=path
            )
        return Image(await asyncio.to_thread(data_url, kind, fetched.content), part.detail)

    async def _remote_file(self, part: RemoteFile, asker: _Asker) -> Parts:
        fetched = await self._fetch(part.url, f"{part.path}.file_data", asker)
        name = part.name or file_name(unquote(urlsplit(fetched.url).path))
        return await self._read(
            name,
            fetched.content,
            part.path,
            asker,
            mime=fetched.content_type,
            charset=fetched.charset,
        )

    async def _fetch(self, url: str, path: str, asker: _Asker, *, accept: str = "*/*") -> Fetched:
        if self._fetcher is None:
            raise UrlRefused(
                "this server fetches nothing from the web (files.fetch): send a data URL", param=path
            )
        try:
            return await self._fetcher.fetch(url, accept=accept, owner=asker.session_key)
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


def _replaced(messages: tuple[Message, ...], contents: Sequence[Parts]) -> tuple[Message, ...]:
    rest = iter(contents)
    return tuple(
        msgspec.structs.replace(
            message,
            parts=tuple(
                whole
                for part in message.parts
                for whole in (next(rest) if isinstance(part, Unresolved) else (part,))
            ),
        )
        if any(isinstance(part, Unresolved) for part in message.parts)
        else message
        for message in messages
    )


async def _all(resolving: Sequence[Awaitable[Parts]]) -> list[Parts]:
    """Return the results in order; the first failure cancels the rest."""

    # `create_task` takes only coroutines.
    async def one(it: Awaitable[Parts]) -> Parts:
        return await it

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(it)) for it in resolving]
    except ExceptionGroup as failed:
        # The API answers with one error; groups of them are unknown to it. Not with `except*`: Python
        # 3.11.2, which Debian has, puts what is raised in it into a group again.
        errors, bugs = failed.split(NanobotError)
        if errors is None or bugs is not None:
            raise
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
