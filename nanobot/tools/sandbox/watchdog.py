"""What all processes of a command use together, and their end. Standard library only, for Linux.

Limits that the kernel keeps are per process: the sums are watched from outside.
"""

import os
import select
import signal
import stat
import time
from collections.abc import Iterator
from typing import Any

_EVERY_S, _SELDOM_S = 0.2, 5.0
_PAGE = os.sysconf("SC_PAGE_SIZE")
_DEEPEST = 400
_PER_ENTRY = 4096
"""What a file or directory costs beside its content: else a disk is filled with empty ones."""
OF_THE_SANDBOX = 2
"""Processes of the tree that are not the command's: those of bubblewrap, or the launcher's killer."""
_FREE_BYTES = 200 << 20
"""What is left of the disk for everybody else."""


class TooDeep(Exception):
    """Directories are nested deeper than can be walked."""


def watch(command: int, control: int, order: dict[str, Any]) -> dict[str, Any]:
    """Return how the command ended, or why it has to: it has used too much, or nobody listens at `control`.

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
        if select.select([control], [], [], every_s)[0]:
            return {"ended": "stopped"}
        now = time.monotonic()
        if now > until:
            return {"ended": f"it took longer than {limits['wall_s']:g} s"}
        if _is_gone(order["workspace"]):
            return {"ended": "its workspace was deleted"}
        tree = processes_below(os.getpid())
        if len(tree) > limits["processes"] + OF_THE_SANDBOX:
            return {"ended": f"it had {len(tree)} processes: at most {limits['processes']} are allowed"}
        if (memory := _memory(tree, limits["memory_bytes"])) > limits["memory_bytes"]:
            return {
                "ended": f"it used {memory >> 20} MiB of memory: {limits['memory_bytes'] >> 20} are allowed"
            }
        if now >= disk_at:
            cpu_s = time.process_time()
            if why := _disk(order, tree):
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


def end_all() -> None:
    """Kill all that is below this process, until nothing is: stopped first, so that it starts nothing more
    meanwhile. As what is stopped still counts for the limit of processes, that comes to an end.
    """
    while tree := processes_below(os.getpid()):
        stopped: set[int] = set()
        while new := set(tree) - stopped:
            for pid in new:
                _signal(pid, signal.SIGSTOP)
            stopped |= new
            tree = processes_below(os.getpid())
        for pid in stopped:
            _signal(pid, signal.SIGKILL)
        reap(-1)
        time.sleep(0.001)


def kill_user(uid: int) -> None:
    """Kill all processes of a user, at once; the caller is root and not one of them."""
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        # Not itself. No fork gets through meanwhile: one that has begun sees the signal and gives up.
        _signal(-1, signal.SIGKILL)
        os._exit(0)
    os.waitpid(child, 0)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


# What there is ------------------------------------------------------------------------------------


def processes_below(root: int) -> list[int]:
    """Return all processes below `root`, which is not among them."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                    # The name of a program may have brackets and spaces in it.
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            children.setdefault(parent, []).append(int(name))
    tree: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        tree += below
        waiting += below
    return tree


def tasks_of(uid: int) -> int:
    """Return how many threads there are of a user, as far as they can be seen."""
    total = 0
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            fields = _fields(f"/proc/{name}/status", b"Uid:", b"Threads:")
            if len(fields) == 2 and fields[b"Uid:"] == uid:
                total += fields[b"Threads:"]
    return total


def _fields(path: str, *names: bytes) -> dict[bytes, int]:
    """Return the first number of each of these lines; of none where the process is gone."""
    found: dict[bytes, int] = {}
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            for line in file:
                name = line[: line.find(b":") + 1]
                if name in names:
                    found[name] = int(line[len(name) :].split()[0])
    except (OSError, IndexError, ValueError):
        return {}
    return found


def _memory(tree: list[int], most: int) -> int:
    """Return the memory of these processes that no file stands behind. What several share counts once, which
    is slow to find out and done only where it matters.
    """
    quick = 0
    for pid in tree:
        quick += sum(_fields(f"/proc/{pid}/status", b"RssAnon:", b"RssShmem:").values())
    if quick * 1024 <= most:
        return quick * 1024
    exact = 0
    for pid in tree:
        parts = _fields(f"/proc/{pid}/smaps_rollup", b"Pss_Anon:", b"Pss_Shmem:")
        # A process that does not let itself be looked at counts whole.
        exact += sum((parts or _fields(f"/proc/{pid}/status", b"RssAnon:", b"RssShmem:")).values())
    return exact * 1024


def _disk(order: dict[str, Any], tree: list[int]) -> str:
    """Return why the command has to end because of its files; empty: it has not."""
    most = order["limits"]["disk_bytes"]
    try:
        used = sum(_size(order[place]) for place in ("workspace", "tmp", "shm")) + _unlinked(tree)
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


def _unlinked(tree: list[int]) -> int:
    """Return the size of the files that have no name any more, and which these processes hold open."""
    sizes: dict[tuple[int, int], int] = {}
    for pid in tree:
        try:
            names = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            try:
                found = os.stat(f"/proc/{pid}/fd/{name}")  # noqa: PTH116
            except OSError:
                continue
            if found.st_nlink == 0 and stat.S_ISREG(found.st_mode):
                sizes[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(sizes.values())
