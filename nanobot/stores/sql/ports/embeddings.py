"""`core.vectors.Embeddings`: what has vectors, and what has none yet."""

from collections.abc import Sequence
from functools import partial

from nanobot.core.vectors import UnembeddedBatch
from nanobot.stores.sql import embedding
from nanobot.stores.sql.ports.shared import Shared


class SqlEmbeddings:
    """Vectors in an SQL database."""

    def __init__(self, shared: Shared) -> None:
        self._database = shared.database
        self._clock = shared.clock
        self._looked = embedding.Looked()

    async def begin_embedding(self, version: str) -> None:
        while await self._database.write_piece(partial(embedding.begin, version=version)):
            pass

    async def unembedded(self) -> UnembeddedBatch | None:
        return await self._database.scan(
            partial(embedding.next_batch, looked=self._looked, now=self._clock.now())
        )

    async def add_vectors(self, of: UnembeddedBatch, bodies: Sequence[bytes]) -> None:
        await self._database.write(partial(embedding.add, of=of, bodies=bodies))
