"""The process that confines one command and watches it: `python -I -S launcher.py FD`.

From the descriptor FD it reads one line of JSON, the order. When FD is closed, for instance because the server
was killed, it ends the command with all that it started. Its last line on FD says how the command ended:
`{"exit": STATUS}` or `{"ended": WHY}`. Standard library only.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any

# Isolated Python looks for modules in the standard library only.
sys.path.insert(0, os.path.abspath(os.path.join(__file__, "..", "..", "..", "..")))  # noqa: PTH100, PTH118

from nanobot.tools.sandbox import filter as system_calls
from nanobot.tools.sandbox import landlock

_EVERY_S = 0.2
_SUBREAPER, _DEATH_SIGNAL = 36, 1
_PAGE = os.sysconf("SC_PAGE_SIZE")
_READABLE = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/passwd"),
    *(
        "/etc/group",
        "/etc/nsswitch.conf",
        "/etc/localtime",
        "/etc/ssl/certs",
        "/etc/ssl/openssl.cnf",
        "/etc/mime.types",
    ),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/version", "/sys/devices/system/cpu/online"),
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def main() -> None:
    control = int(sys.argv[1])
    order = json.loads(_line(control))
    libc = ctypes.CDLL(None, use_errno=True)
    # What a command leaves behind becomes a child of this process, whatever session it made.
    libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    command = os.fork()
    if command == 0:
        try:
            _become(order, control, libc)
        except BaseException as error:  # noqa: BLE001 - it must never go on unconfined
            os.write(2, f"the sandbox does not start: {error}\n".encode())
        os._exit(126)
    for descriptor in (0, 1, 2):
        os.close(descriptor)
    end = _watch(command, control, order)
    _end_all()
    # The server is gone; nobody asks any more.
    with contextlib.suppress(OSError):
        os.write(control, json.dumps(end).encode() + b"\n")


def _line(descriptor: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(descriptor, 65536)
        if not chunk:
            sys.exit(1)
        line += chunk
    return line


# The command --------------------------------------------------------------------------------------


def _become(order: dict[str, Any], control: int, libc: ctypes.CDLL) -> None:
    os.setsid()
    os.close(control)
    os.closerange(3, 65536)
    os.chdir(order["workspace"])
    os.umask(0o077)
    limits = order["limits"]
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 1024),
        (resource.RLIMIT_FSIZE, limits["disk_bytes"]),
        (resource.RLIMIT_DATA, limits["memory_bytes"]),
        (resource.RLIMIT_MEMLOCK, 65536),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
    if os.getuid() == 0:
        uid = order["uid"]
        if not uid:
            raise PermissionError("no command runs as root")
        # Of processes of this user there are only those of the session.
        resource.setrlimit(resource.RLIMIT_NPROC, (limits["processes"], limits["processes"]))
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    landlock.confine((*_READABLE, *order["readable"]), (order["workspace"], order["tmp"]), _DEVICES)
    system_calls.install()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execve(order["command"][0], order["command"], order["environment"])  # noqa: S606 - confined by now


# The watchdog -------------------------------------------------------------------------------------


def _watch(command: int, control: int, order: dict[str, Any]) -> dict[str, Any]:
    limits = order["limits"]
    until = time.monotonic() + limits["wall_s"]
    disk_at = 0.0
    while True:
        if (status := _reap(command)) is not None:
            return {"exit": status}
        if select.select([control], [], [], _EVERY_S)[0]:
            return {"ended": "stopped"}
        if time.monotonic() > until:
            return {"ended": f"it took longer than {limits['wall_s']:g} s"}
        tree = _tree()
        if len(tree) > limits["processes"]:
            return {"ended": f"it had {len(tree)} processes: at most {limits['processes']} are allowed"}
        memory = sum(_memory(pid) for pid in tree)
        if memory > limits["memory_bytes"]:
            return {
                "ended": f"it used {memory >> 20} MiB: at most {limits['memory_bytes'] >> 20} are allowed"
            }
        if time.monotonic() >= disk_at:
            started = time.monotonic()
            disk = _disk(order["workspace"]) + _disk(order["tmp"])
            if disk > limits["disk_bytes"]:
                return {"ended": f"its files took {disk >> 20} MiB: {limits['disk_bytes'] >> 20} are allowed"}
            # Many files must not cost more than a tenth of a core.
            disk_at = time.monotonic() + max(_EVERY_S, 10 * (time.monotonic() - started))


def _reap(command: int) -> int | None:
    """Take in what has ended; return the status of the command if that is among it."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == 0:
            return None
        if pid == command:
            return os.waitstatus_to_exitcode(status)


def _tree() -> list[int]:
    """Return all processes below this one."""
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
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        tree += below
        waiting += below
    return tree


def _memory(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123
            fields = file.read().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * _PAGE if len(fields) > 2 else 0


def _disk(directory: str) -> int:
    total = 0
    for _, names, files, descriptor in os.fwalk(directory, follow_symlinks=False):
        for name in (*names, *files):
            try:
                total += os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_blocks * 512
            except OSError:
                continue
    return total


def _end_all() -> None:
    """Kill what is left until nothing is: stopped first, so that it starts nothing more meanwhile."""
    while tree := _tree():
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in tree:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
        _reap(-1)


if __name__ == "__main__":
    main()
