"""Vectors of what was said and noted down, made in the background."""

import contextlib
import logging

from nanobot.core.clock import Clock
from nanobot.core.errors import NanobotError, VectorsBrokenOff
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.core.vectors import Embeddings, Unembedded, Vectors

PAUSE_S = 3.0
_AFTER_FAILURE_S = 60.0
_TRIES = 2
_log = logging.getLogger(__name__)


class Embedder:
    """Has vectors made, one message after another, and keeps them. No turn waits for it; what has none yet is
    known from the disk.
    """

    def __init__(
        self, store: Embeddings, vectors: Vectors, clock: Clock, observer: Observer = NULL_OBSERVER
    ) -> None:
        self._store = store
        self._vectors = vectors
        self._clock = clock
        self._observer = observer
        self._has_begun = False

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            try:
                pause_s = 0.0 if await self.embed_some() else PAUSE_S
            except NanobotError as error:
                _log.warning(
                    "what was said gets no vectors, next try in %g s: %s", _AFTER_FAILURE_S, error.message
                )
                pause_s = _AFTER_FAILURE_S
            except Exception:  # noqa: BLE001 - a bug here stops no turns
                _log.exception("what was said gets no vectors, next try in %g s", _AFTER_FAILURE_S)
                pause_s = _AFTER_FAILURE_S
            await self._clock.sleep(pause_s)

    async def embed_some(self) -> bool:
        """Make vectors of some of what has none; return whether there may be more.

        Raises:
            StoreError
        """
        if not self._has_begun:
            await self._store.begin_embedding(self._vectors.version)
            self._has_begun = True
        batch = await self._store.unembedded()
        if batch is None:
            return False
        bodies = [await self._embedded(item) for item in batch.items]
        await self._store.add_vectors(batch, bodies)
        self._observer.vectors_made(sum(map(bool, bodies)))
        return True

    async def _embedded(self, item: Unembedded) -> bytes:
        """Return the vectors of an item; none where that fails a second time: it would again."""
        for _ in range(_TRIES):
            with contextlib.suppress(VectorsBrokenOff):
                return await self._vectors.embed(item.pieces)
        return b""
