"""Stands in for the process that makes vectors: `python -m tests.vector_child DATABASE`.

It does as the texts say: `die` ends it, `fail` is an error, `hang` is never answered. Otherwise a vector is
made of the text's length, and what is near is the number 7.
"""

import os
import sys
import time
from pathlib import Path

from nanobot.core.vectors import Near
from nanobot.stores.vectors.messages import Embed, FoundNear, Made, Reply, Request
from nanobot.stores.vectors.serving import serve


class Obedient:
    def answer(self, request: Request) -> Reply:
        text = " ".join(request.texts) if isinstance(request, Embed) else request.text
        if text == "die":
            os._exit(3)
        if text == "fail":
            raise ValueError(text)
        if text == "hang":
            time.sleep(3_600)
        if isinstance(request, Embed):
            return Made(bytes([len(text)]))
        return FoundNear((Near(7, 0.5),))


if __name__ == "__main__":
    if Path(sys.argv[1]).name == "broken":
        sys.exit(1)
    serve(sys.stdin.buffer, sys.stdout.buffer, Obedient())
