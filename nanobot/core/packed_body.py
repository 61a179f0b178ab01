"""A compressed body that is unpacked as it is read, as few bytes of it can become very many."""

import zlib
from collections import deque

_ANY_FORMAT = 47
"""zlib's window bits for gzip and deflate alike."""


class PackedBody:
    """The pieces of a body in gzip or deflate that have come and are not unpacked yet."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(_ANY_FORMAT)
        self._pieces: deque[bytes] = deque()

    @property
    def is_empty(self) -> bool:
        return not self._pieces

    def add(self, piece: bytes) -> None:
        """Take the next piece; no effect behind the end of what is packed."""
        if not self._unpacker.eof:
            self._pieces.append(piece)

    def unpack(self, most: int) -> bytes:
        """Return what comes next, at most `most` bytes of it.

        Raises:
            zlib.error: it is broken.
        """
        unpacked: list[bytes] = []
        while self._pieces and most > 0:
            body = self._unpacker.decompress(self._pieces.popleft(), most)
            most -= len(body)
            if most == 0:
                # There may be more of it, even where no byte of the piece is left.
                self._pieces.appendleft(self._unpacker.unconsumed_tail)
            unpacked.append(body)
        if self._unpacker.eof:
            # What comes behind the end is kept by the library, for nobody.
            self._pieces.clear()
        return b"".join(unpacked)
