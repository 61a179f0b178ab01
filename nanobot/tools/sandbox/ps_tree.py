"""The processes of a command as `ps` shows them, for macOS, which has no /proc. Standard library only.

What has lost its parent there becomes a child of the first process of the system. So whatever was seen once
stays in the tree, and with it what it starts and its process group.
"""

import os
import subprocess
from typing import NamedTuple

_PS = "/bin/ps"
_COLUMNS = "pid=,ppid=,pgid=,uid=,rss=,stat=,lstart="


class _PsLine(NamedTuple):
    parent: int
    group: int
    uid: int
    memory_kib: int
    has_ended: bool
    started: str


class PsTree:
    """All processes that descend from this one, as far as they were seen; see `watchdog.Processes`."""

    def __init__(self) -> None:
        self._seen: dict[int, str] = {}
        self._now: dict[int, _PsLine] = {}
        self._groups: set[int] = set()

    def follow(self, group: int) -> None:
        """Count what is in that process group to the tree, whether its parent was seen or not."""
        self._groups.add(group)

    def below(self) -> list[int]:
        self._now = {pid: line for pid, line in _table().items() if not line.has_ended}
        own = self._now.get(os.getpid())
        # Another process may have the number of one that has ended.
        tree = {pid for pid, line in self._now.items() if self._seen.get(pid) == line.started}
        size = -1
        while len(tree) != size:
            size = len(tree)
            groups = self._groups | ({self._now[pid].group for pid in tree} - {own.group if own else 0})
            tree |= {
                pid
                for pid, line in self._now.items()
                if line.parent == os.getpid() or line.parent in tree or line.group in groups
            }
        self._seen = {pid: self._now[pid].started for pid in tree}
        return sorted(tree)

    def memory(self, tree: list[int], most: int) -> int:
        # What several share counts for each: there is no number that tells it apart.
        return 1024 * sum(self._now[pid].memory_kib for pid in tree if pid in self._now)

    def unlinked(self, tree: list[int]) -> int:
        # Nothing here tells; the limit of a file's size and the free space of the disk still hold.
        return 0


def processes_of(uid: int) -> int:
    """Return how many processes a user has, those included that have ended and that nobody has waited for."""
    return sum(line.uid == uid for line in _table().values())


def runs(pid: int) -> bool:
    """Return whether a process is there, and has not ended."""
    line = _table().get(pid)
    return line is not None and not line.has_ended


def _table() -> dict[int, _PsLine]:
    """Return all processes but the one that lists them.

    Raises:
        OSError: they cannot be listed.
    """
    with subprocess.Popen(  # noqa: S603 - always the same
        [_PS, "-axo", _COLUMNS],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"LC_ALL": "C", "TZ": "UTC"},
    ) as ps:
        output = ps.communicate()[0].decode(errors="replace")
    found: dict[int, _PsLine] = {}
    for text in output.splitlines():
        words = text.split(maxsplit=6)
        if len(words) == 7:
            pid, parent, group, uid, memory_kib = map(int, words[:5])
            found[pid] = _PsLine(parent, group, uid, memory_kib, words[5].startswith("Z"), words[6])
    found.pop(ps.pid, None)
    if os.getpid() not in found:
        raise OSError(f"{_PS} does not show what runs")
    return found
