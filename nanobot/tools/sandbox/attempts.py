"""What a command in the sandbox must not be able to do, tried from inside. Standard library only."""

import ctypes
import os
import resource
import socket
from collections.abc import Callable
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_X86 = os.uname().machine == "x86_64"
_IO_URING, _NEW_USER_NAMESPACE = 425, 0x10000000
_UNSHARE, _KEYCTL = (272, 250) if _X86 else (97, 219)
_MPTCP, _PROXY_PORT = 262, 3128


def tried(outside: dict[str, Any]) -> dict[str, list[str]]:
    """Try everything; return the names of the attempts that succeeded, as `broken`, and of what a command
    needs and does not have, as `lacking`.

    `outside`: `file` is a file outside of the workspace that has the user of the command as its owner where
    the server is no root, `pid` a process outside, `port` one of this machine that takes connections;
    `has_network`: the command is to reach its proxy, and nothing else.
    """
    file, pid = outside["file"], outside["pid"]
    attempts: dict[str, Callable[[], object]] = {
        "read a file outside": lambda: os.open(file, os.O_RDONLY),
        "write a file outside": lambda: os.open(file, os.O_WRONLY),
        "make a file outside": lambda: os.open(f"{file}.new", os.O_CREAT | os.O_WRONLY),
        "list a directory outside": lambda: os.listdir(os.path.dirname(file)),  # noqa: PTH120, PTH208
        "read the arguments of other processes": lambda: _read(f"/proc/{pid}/cmdline"),
        "signal a process outside": lambda: os.kill(pid, 0),
        "open a UDP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "connect to this machine": lambda: _connected(outside["port"]),
        "open an MPTCP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, _MPTCP),
        "open a UNIX socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
        "use io_uring": lambda: _call(_IO_URING, 1, ctypes.create_string_buffer(120)),
        "make a user namespace": lambda: _call(_UNSHARE, _NEW_USER_NAMESPACE),
        "use the keyring": lambda: _call(_KEYCTL, 0, -3, 1),
    }
    needs: dict[str, Callable[[], object]] = {
        "write in the workspace": lambda: _write("probe"),
        "write in its temporary directory": lambda: _write(f"{outside['tmp']}/probe"),
        "start a process": _start,
        "a limit of processes": _is_limited,
    }
    if outside["has_network"]:
        needs["reach its proxy"] = _greet
    else:
        attempts["open a TCP socket"] = lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    broken = [name for name, attempt in attempts.items() if _succeeds(attempt)]
    return {"broken": broken, "lacking": [name for name, need in needs.items() if not _succeeds(need)]}


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _call(*arguments: object) -> None:
    if _libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _read(path: str) -> None:
    with open(path, "rb") as file:  # noqa: PTH123
        # Another namespace may have a process of that number.
        if b"nanobot-probe" not in file.read():
            raise FileNotFoundError(path)


def _write(path: str) -> None:
    with open(path, "w") as file:  # noqa: PTH123
        file.write("probe")
    os.unlink(path)  # noqa: PTH108


def _connected(port: int) -> socket.socket:
    # Not by a function that looks for names: what it needs cannot be imported any more.
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.settimeout(5)
    made.connect(("127.0.0.1", port))
    return made


def _greet() -> None:
    with _connected(_PROXY_PORT) as proxy:
        proxy.sendall(b"?")
        if proxy.recv(1) != b"!":
            raise OSError("it does not answer")


def _start() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        raise OSError("it failed")


def _is_limited() -> None:
    if resource.getrlimit(resource.RLIMIT_NPROC)[1] == resource.RLIM_INFINITY:
        raise OSError("there is none")
