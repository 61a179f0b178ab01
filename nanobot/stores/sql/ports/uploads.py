"""`core.uploads.Uploads`: rows in the database, contents beside it."""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial

from nanobot.core.errors import NanobotError
from nanobot.core.payer import PAYER
from nanobot.core.uploads import SortOrder, Upload, UploadPage
from nanobot.stores.sql import uploads
from nanobot.stores.sql.ports.shared import Shared
from nanobot.workers.slots import FairSlots

_AT_ONCE = 6
_MOST_EACH = 2


class SqlUploads:
    """Uploads with their rows in an SQL database."""

    def __init__(self, shared: Shared) -> None:
        self._database = shared.database
        self._blobs = shared.blobs
        self._clock = shared.clock
        self._slots = FairSlots(_AT_ONCE, most_each=_MOST_EACH)
        self._pieces = FairSlots(_AT_ONCE, most_each=_MOST_EACH)

    async def add_upload(self, upload: Upload, content: bytes, quota_bytes: int) -> None:
        async with self._turn():
            await asyncio.to_thread(self._blobs.write, upload.id, content)
        try:
            await self._database.write(lambda db: uploads.add(db, upload, quota_bytes, self._clock.now()))
        except NanobotError:
            await asyncio.to_thread(self._blobs.delete, (upload.id,))
            raise

    def _turn(self) -> AbstractAsyncContextManager[None]:
        """While several payers ask, the files of one are written a few at a time: each needs the interpreter
        again and again, as turns do.
        """
        return self._slots.slot(PAYER.get()) if self._database.is_shared else nullcontext()

    async def upload(self, file_id: str, session_key: str) -> Upload:
        return await self._database.read(lambda db: uploads.find(db, file_id, session_key, self._clock.now()))

    async def open_upload(self, file_id: str, session_key: str) -> tuple[Upload, bytes]:
        upload = await self.upload(file_id, session_key)
        return upload, await asyncio.to_thread(self._blobs.read, file_id)

    async def upload_piece(self, upload: Upload, start: int, most: int) -> bytes:
        # What is read is sent at once: hundreds of pieces that come together would hold up the event loop.
        async with self._pieces.slot(PAYER.get()):
            return await asyncio.to_thread(self._blobs.read_piece, upload.id, start, most)

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
            uploads.page, session_key=session_key, limit=limit, after=after, order=order, purpose=purpose
        )
        return await self._database.read(lambda db: asked(db, now=self._clock.now()))

    async def delete_upload(self, file_id: str, session_key: str) -> None:
        await self._database.write(lambda db: uploads.delete(db, file_id, session_key, self._clock.now()))
        await asyncio.to_thread(self._blobs.delete, (file_id,))

    async def delete_expired_uploads(self) -> int:
        gone = await self._database.write(lambda db: uploads.delete_expired(db, self._clock.now()))
        await asyncio.to_thread(self._blobs.delete, gone)
        return len(gone)
