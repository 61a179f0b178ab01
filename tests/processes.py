"""The processes of this machine, to see which of a test's own are left."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_RUN = os.getpid()


def nap(seconds: int) -> str:
    """Return a command that sleeps, and that no other run of the tests on this machine has."""
    return f"sleep {seconds}.{_RUN}"


def is_there(words: str) -> bool:
    """Return whether these words follow each other in the command line of a process but this one.

    Whole words: a bare number is also part of a port, of a file's name, of another process's options.
    """
    wanted = re.compile(rf"(?<![\w.-]){re.escape(words)}(?![\w.:-])")
    return any(wanted.search(line) for line in _command_lines())


def _command_lines() -> Iterator[str]:
    if sys.platform == "darwin":
        listed = subprocess.run(["/bin/ps", "-axo", "pid=,args="], capture_output=True, text=True, check=True)
        yield from (line for line in listed.stdout.splitlines() if line.split()[0] != str(os.getpid()))
        return
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if path.parent.name != str(os.getpid()):
            with contextlib.suppress(OSError):
                yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
