"""What starts the processes of tasks."""

import os
import signal
from typing import Protocol

from nanobot.workers.message import NO_MEMORY
from nanobot.workers.task import Ending, Outcome, Task

_LIMIT_SIGNALS = frozenset(
    int(getattr(signal, name)) for name in ("SIGXCPU", "SIGKILL", "SIGABRT") if hasattr(signal, name)
)
"""What ends a process that computes for too long, or for which there is no memory. (Libraries in Rust and C++
abort where they get none.)
"""
_ENVIRONMENT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
    "LD_LIBRARY_PATH",
    "LANG",
    "LC_ALL",
)
"""The variables that the process gets. API keys and other secrets of the server are not among them."""
PYTHON_OPTIONS = ("-B", "-P")
"""The process cannot write files, so no bytecode; nothing is imported from the working directory."""


class Launcher(Protocol):
    """Runs each task in a process of its own."""

    async def run(self, task: Task, timeout_s: float) -> Outcome:
        """Return how the task ended, after at most `timeout_s` seconds; the process is gone then, and also
        when this is cancelled.
        """
        ...

    async def close(self) -> None:
        """End all processes."""
        ...


def environment() -> dict[str, str]:
    """Return the environment of processes that touch what strangers send."""
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}


def outcome(output: bytes, status: int, most: int) -> Outcome:
    """Return the outcome of a process that wrote `output` and ended with `status`; negative: by a signal."""
    ending: Ending = "failed"
    if len(output) > most:
        return Outcome(ending)
    if status == 0 and output:
        return Outcome("done", output)
    if status == NO_MEMORY or -status in _LIMIT_SIGNALS:
        ending = "limit"
    return Outcome(ending)
