"""Goes on as a program in a container's default profile would run: `python3 container.py PROGRAM …`.

Of capabilities there are those that container engines leave; of system calls, those are refused that their
default list refuses without CAP_SYS_ADMIN and that matter to a sandbox. Standard library only.
"""

import ctypes
import os
import struct
import sys

KEPT = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)
# mount, umount2, unshare, setns, pivot_root, fsopen, fsconfig, fsmount, move_mount, open_tree, mount_setattr
REFUSED = (
    *((165, 40), (166, 39), (272, 97), (308, 268), (155, 41), (430, 430), (431, 431), (432, 432), (429, 429)),
    *((428, 428), (442, 442)),
    # keyctl, add_key, request_key, bpf, perf_event_open, userfaultfd, io_uring_setup, kcmp, pidfd_getfd
    *(
        (250, 219),
        (248, 217),
        (249, 218),
        (321, 280),
        (298, 241),
        (323, 282),
        (425, 425),
        (312, 272),
        (438, 438),
    ),
)
libc = ctypes.CDLL(None, use_errno=True)
column = 0 if os.uname().machine == "x86_64" else 1
lines = [(0x20, 0, 0, 0), (0x15, 0, 1, 435), (6, 0, 0, 0x50000 | 38)]
for numbers in REFUSED:
    lines += [(0x15, 0, 1, numbers[column]), (6, 0, 0, 0x50000 | 1)]
lines += [(0x15, 0, 3, (56, 220)[column]), (0x20, 0, 0, 16), (0x45, 0, 1, 0x7E020000), (6, 0, 0, 0x50000 | 1)]
lines += [(6, 0, 0, 0x7FFF0000)]
content = b"".join(struct.pack("HBBI", *line) for line in lines)
buffer = ctypes.create_string_buffer(content)
if os.getuid() == 0:
    for capability in range(41):
        if capability not in KEPT:
            libc.prctl(24, capability, 0, 0, 0)
    # Without no_new_privs, as engines do it: while there still is CAP_SYS_ADMIN.
else:
    libc.prctl(38, 1, 0, 0, 0)
if libc.prctl(22, 2, struct.pack("HxxxxxxP", len(lines), ctypes.addressof(buffer)), 0, 0):
    sys.exit("no seccomp")
os.execvp(sys.argv[1], sys.argv[1:])
