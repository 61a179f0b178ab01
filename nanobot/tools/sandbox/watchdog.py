"""What all processes of a command use together, and their end. Standard library only.

Limits that the kernel keeps are per process: the sums are watched from outside.
"""

import os
import select
import signal
import stat
import time
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

_EVERY_S, _SELDOM_S = 0.2, 5.0
_DEEPEST = 400
_PER_ENTRY = 4096
"""What a file or directory costs beside its content: else a disk is filled with empty ones."""
OF_THE_SANDBOX = 2
"""Processes of the tree that are not the command's: those of bubblewrap, or the launcher's killer."""
TOO_MANY = 16
"""So many processes more than are allowed may there be until they are counted."""
_FREE_BYTES = 200 << 20
"""What is left of the disk for everybody else."""


class TooDeep(Exception):
    """Directories are nested deeper than can be walked."""


class Processes(Protocol):
    """What a command has started, as this system shows it."""

    def below(self) -> list[int]:
        """Return all that there are now; the caller is not among them."""
        ...

    def memory(self, tree: list[int], most: int) -> int:
        """Return the bytes of memory of these processes; exactly, where they may be more than `most`."""
        ...

    def unlinked(self, tree: list[int]) -> int:
        """Return the bytes of the files that have no name any more, and which these processes hold open."""
        ...


def watch(
    command: int, order: dict[str, Any], processes: Processes, endings: Mapping[int, str]
) -> dict[str, Any]:
    """Return how the command ended, or why it has to: it has used too much, or one of the descriptors that
    `endings` gives a reason for can be read.

    Then much of its tree may still be there.
    """
    limits = order["limits"]
    until = time.monotonic() + limits["wall_s"]
    disk_at = 0.0
    every_s = 0.02
    while True:
        if (status := reap(command)) is not None:
            return {"exit": status}
        # Most commands are short.
        every_s = min(_EVERY_S, 1.5 * every_s)
        for descriptor in select.select(list(endings), [], [], every_s)[0]:
            return {"ended": endings[descriptor]}
        now = time.monotonic()
        if now > until:
            return {"ended": f"it took longer than {limits['wall_s']:g} s"}
        if _is_gone(order["workspace"]):
            return {"ended": "its workspace was deleted"}
        tree = processes.below()
        if len(tree) > limits["processes"] + OF_THE_SANDBOX:
            return {"ended": f"it had {len(tree)} processes: at most {limits['processes']} are allowed"}
        if (memory := processes.memory(tree, limits["memory_bytes"])) > limits["memory_bytes"]:
            return {
                "ended": f"it used {memory >> 20} MiB of memory: {limits['memory_bytes'] >> 20} are allowed"
            }
        if now >= disk_at:
            cpu_s = time.process_time()
            if why := _disk(order, processes.unlinked(tree)):
                return {"ended": why}
            # Many files must not cost much more than a tenth of a core.
            cost_s = time.process_time() - cpu_s
            disk_at = time.monotonic() + min(_SELDOM_S, max(_EVERY_S, 10 * cost_s))


def _is_gone(directory: str) -> bool:
    try:
        # One that is mounted here keeps its name.
        return os.stat(directory).st_nlink == 0  # noqa: PTH116
    except FileNotFoundError:
        return True


def reap(command: int) -> int | None:
    """Take in what has ended; return the status of the command if that is among it."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == command:
            found = os.waitstatus_to_exitcode(status)


def end_all(processes: Processes) -> None:
    """Kill all that a command has started, until nothing is there: stopped first, so that it starts nothing
    more meanwhile. As what is stopped still counts for the limit of processes, that comes to an end.
    """
    while tree := processes.below():
        stopped: set[int] = set()
        while new := set(tree) - stopped:
            for pid in new:
                _signal(pid, signal.SIGSTOP)
            stopped |= new
            tree = processes.below()
        for pid in stopped:
            _signal(pid, signal.SIGKILL)
        reap(-1)
        time.sleep(0.001)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _disk(order: dict[str, Any], unlinked: int) -> str:
    """Return why the command has to end because of its files; empty: it has not."""
    most = order["limits"]["disk_bytes"]
    try:
        used = sum(_size(order[place]) for place in ("workspace", "tmp", "shm")) + unlinked
    except TooDeep:
        return f"its directories are nested deeper than {_DEEPEST}"
    if used > most:
        return f"its files took {used >> 20} MiB: {most >> 20} are allowed"
    space = os.statvfs(order["workspace"])
    if space.f_bavail * space.f_frsize < _FREE_BYTES:
        return f"the disk has less than {_FREE_BYTES >> 20} MiB left"
    return ""


def _size(directory: str) -> int:
    total = 0
    for found, _, _ in walk(directory):
        total += found.st_blocks * 512 + _PER_ENTRY
    return total


def walk(directory: str) -> Iterator[tuple[os.stat_result, str, int]]:
    """Yield what is below a directory, without following links: what it is, its name, and a descriptor of the
    directory that it is in.

    Raises:
        TooDeep
    """
    # Not by recursion: who nests directories deeply must not end the watch.
    stack: list[tuple[int, list[str]]] = []
    try:
        _descend(stack, directory, None)
        while stack:
            descriptor, names = stack[-1]
            if not names:
                os.close(descriptor)
                stack.pop()
                continue
            name = names.pop()
            try:
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except OSError:
                continue
            yield found, name, descriptor
            if stat.S_ISDIR(found.st_mode):
                _descend(stack, name, descriptor)
    finally:
        for descriptor, _ in stack:
            os.close(descriptor)


def _descend(stack: list[tuple[int, list[str]]], name: str, parent: "int | None") -> None:
    if len(stack) >= _DEEPEST:
        raise TooDeep
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except OSError:
        return
    try:
        stack.append((descriptor, os.listdir(descriptor)))  # noqa: PTH208
    except OSError:
        os.close(descriptor)
