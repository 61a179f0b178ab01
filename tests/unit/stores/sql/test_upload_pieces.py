"""Uploads that are read and written for many at once."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

from nanobot.core.payer import PAYER
from nanobot.core.uploads import Upload
from nanobot.stores.sql.ports.shared import Shared
from nanobot.stores.sql.ports.uploads import SqlUploads
from tests.asgi import BOUND_S

_FILE = Upload("file_1", "s", "a.txt", "user_data", 1, 0, None)


class Blobs:
    """Contents that are read and written once `gate` is set; `most`: how many were at once."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.most = self._now = 0
        self._lock = threading.Lock()

    def read_piece(self, id_: str, start: int, most: int) -> bytes:
        self._wait()
        return b"x"

    def write(self, id_: str, content: bytes) -> None:
        self._wait()

    def _wait(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        assert self.gate.wait(BOUND_S)
        with self._lock:
            self._now -= 1


class Database:
    def __init__(self, *, is_shared: bool) -> None:
        self.is_shared = is_shared

    async def write(self, job: object) -> None:
        """Nothing is kept."""


def uploads(blobs: Blobs, *, is_shared: bool = True) -> SqlUploads:
    shared: Any = SimpleNamespace(database=Database(is_shared=is_shared), blobs=blobs, clock=None)
    return SqlUploads(cast(Shared, shared))


async def until(blobs: Blobs, most: int) -> None:
    async with asyncio.timeout(BOUND_S):
        while blobs.most < most:
            await asyncio.sleep(0)


async def test_of_a_payer_with_many_downloads_two_pieces_are_read_at_once_beside_those_of_another() -> None:
    blobs = Blobs()
    port = uploads(blobs)
    PAYER.set("many")
    many = [asyncio.create_task(port.upload_piece(_FILE, 0, 1)) for _ in range(20)]
    await until(blobs, 2)
    PAYER.set("other")
    other = asyncio.create_task(port.upload_piece(_FILE, 0, 1))
    await until(blobs, 3)
    blobs.gate.set()
    async with asyncio.timeout(BOUND_S):
        assert await other == b"x"
        assert await asyncio.gather(*many) == [b"x"] * 20
    assert blobs.most == 3


async def test_of_a_payer_with_many_uploads_two_are_written_at_once_while_others_ask() -> None:
    blobs = Blobs()
    port = uploads(blobs)
    PAYER.set("many")
    many = [asyncio.create_task(port.add_upload(_FILE, b"x", 100)) for _ in range(20)]
    await until(blobs, 2)
    blobs.gate.set()
    async with asyncio.timeout(BOUND_S):
        await asyncio.gather(*many)
    assert blobs.most == 2


async def test_uploads_of_one_who_asks_alone_are_written_side_by_side() -> None:
    blobs = Blobs()
    port = uploads(blobs, is_shared=False)
    many = [asyncio.create_task(port.add_upload(_FILE, b"x", 100)) for _ in range(4)]
    await until(blobs, 4)
    blobs.gate.set()
    async with asyncio.timeout(BOUND_S):
        await asyncio.gather(*many)
