"""What a deletion says that it has taken away."""

import asyncio
from collections.abc import Iterable

from nanobot.core.message import user
from nanobot.core.sessions import ImportedMessage
from nanobot.stores.sql import hidden, purging
from nanobot.stores.sqlite import index
from nanobot.stores.sqlite.memory import MemoryBlobs
from nanobot.testing import FakeClock, MemoryData, open_memory_store


class SlowBlobs(MemoryBlobs):
    """Deletes files so slowly that the writer's spare work comes to the rows of the session meanwhile."""

    def __init__(self, data: MemoryData) -> None:
        super().__init__()
        self._data = data
        self._loop = asyncio.get_running_loop()

    def delete(self, file_ids: Iterable[str]) -> None:
        asyncio.run_coroutine_threadsafe(self._spare_work(), self._loop).result(10)

    async def _spare_work(self) -> None:
        db = self._data.db
        while (doomed := hidden.next_to_purge(db)) is not None:
            with db.transaction():
                purging.purge_some(db, index, doomed)


async def test_the_receipt_does_not_depend_on_how_long_the_files_take() -> None:
    data = MemoryData()
    data.blobs = SlowBlobs(data)
    store = await open_memory_store(data, FakeClock())
    await store.import_session(
        "k", [ImportedMessage(user(text), 1.0) for text in ("one", "two")], title=None, metadata={}
    )
    assert (await store.delete_session("k")).messages == 2
    await store.close()
    data.close()
