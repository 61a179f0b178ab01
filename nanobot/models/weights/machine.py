"""What this machine has for a local model: free memory and cores, as far as a container leaves them."""

import ctypes
import os
from pathlib import Path

import msgspec

_ROOT = Path("/")
_CGROUPS = Path("sys/fs/cgroup")
_UNLIMITED = 1 << 60


class Machine(msgspec.Struct, frozen=True):
    """`free_bytes` of memory that could be used now; `cores` that may be used, in part where a quota says
    so.
    """

    free_bytes: int
    cores: float


def this_machine(root: Path = _ROOT) -> Machine:
    """Return what this process may use. `root`: where `/proc` and `/sys` are."""
    return Machine(_free_bytes(root), available_cores(root))


def whole_cores(root: Path = _ROOT) -> int:
    """Return how many threads can run at once, at least 1."""
    return max(1, int(available_cores(root)))


def available_cores(root: Path = _ROOT) -> float:
    """Return the cores that this process may run on, cut by the quota of its control groups."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2)
    for folder in _groups(root, "cpu"):
        quota, period = _words(folder / "cpu.max", 2) or (
            _word(folder / "cpu.cfs_quota_us"),
            _word(folder / "cpu.cfs_period_us"),
        )
        if quota.isdigit() and period.isdigit() and int(period):
            cores = min(cores, int(quota) / int(period))
    return cores


def _free_bytes(root: Path) -> int:
    free = _available_memory(root)
    for folder in _groups(root, "memory"):
        limit = _word(folder / "memory.max") or _word(folder / "memory.limit_in_bytes")
        used = _word(folder / "memory.current") or _word(folder / "memory.usage_in_bytes")
        if limit.isdigit() and used.isdigit() and int(limit) < _UNLIMITED:
            # What files in the cache take is given back when it is needed.
            free = min(free, int(limit) - int(used) + _cached_files(folder))
    return max(0, free)


def _available_memory(root: Path) -> int:
    for line in _text(root / "proc" / "meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    if os.name == "nt":
        return _windows_memory()
    try:
        # The system does not tell how much is free; programs leave about half.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (ValueError, OSError, AttributeError):
        return 0


class _MemoryStatus(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_ulong),
        ("load", ctypes.c_ulong),
        ("total", ctypes.c_ulonglong),
        ("available", ctypes.c_ulonglong),
        ("rest", ctypes.c_ulonglong * 5),
    )


def _windows_memory() -> int:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    # Only there on Windows.
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined,unused-ignore]
    return int(status.available)


def _groups(root: Path, controller: str) -> list[Path]:
    """Return the folders of the control groups that this process is in: its own, and those above it."""
    folders: list[Path] = []
    for line in _text(root / "proc" / "self" / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        top = root / _CGROUPS / controller if controllers else root / _CGROUPS
        folder = top / path.lstrip("/")
        # Inside a container, the path may be the host's.
        folders += [each for each in (folder, *folder.parents) if each == top or top in each.parents]
    return folders


def _cached_files(folder: Path) -> int:
    for line in _text(folder / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and value.isdigit():
            return int(value)
    return 0


def _words(path: Path, count: int) -> list[str] | None:
    words = _text(path).split()
    return words if len(words) == count else None


def _word(path: Path) -> str:
    return _text(path).strip()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
