"""The system calls that a command in the sandbox is refused, as a seccomp program.

The numbers are those of `asm/unistd.h` on x86_64 and aarch64. Standard library only.
"""

import ctypes
import errno
import os
import struct

LOAD, EQUAL, AT_LEAST, ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
AUDIT = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
CLONE, CLONE3 = (56, 220), (435, 435)
NEW_NAMESPACES = 0x7E020000
REFUSED = (
    # ptrace, process_vm_readv, process_vm_writev, kcmp, pidfd_getfd, process_madvise
    *((101, 117), (310, 270), (311, 271), (312, 272), (438, 438), (440, 440)),
    # io_uring_setup, io_uring_enter, io_uring_register, bpf, perf_event_open, userfaultfd
    *((425, 425), (426, 426), (427, 427), (321, 280), (298, 241), (323, 282)),
    # add_key, request_key, keyctl, unshare, setns, mount, umount2, pivot_root, chroot
    *((248, 217), (249, 218), (250, 219), (272, 97), (308, 268), (165, 40), (166, 39), (155, 41), (161, 51)),
    # fsopen, fsconfig, fsmount, fspick, move_mount, open_tree, mount_setattr, open_tree_attr
    *((430, 430), (431, 431), (432, 432), (433, 433), (429, 429), (428, 428), (442, 442), (467, 467)),
    # name_to_handle_at, open_by_handle_at, memfd_create, memfd_secret, inotify_add_watch, fanotify_init
    *((303, 264), (304, 265), (319, 279), (447, 447), (254, 27), (300, 262)),
    # shmget, shmat, shmctl, msgget, msgsnd, msgrcv, msgctl, semget, semop, semctl, semtimedop
    *((29, 194), (30, 196), (31, 195), (68, 186), (69, 189), (70, 188), (71, 187), (64, 190), (65, 193)),
    *((66, 191), (220, 192)),
    # mq_open, mq_unlink
    *((240, 180), (241, 181)),
    # accept, accept4, bind, listen
    *((43, 202), (288, 242), (49, 200), (50, 201)),
    # reboot, kexec_load, kexec_file_load, init_module, finit_module, delete_module, swapon, swapoff, acct
    *((169, 142), (246, 104), (320, 294), (175, 105), (313, 273), (176, 106), (167, 224), (168, 225)),
    # settimeofday, clock_settime, clock_adjtime, adjtimex, sethostname, setdomainname, syslog, quotactl
    *((163, 89), (164, 170), (227, 112), (305, 266), (159, 171), (170, 161), (171, 162), (103, 116)),
    *((179, 60),),
    # process_mrelease, get_robust_list, lookup_dcookie, mbind, set_mempolicy, remap_file_pages
    *((448, 448), (274, 100), (212, 18), (237, 235), (238, 237), (216, 234)),
    # quotactl_fd, personality, vhangup, migrate_pages, move_pages, statmount, listmount
    *((443, 443), (135, 92), (153, 58), (256, 238), (279, 239), (457, 457), (458, 458)),
)
# socket, connect: pairs are all the sockets there are, unless there is a network
SOCKET, CONNECT = (41, 198), (42, 203)
SETSOCKOPT = (54, 208)
# modify_ldt, iopl, ioperm, uselib
ONLY_X86_64 = (154, 172, 173, 134)
# A process may change itself only: the argument with the other one's number must be 0.
ONLY_ITSELF = (
    # prlimit64, sched_setaffinity, sched_setscheduler, sched_setparam, sched_setattr
    *(((302, 261), 0), ((203, 122), 0), ((144, 119), 0), ((142, 118), 0), ((314, 274), 0)),
)
# setpriority, ioprio_set, and by what they call a process: others stand for a group, or a user's processes.
PRIORITIES = (((141, 140), 0), ((251, 30), 1))
KILL_CALL = (62, 129)
IOCTL, TERMINAL_INPUT = (16, 29), (0x5412, 0x541C)
SOCKETPAIR, MKNOD, MKNODAT = (53, 199), (133, None), (259, 33)
X32, NEWEST = 0x40000000, 470


def program(machine: str, *, network: bool = False) -> bytes:
    """Return the program for `machine`. Calls newer than this list are answered as not implemented.

    `network`: TCP sockets may be made and connected, for a namespace that has only what is meant.

    Raises:
        KeyError: there is no list for such a machine.
    """
    audit, column = AUDIT[machine]
    refused = (RETURN, 0, 0, FAIL | errno.EPERM)
    lines = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, audit), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0)]
    lines += [(AT_LEAST, 0, 1, X32), refused, (AT_LEAST, 0, 1, NEWEST), (RETURN, 0, 0, FAIL | errno.ENOSYS)]
    lines += [(EQUAL, 0, 1, CLONE3[column]), (RETURN, 0, 0, FAIL | errno.ENOSYS)]
    for numbers in REFUSED if network else (*REFUSED, SOCKET, CONNECT):
        lines += [(EQUAL, 0, 1, numbers[column]), refused]
    for number in ONLY_X86_64 if machine == "x86_64" else ():
        lines += [(EQUAL, 0, 1, number), refused]
    allowed = (RETURN, 0, 0, ALLOW)

    def judged(number: int | None, argument: int, *tests: tuple[int, int, int, int]) -> None:
        """The tests see the lower half of the argument and end with a return each way."""
        if number is not None:
            body = [(LOAD, 0, 0, 16 + 8 * argument), *tests]
            lines.extend([(EQUAL, 0, len(body), number), *body])

    for numbers, argument in ONLY_ITSELF:
        judged(numbers[column], argument, (EQUAL, 0, 1, 0), allowed, refused)
    for numbers, process in PRIORITIES:
        judged(
            numbers[column],
            0,
            *((EQUAL, 1, 0, process), refused, (LOAD, 0, 0, 24), (EQUAL, 0, 1, 0), allowed, refused),
        )
    # All processes of a user: where the kernel's Landlock knows no signals, the server would be among them.
    judged(KILL_CALL[column], 0, (EQUAL, 0, 1, 0xFFFFFFFF), refused, allowed)
    judged(CLONE[column], 0, (ANY_BIT, 0, 1, NEW_NAMESPACES), refused, allowed)
    judged(
        IOCTL[column], 1, (EQUAL, 1, 0, TERMINAL_INPUT[0]), (EQUAL, 0, 1, TERMINAL_INPUT[1]), refused, allowed
    )
    # A pair of datagram sockets may send to any address: only streams (1) and packets (5) of AF_UNIX (1).
    judged(
        SOCKETPAIR[column],
        0,
        *((EQUAL, 1, 0, 1), refused, (LOAD, 0, 0, 24), (AND, 0, 0, 15)),
        *((EQUAL, 2, 0, 1), (EQUAL, 1, 0, 5), refused, allowed),
    )
    if network:
        # AF_INET (2), a stream (1), of no protocol by name or TCP (6): MPTCP and SCTP are others.
        judged(
            SOCKET[column],
            0,
            *((EQUAL, 1, 0, 2), refused, (LOAD, 0, 0, 24), (AND, 0, 0, 15), (EQUAL, 1, 0, 1), refused),
            *((LOAD, 0, 0, 32), (EQUAL, 1, 0, 0), (EQUAL, 0, 1, 6), allowed, refused),
        )
        # Of options those of sockets (1), and of TCP (6) all but other protocols on top of it (31).
        judged(
            SETSOCKOPT[column],
            1,
            *((EQUAL, 0, 1, 1), allowed, (EQUAL, 1, 0, 6), refused),
            *((LOAD, 0, 0, 32), (EQUAL, 0, 1, 31), refused, allowed),
        )
    # Pipes have a name; devices have this bit.
    judged(MKNOD[column], 1, (ANY_BIT, 0, 1, 0x2000), refused, allowed)
    judged(MKNODAT[column], 2, (ANY_BIT, 0, 1, 0x2000), refused, allowed)
    return b"".join(struct.pack("HBBI", *line) for line in [*lines, allowed])


def install(*, network: bool = False) -> None:
    """Confine this process and all that it starts, for good; `network`: see `program`.

    Raises:
        KeyError, OSError: there is no list for this machine, or the kernel does not take it.
    """
    content = program(os.uname().machine, network=network)
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(content)
    header = struct.pack("HxxxxxxP", len(content) // 8, ctypes.addressof(buffer))
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, header, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel does not take the seccomp filter")
