"""The files that a command in the sandbox reaches, by the kernel's Landlock. Standard library only."""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIRECTORY = 1, 2, 4, 8
_MAKE_CHARACTER, _MAKE_SOCKET, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
_TRUNCATE, _IOCTL = 1 << 14, 1 << 15
_PORT, _CONNECT = 2, 2
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """Return the version of Landlock that the kernel has; 0: none."""
    return max(0, int(_libc.syscall(_CREATE, None, 0, 1)))


def confine(
    readable: Iterable[str], writable: Iterable[str], devices: Iterable[str], port: int | None = None
) -> None:
    """Let this process and all that it starts open nothing but what is named; paths that are not there are
    left out. Where the kernel can, it also connects to no TCP port but `port`, and signals nothing outside.

    Raises:
        OSError: the kernel has no Landlock, or refuses.
    """
    number = version()
    files = (1 << 13) - 1
    for since, right in ((2, 1 << 13), (3, _TRUNCATE), (5, _IOCTL)):
        files |= right if number >= since else 0
    rules = struct.pack("QQQ", files, 3, 3)[: 24 if number >= 6 else 16 if number >= 4 else 8]
    ruleset = _checked(_libc.syscall(_CREATE, rules, len(rules), 0))
    try:
        made = _MAKE_CHARACTER | _MAKE_SOCKET | _MAKE_BLOCK
        for paths, rights in (
            (readable, _EXECUTE | _READ_FILE | _READ_DIRECTORY),
            (writable, files & ~made & ~_IOCTL),
            (devices, _READ_FILE | _WRITE_FILE),
        ):
            for path in paths:
                _allow(ruleset, path, rights & files)
        if port is not None and number >= 4:
            _checked(_libc.syscall(_ADD, ruleset, _PORT, struct.pack("QQ", _CONNECT, port), 0))
        _checked(_libc.prctl(38, 1, 0, 0, 0))
        _checked(_libc.syscall(_RESTRICT, ruleset, 0))
    finally:
        os.close(ruleset)


def scope_signals() -> bool:
    """Let this process and all that it starts signal nobody else; return whether the kernel can do so. Those
    who are confined further, later, cannot signal those who are not.
    """
    if version() < 6:
        return False
    rules = struct.pack("QQQ", 0, 0, 2)
    ruleset = _checked(_libc.syscall(_CREATE, rules, len(rules), 0))
    try:
        _checked(_libc.prctl(38, 1, 0, 0, 0))
        _checked(_libc.syscall(_RESTRICT, ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= _OF_FILES
        _checked(_libc.syscall(_ADD, ruleset, 1, struct.pack("=Qi", rights, opened), 0))
    finally:
        os.close(opened)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
