"""The process that does one task: `python -m nanobot.workers.child`, or a fork of the fork server.

It limits itself before it looks at what a stranger sent: whatever that does to a library, it does to this
process only, and not for long. A task may fail with any exception; the process then ends without output.
"""

import importlib
import os
import sys

from nanobot.workers.confinement import confine
from nanobot.workers.message import NO_MEMORY, unframed


def work(frame: bytes) -> bytes:
    """Return the result of the task in `frame`."""
    order, head, content = unframed(frame)
    run = importlib.import_module(order.module).run
    confine(order.limits)
    result: bytes = run(head, content)
    return result


def main() -> None:
    # What libraries print must not get into the result.
    result = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        with result:
            result.write(work(sys.stdin.buffer.read()))
    except MemoryError:
        sys.exit(NO_MEMORY)


if __name__ == "__main__":
    main()
