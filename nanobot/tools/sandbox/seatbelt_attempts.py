"""What a command on macOS must not be able to do, tried from inside: `python -I -S` this file, with JSON.

Prints what succeeded as `broken`, what a command needs and does not have as `lacking`, how many attempts
there were, and as `left` the number of a process that goes on, which is to end with the command.
Standard library only. Nobody has run it on a Mac.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_LEFT_S = 15
_KERNEL, _ARGUMENTS = 1, 49
"""CTL_KERN, KERN_PROCARGS2: the arguments and the environment of a process."""


def tried(outside: dict[str, Any]) -> dict[str, Any]:
    """Try everything. `outside`: `file` is a file outside of the workspace whose owner is the user of the
    command, `program` one that can be run, `socket` a socket that listens there; `pid` a process outside,
    `other` one of the command of another session, `port` one of this machine that takes connections.
    """
    file, pid = outside["file"], outside["pid"]
    attempts: dict[str, Callable[[], object]] = {
        "read a file outside": lambda: os.open(file, os.O_RDONLY),
        "read a file outside through a link": lambda: _by_link(os.symlink, file),
        "read a file outside by another name": lambda: _by_link(os.link, file),
        "write a file outside": lambda: os.open(file, os.O_WRONLY),
        "make a file outside": lambda: os.open(f"{file}.new", os.O_CREAT | os.O_WRONLY),
        "list a directory outside": lambda: os.listdir(os.path.dirname(file)),  # noqa: PTH120, PTH208
        "list the home directory of the server": lambda: os.listdir(outside["home"]),  # noqa: PTH208
        "run a program outside": lambda: _run(outside["program"]),
        "read the arguments of other processes": lambda: _arguments(pid),
        "signal a process outside": lambda: os.kill(pid, 0),
        "signal the command of another session": lambda: os.kill(outside["other"], 0),
        "connect to this machine": lambda: _with(socket.AF_INET, lambda made: made.connect(_here(outside))),
        "listen": lambda: _with(socket.AF_INET, _listen),
        "send over UDP": lambda: _send(_here(outside)),
        "connect to a UNIX socket": lambda: _with(
            socket.AF_UNIX, lambda made: made.connect(outside["socket"])
        ),
        "write to a terminal": lambda: os.open("/dev/tty", os.O_WRONLY),
        "make a terminal": lambda: os.openpty(),
        "start programs outside, by Launch Services": lambda: _look_up(
            b"com.apple.coreservices.launchservicesd"
        ),
        "control other programs, by Apple events": lambda: _look_up(b"com.apple.coreservices.appleevents"),
        "use the keychain": lambda: _look_up(b"com.apple.SecurityServer"),
        "read the clipboard": lambda: _look_up(b"com.apple.pasteboard.1"),
    }
    needs: dict[str, Callable[[], object]] = {
        "write in the workspace": lambda: _write("probe"),
        "write in its temporary directory": lambda: _write(f"{outside['tmp']}/probe"),
        "start a process": lambda: _run("/bin/ls"),
        "signal its own processes": _signal_own,
        "a limit of processes": _is_limited,
    }
    broken = [name for name, attempt in attempts.items() if _succeeds(attempt)]
    lacking = [name for name, need in needs.items() if not _succeeds(need)]
    return {"broken": broken, "lacking": lacking, "tried": len(attempts)}


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _by_link(link: Callable[[str, str], None], file: str) -> None:
    link(file, "probe-link")
    try:
        os.open("probe-link", os.O_RDONLY)
    finally:
        os.unlink("probe-link")  # noqa: PTH108


def _run(program: str) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    child = os.posix_spawn(
        program, [program], {}, file_actions=[(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1, 2)]
    )
    if os.waitpid(child, 0)[1] != 0:
        raise OSError("it failed")


def _arguments(pid: int) -> None:
    try:
        sysctl = _libc.sysctl
    except AttributeError as error:
        raise OSError("it cannot be asked for") from error
    found = ctypes.create_string_buffer(1 << 16)
    size = ctypes.c_size_t(len(found))
    name = (ctypes.c_int * 3)(_KERNEL, _ARGUMENTS, pid)
    if sysctl(name, 3, found, ctypes.byref(size), None, 0) != 0 or b"nanobot-probe" not in found.raw:
        raise OSError(ctypes.get_errno(), "refused")


def _here(outside: dict[str, Any]) -> tuple[str, int]:
    return ("127.0.0.1", int(outside["port"]))


def _with(family: socket.AddressFamily, use: Callable[[socket.socket], object]) -> None:
    with socket.socket(family) as made:
        made.settimeout(5)
        use(made)


def _listen(made: socket.socket) -> None:
    made.bind(("127.0.0.1", 0))
    made.listen()


def _send(address: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.sendto(b"?", address)


def _look_up(service: bytes) -> None:
    """Find a service of the system, as whoever wants to use it does first."""
    try:
        look_up, port = _libc.bootstrap_look_up, ctypes.c_uint.in_dll(_libc, "bootstrap_port")
    except (AttributeError, ValueError) as error:
        raise OSError("it cannot be asked for") from error
    found = ctypes.c_uint(0)
    if look_up(port, service, ctypes.byref(found)) != 0:
        raise OSError("refused")


def _write(path: str) -> None:
    with open(path, "w") as file:  # noqa: PTH123
        file.write("probe")
    os.unlink(path)  # noqa: PTH108


def _signal_own() -> None:
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(1)
    os.kill(child, signal.SIGKILL)
    if os.waitpid(child, 0)[1] != signal.SIGKILL:
        raise OSError("it was not ended")


def _leave_behind() -> int:
    """Start a process that goes on in a session of its own, as a daemon; return its number."""
    told, tells = os.pipe()
    between = os.fork()
    if between == 0:
        os.setsid()
        left = os.fork()
        if left == 0:
            os.closerange(0, 3)
            time.sleep(_LEFT_S)
            os._exit(0)
        os.write(tells, str(left).encode())
        os._exit(0)
    os.waitpid(between, 0)
    return int(os.read(told, 20))


def _is_limited() -> None:
    if resource.getrlimit(resource.RLIMIT_NPROC)[1] == resource.RLIM_INFINITY:
        raise OSError("there is none")


if __name__ == "__main__":
    print(json.dumps({**tried(json.loads(sys.argv[1])), "left": _leave_behind()}))
