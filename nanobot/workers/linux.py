"""What a process gives up for good on Linux: files that are not Python's own (Landlock), and all system calls
that reach beyond the process (seccomp).

The numbers and layouts are those of the kernel's headers `linux/landlock.h`, `linux/seccomp.h`,
`linux/filter.h`, `linux/audit.h` and `asm/unistd.h`.
"""

import ctypes
import errno
import os
import platform
import signal
import struct
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_DEATH_SIGNAL, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2


class _Machine(NamedTuple):
    """A machine's name in the audit framework, and what its system calls are called by."""

    audit: int
    column: int
    open: int | None
    openat: int
    clone: int
    clone3: int


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 0, 2, 257, 56, 435),
    "aarch64": _Machine(0xC00000B7, 1, None, 56, 220, 435),
}
_REFUSED: Sequence[tuple[int | None, int | None]] = (
    # socket, socketpair, connect, accept, accept4, bind, listen
    *((41, 198), (53, 199), (42, 203), (43, 202), (288, 242), (49, 200), (50, 201)),
    # sendto, sendmsg, sendmmsg, recvmsg, recvmmsg
    *((44, 206), (46, 211), (307, 269), (47, 212), (299, 243)),
    # fork, vfork, execve, execveat
    *((57, None), (58, None), (59, 221), (322, 281)),
    # ptrace, process_vm_readv, process_vm_writev, kill, tkill, pidfd_open, pidfd_send_signal, pidfd_getfd
    *((101, 117), (310, 270), (311, 271), (62, 129), (200, 130), (434, 434), (424, 424), (438, 438)),
    # io_uring_setup, io_uring_enter, io_uring_register, bpf, perf_event_open, userfaultfd
    *((425, 425), (426, 426), (427, 427), (321, 280), (298, 241), (323, 282)),
    # add_key, request_key, keyctl, unshare, setns, mount, umount2, pivot_root, chroot
    *((248, 217), (249, 218), (250, 219), (272, 97), (308, 268), (165, 40), (166, 39), (155, 41), (161, 51)),
    # fsopen, fsconfig, fsmount, move_mount, open_tree, mount_setattr
    *((430, 430), (431, 431), (432, 432), (429, 429), (428, 428), (442, 442)),
    # unlink, unlinkat, rename, renameat, renameat2, mkdir, mkdirat, rmdir
    *((87, None), (263, 35), (82, None), (264, 38), (316, 276), (83, None), (258, 34), (84, None)),
    # link, linkat, symlink, symlinkat, mknod, mknodat, creat, truncate, ftruncate, fallocate
    *((86, None), (265, 37), (88, None), (266, 36), (133, None), (259, 33), (85, None)),
    *((76, 45), (77, 46), (285, 47)),
    # chmod, fchmod, fchmodat, fchmodat2, chown, fchown, lchown, fchownat
    *((90, None), (91, 52), (268, 53), (452, 452), (92, None), (93, 55), (94, None), (260, 54)),
    # utime, utimes, futimesat, utimensat, setxattr, lsetxattr, fsetxattr
    *((132, None), (235, None), (261, None), (280, 88), (188, 5), (189, 6), (190, 7)),
    # openat2, name_to_handle_at, open_by_handle_at, memfd_create, memfd_secret
    *((437, 437), (303, 264), (304, 265), (319, 279), (447, 447)),
    # setrlimit, prlimit64, ioctl, shmget, shmat, msgget, semget, mq_open, inotify_init1, fanotify_init
    *((160, 164), (302, 261), (16, 29), (29, 194), (30, 196), (68, 186), (64, 190), (240, 180)),
    *((294, 26), (300, 262)),
    # reboot, kexec_load, kexec_file_load, init_module, finit_module, delete_module, swapon, swapoff, acct
    *((169, 142), (246, 104), (320, 294), (175, 105), (313, 273), (176, 106), (167, 224), (168, 225)),
    *((163, 89),),
    # settimeofday, clock_settime, clock_adjtime, adjtimex, sethostname, setdomainname, syslog, quotactl
    *((164, 170), (227, 112), (305, 266), (159, 171), (170, 161), (171, 162), (103, 116), (179, 60)),
    # setuid, setgid, setresuid, setresgid, setreuid, setregid, setgroups, capset, personality
    *((105, 146), (106, 144), (117, 147), (119, 149), (113, 145), (114, 143), (116, 159), (126, 91)),
    *((135, 92),),
)
"""What is refused, by the numbers on x86_64 and aarch64; None where the machine has no such call."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CLONE_THREAD = 0x10000

# Classic BPF: operation, jump if true, jump if false, operand.
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_X32 = 0x40000000
_Instruction = tuple[int, int, int, int]


def confine_system_calls() -> None:
    """Refuse all calls that reach beyond this process: it goes on with EPERM.

    Nothing is done on machines other than x86_64 and aarch64.

    Raises:
        OSError: the kernel does not take the filter.
    """
    machine = _MACHINES.get(platform.machine())
    if machine is None or sys.byteorder != "little":
        return
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in _program(machine))
    buffer = ctypes.create_string_buffer(program)
    # struct sock_fprog: the number of instructions, and where they are.
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    _call(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _call(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0))


def _program(machine: _Machine) -> list[_Instruction]:
    refused = _fail(errno.EPERM)
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        # x86_64 has a second set of numbers for its 32-bit pointers.
        (_JUMP_AT_LEAST, 0, 1, _X32),
        refused,
        # Libraries fall back to the older call, whose flags can be looked at.
        (_JUMP_EQUAL, 0, 1, machine.clone3),
        _fail(errno.ENOSYS),
    ]
    for numbers in _REFUSED:
        number = numbers[machine.column]
        if number is not None:
            program += [(_JUMP_EQUAL, 0, 1, number), refused]
    # Threads are part of the process.
    program += _by_flags(machine.clone, 0, _CLONE_THREAD, if_set=(_RETURN, 0, 0, _ALLOW), otherwise=refused)
    opens = [(machine.openat, 2)] if machine.open is None else [(machine.openat, 2), (machine.open, 1)]
    for number, argument in opens:
        program += _by_flags(number, argument, _WRITES, if_set=refused, otherwise=(_RETURN, 0, 0, _ALLOW))
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _by_flags(
    number: int, argument: int, flags: int, *, if_set: _Instruction, otherwise: _Instruction
) -> list[_Instruction]:
    """Return what decides about the call `number` by the flags in its argument; others go on behind it."""
    return [
        (_JUMP_EQUAL, 0, 4, number),
        # The lower half of 64 bits.
        (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument),
        (_JUMP_SET, 0, 1, flags),
        if_set,
        otherwise,
    ]


def _fail(number: int) -> _Instruction:
    return (_RETURN, 0, 0, 0x00050000 | number)


def end_with_parent() -> None:
    """Let this process be killed when the one that started it is gone."""
    _call(_libc.prctl(_PR_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0))


# Landlock: the same numbers on every machine.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3
_ALL_OF_VERSION_1 = (1 << 13) - 1
_SYSTEM_PATHS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share", "/etc/ld.so.cache", "/dev/urandom")


def confine_to_python() -> None:
    """Let no file be opened any more but those of which Python and its libraries consist; nothing is done
    where the kernel has no Landlock.
    """
    ruleset = struct.pack("Q", _ALL_OF_VERSION_1)
    descriptor = _libc.syscall(_CREATE_RULESET, ruleset, len(ruleset), 0)
    if descriptor < 0:
        return
    try:
        for path in {*sys.path, sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *_SYSTEM_PATHS}:
            _let_read(descriptor, path)
        _call(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _call(_libc.syscall(_RESTRICT_SELF, descriptor, 0))
    finally:
        os.close(descriptor)


def _let_read(ruleset: int, path: str) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights = _READ_FILE | _READ_DIRECTORY if Path(path).is_dir() else _READ_FILE
        rule = struct.pack("=Qi", rights, opened)
        _call(_libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0))
    finally:
        os.close(opened)


def _call(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
