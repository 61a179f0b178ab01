"""The pictures of a file that are kept for a model that sees them."""

import hashlib
import zipfile
import zlib
from collections.abc import Callable

from nanobot.reading.kinds import image_type
from nanobot.reading.messages import Picture, Unreadable

_DAMAGES = (
    *(Unreadable, zipfile.BadZipFile, zlib.error),
    *(EOFError, LookupError, OSError, RuntimeError, ValueError),
)
"""How reading a damaged picture fails; the text is good without it."""


class Pictures:
    """Keeps at most `most` pictures, of `most_bytes` in all, each once."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._free_bytes = most_bytes
        self._kept: list[Picture] = []
        self._numbers: dict[bytes, int] = {}

    @property
    def kept(self) -> tuple[Picture, ...]:
        return tuple(self._kept)

    def keep(self, content: bytes | Callable[[], bytes]) -> int | None:
        """Return the number of the picture, counted from 1; None where it is not kept: the model sees none,
        it is of a format that models do not take, cannot be read, or exceeds the bounds.
        """
        if len(self._kept) >= self._most:
            return None
        try:
            picture = content if isinstance(content, bytes) else content()
        except _DAMAGES:
            return None
        key = hashlib.blake2b(picture, digest_size=16).digest()
        if key in self._numbers:
            return self._numbers[key]
        media_type = image_type(picture[:16])
        if media_type is None or len(picture) > self._free_bytes:
            return None
        self._free_bytes -= len(picture)
        self._kept.append(Picture(picture, media_type))
        self._numbers[key] = len(self._kept)
        return len(self._kept)
