"""Copies of uploads are whole, whoever else is at the same folder."""

import asyncio
from pathlib import Path

from nanobot.core.errors import UploadNotFound
from nanobot.core.uploads import Upload, UploadPage
from nanobot.tools.shell.uploads import UploadCopies
from tests.asgi import BOUND_S

KEY = "wx:dm:alice"
CONTENT = b"x" * 200_000


class HeldUploads:
    """Three uploads, none of which is opened before `gate` is set."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked = 0
        self._uploads = tuple(
            Upload(f"file-{number}", KEY, f"{number}.bin", "user_data", len(CONTENT), 1_000.0 + number)
            for number in range(3)
        )

    async def uploads(self, session_key: str, *, limit: int) -> UploadPage:
        return UploadPage(self._uploads, has_more=False)

    async def open_upload(self, upload_id: str, session_key: str) -> tuple[Upload, bytes]:
        self.asked += 1
        await self.gate.wait()
        for upload in self._uploads:
            if upload.id == upload_id:
                return upload, CONTENT
        raise UploadNotFound(upload_id)


async def test_a_folder_that_is_filled_twice_at_once_has_whole_files_and_nothing_else(tmp_path: Path) -> None:
    uploads = HeldUploads()
    filling = [asyncio.ensure_future(UploadCopies(uploads, KEY)(tmp_path)) for _ in range(4)]
    async with asyncio.timeout(BOUND_S):
        while uploads.asked < len(filling):
            await asyncio.sleep(0)
    uploads.gate.set()
    assert await asyncio.gather(*filling) == [True] * len(filling)
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert found == {f"{number}.bin": CONTENT for number in range(3)}
