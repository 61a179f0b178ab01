"""The processes of a command as Linux shows them, in /proc. Standard library only."""

import contextlib
import os
import signal
import stat


class ProcTree:
    """All processes below this one, see `watchdog.Processes`."""

    def below(self) -> list[int]:
        return processes_below(os.getpid())

    def memory(self, tree: list[int], most: int) -> int:
        return _memory(tree, most)

    def unlinked(self, tree: list[int]) -> int:
        return _unlinked(tree)


def kill_user(uid: int) -> None:
    """Kill all processes of a user, at once; the caller is root and not one of them."""
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        # Not itself. No fork gets through meanwhile: one that has begun sees the signal and gives up.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(-1, signal.SIGKILL)
        os._exit(0)
    os.waitpid(child, 0)


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
