"""What all prompts begin with, read by the engine once and kept on the disk: a start reads it from there.

A file holds the state after the shared prefix alone, never a word of a session: its own list of tokens is
compared with the prefix before it is kept, and again before it is used.
"""

import asyncio
import contextlib
import hashlib
import os
import struct
from pathlib import Path

import msgspec

from nanobot.core.errors import ModelError
from nanobot.models.local.engine_api import EngineApi

_KEPT_FILES = 4
_LONGEST_TOKENS = 65_536
_MAGIC = 0x67677371


class _Kept(msgspec.Struct, frozen=True):
    """The note beside a file: of which tokens the state is, and the file's hash."""

    tokens: tuple[int, ...]
    sha256: str


class SavedPrefix:
    """The state after `tokens`, kept in `folder` under a name made of `parts`: whatever it depends on.

    `folder` is the one that the engine keeps the state of slots in.
    """

    def __init__(self, folder: Path, tokens: tuple[int, ...], parts: tuple[str, ...]) -> None:
        digest = hashlib.sha256(msgspec.json.encode((parts, tokens))).hexdigest()
        self._folder = folder
        self._tokens = tokens
        self._was_whole = False
        self._file = f"prefix-{digest[:32]}.slot"

    async def load(self, engine: EngineApi, slot: int) -> bool:
        """Put the state into a slot; return whether it was there and is right.

        Raises:
            ModelError: the engine failed.
        """
        if not await asyncio.to_thread(self._is_whole):
            return False
        return await engine.restore(slot, self._file) == len(self._tokens)

    async def make(self, engine: EngineApi, slot: int) -> None:
        """Have the engine read the prefix into a slot, and keep its state where that can be done.

        Raises:
            ModelError: the engine failed.
        """
        await engine.read(self._tokens, slot)
        with contextlib.suppress(OSError, ModelError):
            await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
            await engine.save(slot, self._file)
            await asyncio.to_thread(self._keep)

    def _is_whole(self) -> bool:
        """Return whether the file is there, as it was kept."""
        if self._was_whole:
            return True
        path = self._folder / self._file
        try:
            note = msgspec.json.decode(_note_of(path).read_bytes(), type=_Kept)
            whole = note == _Kept(self._tokens, _sha256(path))
        except (OSError, msgspec.MsgspecError):
            return False
        # For the files that are kept: the ones used last.
        with contextlib.suppress(OSError):
            os.utime(path)
        self._was_whole = whole
        return whole

    def _keep(self) -> None:
        """Note that the file is whole, and drop the oldest others; drop it where it is not of the prefix
        alone, as another request has come in between.
        """
        path = self._folder / self._file
        if tokens_in(path) != self._tokens:
            _drop(path)
            return
        part = _note_of(path).with_suffix(".part")
        part.write_bytes(msgspec.json.encode(_Kept(self._tokens, _sha256(path))))
        part.replace(_note_of(path))
        kept = sorted(self._folder.glob("prefix-*.slot"), key=lambda each: each.stat().st_mtime)
        for old in kept[:-_KEPT_FILES]:
            _drop(old)


def tokens_in(path: Path) -> tuple[int, ...] | None:
    """Return the tokens that a slot's file is of; None where it is no such file.

    The engine writes a magic number, a version, then the tokens as a list of its own with a head of two
    numbers and its length.
    """
    with path.open("rb") as file:
        head = file.read(24)
        if len(head) < 24:
            return None
        magic, _, length, _, _, count = struct.unpack("<6I", head)
        # No other tokens may stand behind them: the list's own head and end are four numbers.
        if magic != _MAGIC or count > _LONGEST_TOKENS or length != count + 4:
            return None
        body = file.read(4 * count)
    return struct.unpack(f"<{count}i", body) if len(body) == 4 * count else None


def _note_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _drop(path: Path) -> None:
    _note_of(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
