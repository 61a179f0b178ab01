"""Uploads in SQLite, rows and content together."""

import asyncio
from functools import partial
from pathlib import Path

from nanobot.core.clock import Clock
from nanobot.core.errors import NanobotError
from nanobot.core.uploads import SortOrder, Upload, UploadPage
from nanobot.stores.blobs import BlobFolder
from nanobot.stores.sql import uploads as files
from nanobot.stores.sqlite.reader import Reader
from nanobot.stores.sqlite.writer import Writer


class SqliteUploads:
    """The part of `core.store.Store` that is about uploads."""

    _writer: Writer
    _reader: Reader
    _clock: Clock

    def __init__(self, directory: Path) -> None:
        self._blobs = BlobFolder(directory)

    async def add_upload(self, upload: Upload, content: bytes, quota_bytes: int) -> None:
        await asyncio.to_thread(self._blobs.write, upload.id, content)
        try:
            await self._writer.do(lambda db: files.add(db, upload, quota_bytes, self._clock.now()))
        except NanobotError:
            await asyncio.to_thread(self._blobs.delete, (upload.id,))
            raise

    async def upload(self, file_id: str, session_key: str) -> Upload:
        return await self._reader.ask(lambda db: files.find(db, file_id, session_key, self._clock.now()))

    async def open_upload(self, file_id: str, session_key: str) -> tuple[Upload, bytes]:
        found = await self.upload(file_id, session_key)
        return found, await asyncio.to_thread(self._blobs.read, file_id)

    async def uploads(
        self,
        session_key: str,
        *,
        limit: int,
        after: str | None = None,
        order: SortOrder = "desc",
        purpose: str | None = None,
    ) -> UploadPage:
        asked = partial(
            files.page, session_key=session_key, limit=limit, after=after, order=order, purpose=purpose
        )
        return await self._reader.ask(lambda db: asked(db, now=self._clock.now()))

    async def delete_upload(self, file_id: str, session_key: str) -> None:
        await self._writer.do(lambda db: files.delete(db, file_id, session_key, self._clock.now()))
        await asyncio.to_thread(self._blobs.delete, (file_id,))

    async def delete_expired_uploads(self) -> int:
        gone = await self._writer.do(lambda db: files.delete_expired(db, self._clock.now()))
        await asyncio.to_thread(self._blobs.delete, gone)
        return len(gone)
