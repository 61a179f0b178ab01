"""The process that fuzzes one target: `python -m tests.fuzz.one NAME COUNTS -option=value… CORPUS`; the rest
is libFuzzer's.

COUNTS is a file of two whole numbers of 64 bits, kept up to date: inputs run, and those among them that were
long enough.
"""

import mmap
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["nanobot"]):
    from tests.fuzz.targets import target


def main() -> None:
    name, counts, *options = sys.argv[1:]
    found = target(name)
    with Path(counts).open("r+b") as file:
        counted = memoryview(mmap.mmap(file.fileno(), 16)).cast("Q")

    def run(content: bytes) -> None:
        counted[0] += 1
        if found.run(content) is not False:
            counted[1] += 1

    atheris.Setup([sys.argv[0], *options], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
