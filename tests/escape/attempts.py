"""What is attempted: a piece of Python each, which succeeds where it runs to its end.

It may use what `program.py` gives it, and the names of what it is aimed at (`arena.py`): `FILE` and `DIR` are
outside of the workspace, `OTHER` is the workspace of another session, `P` a process outside, `TCP`, `TCP6`,
`UDP` ports of 127.0.0.1 and ::1, `SOCK` a listening UNIX socket, `ABSTRACT` the name of another, `SHM`, `MSG`,
`SEM` the ids of System V objects, `FIFO` a pipe with a name, `PIO` a process that ends at SIGIO.
"""

import msgspec


class Attempt(msgspec.Struct, frozen=True):
    """`kind`: a group of the table; `name`: unique; `code`: what is run."""

    kind: str
    name: str
    code: str


READ = {
    "open": "shows(open(FILE).read())",
    "os.open below the root's descriptor": "d = os.open('/', 0); shows(os.read(os.open(FILE[1:], 0, dir_fd=d), 99))",
    "through ..": "shows(open('../' * 30 + FILE[1:]).read())",
    "through a symbolic link": "os.symlink(FILE, 'l'); shows(open('l').read())",
    "through a link to its directory": "os.symlink(DIR, 'l'); shows(open('l/canary').read())",
    "through a link to the root": "os.symlink('/', 'l'); shows(open('l' + FILE).read())",
    "through a hard link": "os.link(FILE, 'h'); shows(open('h').read())",
    "through a renamed file": "os.rename(FILE, 'r'); shows(open('r').read())",
    "through an exchange of names": "open('x', 'w').close(); call((316, 276), -100, b'x', -100, FILE.encode(), 2); shows(open('x').read())",
    "openat2": "shows(os.read(call(437, -100, FILE.encode(), struct.pack('QQQ', 0, 0, 0), 24), 99))",
    "a descriptor of the path, opened anew": "d = os.open(FILE, os.O_PATH); shows(open(f'/proc/self/fd/{d}').read())",
    "a descriptor of the directory": "d = os.open(DIR, os.O_PATH); shows(os.read(os.open('canary', 0, dir_fd=d), 99))",
    "after a change of directory": "os.chdir(DIR); shows(open('canary').read())",
    "/proc/self/root": "shows(open('/proc/self/root' + FILE).read())",
    "the root of another process": "shows(open(f'/proc/{P}/root{FILE}').read())",
    "the working directory of another process": "shows(open(f'/proc/{P}/cwd/canary').read())",
    "the descriptor of another process": "shows(os.pread(os.open(f'/proc/{P}/fd/0', 0), 99, 0))",
    "the root of the first process": "shows(open(f'/proc/1/root{FILE}').read())",
    "mmap": "d = os.open(FILE, 0); shows(mmap.mmap(d, 0, prot=mmap.PROT_READ)[:])",
    "sendfile": "d = os.open(FILE, 0); o = os.open('o', os.O_RDWR | os.O_CREAT); os.sendfile(o, d, 0, 99); shows(os.pread(o, 99, 0))",
    "copy_file_range": "d = os.open(FILE, 0); o = os.open('o', os.O_RDWR | os.O_CREAT); os.copy_file_range(d, o, 99); shows(os.pread(o, 99, 0))",
    "a file handle": (
        "h = ctypes.create_string_buffer(struct.pack('I', 128) + bytes(200)); m = buffer(8)\n"
        "call((303, 264), -100, FILE.encode(), h, m, 0); d = os.open(DIR, 0)\n"
        "shows(os.read(call((304, 265), d, h, 0), 99))"
    ),
    "cat": "shell(f'cat {FILE}')",
    "the shell's own reading": "shell(f'read -r l < {FILE}; echo $l')",
    "tar": "shell(f'tar cf - -C / {FILE[1:]}')",
    "cp": "shell(f'cp {FILE} c && cat c')",
    "git": "shell(f'git diff --no-index /dev/null {FILE}')",
    "find": "shell(f'find {DIR} -name canary -exec cat {{}} +')",
    "dd": "shell(f'dd if={FILE} status=none')",
    "a shell script": "shell(f'. {FILE} 2>&1')",
    "the loader": "shell(f'LD_PRELOAD={FILE} /bin/true 2>&1; /lib64/ld-linux-x86-64.so.2 {FILE} 2>&1; cat {FILE}')",
    "sqlite": (
        "import sqlite3\n"
        "try: shows(str(sqlite3.connect(DIR + '/db').execute('select * from t').fetchall()))\n"
        "except sqlite3.Error: raise OSError"
    ),
    "a zip file's import": "sys.path.insert(0, DIR); import escape_module; shows(escape_module.X)",
    "the workspace of another session": "shows(open(OTHER + '/secret').read())",
    "the names of another session's files": "shows(' '.join(os.listdir(OTHER)))",
    "the names in the directory": "shows(' '.join(os.listdir(DIR)))",
    "the names by glob": "import glob\nshows(' '.join(glob.glob(DIR + '/*')))",
    "the data directory": "shows(' '.join(os.listdir(os.path.dirname(OTHER))))",
    "/tmp of others": "shows(open(TMPFILE).read())",
    "the names in /tmp of others": "shows(' '.join(os.listdir('/tmp')))",
    "/dev/shm of others": "shows(open(SHMFILE).read())",
    "the environment of another process": "shows(open(f'/proc/{P}/environ').read())",
    "the arguments of another process": "shows(open(f'/proc/{P}/cmdline').read())",
    "the name of another process": "shows(open(f'/proc/{P}/comm').read())",
    "the arguments of the first process": "b'bwrap' in open('/proc/1/cmdline', 'rb').read() and os.open('/none', 0)",
    "the memory map of another process": "shows(open(f'/proc/{P}/maps').read() and CANARY)",
    "the memory of another process": (
        "m = open(f'/proc/{P}/maps').readline().split('-')[0]; d = os.open(f'/proc/{P}/mem', 0)\n"
        "os.pread(d, 16, int(m, 16))"
    ),
    "the limits of another process": "open(f'/proc/{P}/limits').read()",
    "the state of another process": "open(f'/proc/{P}/status').read()",
    "the program of another process": "os.readlink(f'/proc/{P}/exe')",
    "the open files of another process": "os.listdir(f'/proc/{P}/fd')",
    "the tasks of another process": "os.listdir(f'/proc/{P}/task')",
    "the mounts of another process": "open(f'/proc/{P}/mountinfo').read()",
    "all processes": "f'{P}' in os.listdir('/proc') or os.open('/none', 0)",
    "the own environment": "shows(' '.join(os.environ.values()))",
    "the environment it began with": "shows(open('/proc/self/environ').read())",
    "the environment of the launcher": "shows(open(f'/proc/{os.getppid()}/environ').read())",
    "a descriptor that was forgotten": (
        "for d in range(3, 256):\n"
        "    try: shows(os.pread(d, 99, 0)); break\n"
        "    except OSError: pass\n"
        "else: raise OSError"
    ),
}
PLACES = (
    *("/etc/shadow", "/etc/sudoers", "/etc/machine-id", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"),
    *("/etc/passwd", "/etc/fstab", "/etc/ssh/sshd_config", "/etc/environment", "/var/log/dpkg.log"),
    *("/var/lib/dpkg/status", "/proc/1/environ", "/proc/1/maps", "/proc/cmdline"),
    *("/proc/kallsyms", "/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/key-users", "/proc/iomem"),
    *("/proc/ioports", "/proc/modules", "/proc/timer_list", "/proc/vmallocinfo", "/proc/slabinfo"),
    *("/proc/kpagecount", "/proc/kpageflags", "/proc/locks", "/proc/diskstats", "/proc/config.gz"),
    *("/proc/interrupts", "/proc/schedstat", "/proc/sched_debug", "/proc/latency_stats", "/proc/zoneinfo"),
    *("/sys/kernel/notes", "/sys/kernel/vmcoreinfo", "/sys/kernel/uevent_seqnum", "/sys/power/state"),
    *("/sys/class/net/lo/address", "/sys/fs/cgroup/memory/memory.usage_in_bytes", "/sys/block/vda/size"),
    *("/sys/module/kernel/parameters/panic", "/sys/kernel/mm/transparent_hugepage/enabled"),
    "/sys/fs/cgroup/cgroup.procs",
)
DIRECTORIES = (
    *("/", "/etc", "/root", "/home", "/var", "/var/log", "/var/lib", "/run", "/srv", "/boot"),
    *("/sys", "/sys/class/net", "/sys/fs/cgroup", "/sys/kernel", "/dev", "/opt"),
)
DEVICES = (
    *("mem", "port", "kmsg", "kvm", "fuse", "tty", "console", "tty0", "tty1", "ttyS0", "ptmx", "vcs", "vcsa"),
    *("vda", "sda", "loop0", "loop-control", "net/tun", "vhost-net", "vhost-vsock", "vsock", "userfaultfd"),
    *(
        "hpet",
        "rtc0",
        "mapper/control",
        "uinput",
        "snapshot",
        "hwrng",
        "nvram",
        "cpu/0/msr",
        "cpu_dma_latency",
    ),
    *(
        "autofs",
        "btrfs-control",
        "ppp",
        "watchdog",
        "rfkill",
        "udmabuf",
        "dri/card0",
        "snd/timer",
        "ram0",
        "nbd0",
    ),
)
WRITE = {
    "append": "open(FILE, 'a').write('x')",
    "overwrite": "open(FILE, 'r+').write('canary')",
    "truncate by name": "os.truncate(FILE, 20)",
    "truncate by opening": "os.open(FILE, os.O_WRONLY | os.O_TRUNC)",
    "remove": "os.rename(FILE, FILE + '.gone'); os.rename(FILE + '.gone', FILE)",
    "unlink": "os.unlink(DIR + '/spare')",
    "make a file": "open(DIR + '/new', 'w').close()",
    "make a directory": "os.mkdir(DIR + '/newdir')",
    "remove a directory": "os.rmdir(DIR + '/sparedir')",
    "make a symbolic link": "os.symlink('x', DIR + '/newlink')",
    "make a pipe": "os.mkfifo(DIR + '/newfifo')",
    "put a file there": "open('w', 'w').close(); os.rename('w', DIR + '/moved')",
    "put a link to a file there": "open('w', 'w').close(); os.link('w', DIR + '/linked')",
    "write through a symbolic link": "os.symlink(FILE, 'l'); open('l', 'a').write('x')",
    "make a file through a dangling link": "os.symlink(DIR + '/dangling', 'l'); open('l', 'w').close()",
    "map it to write": "d = os.open(FILE, os.O_RDWR); mmap.mmap(d, 0)[:1] = b'c'",
    "write by descriptor of the path": "d = os.open(FILE, os.O_PATH); open(f'/proc/self/fd/{d}', 'a').write('x')",
    "write to a pipe": "d = os.open(FIFO, os.O_RDWR | os.O_NONBLOCK); os.write(d, b'x')",
    "fallocate": "d = os.open(FILE, os.O_RDWR); os.posix_fallocate(d, 0, 64)",
    "lock it": "fcntl.flock(os.open(FILE, 0), fcntl.LOCK_EX | fcntl.LOCK_NB)",
    "watch it": "call((254, 27), call((253, None)) if X86 else call(26, 0), FILE.encode(), 2)",
    "set its flags": "d = os.open(FILE, 0); f = struct.unpack('l', fcntl.ioctl(d, 0x80086601, bytes(8)))[0]; fcntl.ioctl(d, 0x40086602, struct.pack('l', f))",
    "change its mode": "os.chmod(FILE, 0o666)",
    "change its owner": "os.chown(FILE, os.stat(FILE).st_uid, os.stat(FILE).st_gid)",
    "change its times": "os.utime(FILE, (1, 1))",
    "change its attributes": "os.setxattr(FILE, 'user.x', b'y')",
    "write in another session": "open(OTHER + '/secret', 'a').write('x')",
    "make a file in another session": "open(OTHER + '/new', 'w').close()",
    "write in /tmp of others": "open(TMPFILE, 'r+').write('x')",
    "write in /dev/shm of others": "open(SHMFILE, 'r+').write('x')",
    "make a file in a system directory": "open('/usr/local/lib/nanobot-escape', 'w').close(); os.unlink('/usr/local/lib/nanobot-escape')",
    "write to a program": "open('/usr/bin/env', 'r+b').close()",
    "write to the users": "open('/etc/passwd', 'a').close()",
    "write to the server's program": "open(LAUNCHER, 'a').close()",
    "make a file beside the server's program": "open(LAUNCHER + '.new', 'w').close(); os.unlink(LAUNCHER + '.new')",
    "write to the start of the machine": "open('/etc/ld.so.preload', 'a').close()",
    "core_pattern": "p = '/proc/sys/kernel/core_pattern'; v = open(p).read(); open(p, 'w').write(v)",
    "modprobe": "p = '/proc/sys/kernel/modprobe'; v = open(p).read(); open(p, 'w').write(v)",
    "hostname": "p = '/proc/sys/kernel/hostname'; v = open(p).read(); open(p, 'w').write(v)",
    "overcommit": "p = '/proc/sys/vm/overcommit_memory'; v = open(p).read(); open(p, 'w').write(v)",
    "binfmt_misc": "os.open('/proc/sys/fs/binfmt_misc/register', os.O_WRONLY)",
    "sysrq": "os.open('/proc/sysrq-trigger', os.O_WRONLY)",
    "the memory of another process": "os.open(f'/proc/{P}/mem', os.O_RDWR)",
    "the name of another process": "open(f'/proc/{P}/comm', 'w').write('nanobot-victim')",
    "what another process is worth": "open(f'/proc/{P}/oom_score_adj', 'w').write('1000')",
    "what the own process is worth": "open('/proc/self/oom_score_adj', 'w').write('-1')",
    "the own users": "open('/proc/self/uid_map', 'w').write('0 0 1')",
    "a control group": "os.mkdir('/sys/fs/cgroup/memory/nanobot-escape'); os.rmdir('/sys/fs/cgroup/memory/nanobot-escape')",
    "a release agent": "p = '/sys/fs/cgroup/memory/release_agent'; v = open(p).read(); open(p, 'w').write(v)",
    "the helper of events": "p = '/sys/kernel/uevent_helper'; v = open(p).read(); open(p, 'w').write(v)",
    "a switch of the kernel": "p = '/sys/kernel/mm/transparent_hugepage/enabled'; open(p, 'r+').close()",
}
METADATA = {
    "stat": "os.stat(FILE)",
    "access": "os.access(FILE, os.F_OK) or os.open('/none', 0)",
    "statfs": "os.statvfs(DIR)",
    "where a link leads": "os.readlink(DIR + '/link')",
    "a change of directory": "os.chdir(DIR)",
    "a descriptor of the path": "os.open(FILE, os.O_PATH)",
    "extended attributes": "os.listxattr(FILE)",
    "the size of another session's file": "os.stat(OTHER + '/secret').st_size",
}
_TYPES = {"stream": 1, "datagram": 2, "raw": 3, "packets": 5}
FAMILIES = {
    "UNIX": (1, (1, 2, 5), (0,)),
    "INET": (2, (1, 2, 3), (0, 1, 132, 136, 255, 262)),
    "INET6": (10, (1, 2, 3), (0, 58, 132, 136, 255, 262)),
    "NETLINK": (16, (3,), (0, 4, 6, 9, 12, 15, 16, 21)),
    "PACKET": (17, (2, 3), (0, 768)),
    "VSOCK": (40, (1, 2, 5), (0,)),
    "ALG": (38, (5,), (0,)),
    "KEY": (15, (3,), (2,)),
    "XDP": (44, (3,), (0,)),
    "CAN": (29, (2, 3), (1, 2)),
    "TIPC": (30, (1, 2, 5), (0,)),
    "BLUETOOTH": (31, (3, 5), (0, 1)),
    "RDS": (21, (5,), (0,)),
    "SMC": (43, (1,), (0, 1)),
    "QIPCRTR": (42, (2,), (0,)),
    "KCM": (41, (2, 5), (0,)),
    "PPPOX": (24, (1,), (0, 1)),
    "X25": (9, (5,), (0,)),
    "NFC": (39, (3, 5), (0, 1)),
    "MCTP": (45, (2,), (0,)),
}
NETWORK = {
    "connect over TCP": "socket.create_connection(('127.0.0.1', TCP), 2)",
    "connect over IPv6": "socket.create_connection(('::1', TCP6), 2)",
    "connect to a mapped address": "s = socket.socket(socket.AF_INET6); s.settimeout(2); s.connect(('::ffff:127.0.0.1', TCP))",
    "connect over MPTCP": "s = socket.socket(2, 1, 262); s.settimeout(2); s.connect(('127.0.0.1', TCP))",
    "send over UDP": "socket.socket(2, 2).sendto(b'x', ('127.0.0.1', UDP))",
    "fast open": "s = socket.socket(); s.sendto(b'x', 0x20000000, ('127.0.0.1', TCP))",
    "listen": "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()",
    "listen without an address": "s = socket.socket(); s.listen()",
    "bind UDP": "socket.socket(2, 2).bind(('127.0.0.1', 0))",
    "connect to a UNIX socket": "socket.socket(1, 1).connect(SOCK)",
    "connect to an abstract socket": "socket.socket(1, 1).connect('\\0' + ABSTRACT)",
    "listen on a UNIX socket": "socket.socket(1, 1).bind('s')",
    "listen on an abstract socket": "socket.socket(1, 1).bind('\\0nanobot-new')",
    "send from a pair of datagram sockets": "socket.socketpair(1, 2)",
    "a pair of TIPC sockets": "socket.socketpair(30, 5)",
    "the shell's TCP": "subprocess.run(['/bin/bash', '-c', f'echo > /dev/tcp/127.0.0.1/{TCP}'], stderr=-3).returncode == 0 or os.open('/none', 0)",
    "the interfaces": "socket.if_nameindex()",
    "look up a name": "socket.gethostbyname('localhost') and socket.socket()",
    "a namespace of another process": "os.open(f'/proc/{P}/ns/net', 0)",
}
SIGNAL_BY_INPUT = "a signal by input"
PROCESSES = {
    "kill, to see": "os.kill(P, 0)",
    "kill": "os.kill(P, signal.SIGURG)",
    "kill all, to see": "call((62, 129), -1, 0)",
    "kill the group": "call((62, 129), -P, 0)",
    "kill the launcher": "os.kill(os.getppid(), 0) if os.getppid() > 1 else None; os.kill(P, 0)",
    "tkill": "call((200, 130), P, 0)",
    "tgkill": "call((234, 131), P, P, 0)",
    "queue a signal": "call((129, 138), P, 0, struct.pack('iii', 0, 0, -1) + bytes(116))",
    "queue a signal to a thread": "call((297, 240), P, P, 0, struct.pack('iii', 0, 0, -1) + bytes(116))",
    "a signal by descriptor": "call(424, call(434, P, 0), 0, 0, 0)",
    SIGNAL_BY_INPUT: (
        # Whether it arrives is seen outside: `PIO` is gone then.
        "a, b = os.pipe(); fcntl.fcntl(a, fcntl.F_SETOWN, PIO)\n"
        "fcntl.fcntl(a, fcntl.F_SETFL, fcntl.fcntl(a, fcntl.F_GETFL) | os.O_ASYNC)\n"
        "os.write(b, b'x'); time.sleep(0.1); raise OSError"
    ),
    "ptrace": "call((101, 117), 16, P, 0, 0)",
    "seize": "call((101, 117), 0x4206, P, 0, 0)",
    "trace itself": "call((101, 117), 0, 0, 0, 0)",
    "read its memory": "libc.process_vm_readv; reaches((310, 270), P, struct.pack('QQ', ctypes.addressof(buffer()), 8), 1, struct.pack('QQ', 4096, 8), 1, 0)",
    "write its memory": "reaches((311, 271), P, struct.pack('QQ', ctypes.addressof(buffer()), 8), 1, struct.pack('QQ', 4096, 8), 1, 0)",
    "advise on its memory": "reaches(440, call(434, P, 0), struct.pack('QQ', 4096, 4096), 1, 20, 0)",
    "release its memory": "reaches(448, call(434, P, 0), 0)",
    "its descriptor": "call(438, call(434, P, 0), 0, 0)",
    "compare with it": "call((312, 272), os.getpid(), P, 1, 0, 0)",
    "its limits": "call((302, 261), P, 7, 0, buffer())",
    "set its limits": "call((302, 261), P, 4, struct.pack('QQ', 0, 0), 0)",
    "its priority": "os.setpriority(os.PRIO_PROCESS, P, 19)",
    "the priority of its group": "os.setpriority(os.PRIO_PGRP, P, 19)",
    "the priority of its user": "os.setpriority(os.PRIO_USER, UID, 19)",
    "its priority at the disk": "call((251, 30), 1, P, 3 << 13)",
    "its user's priority at the disk": "call((251, 30), 3, UID, 3 << 13)",
    "its processors": "os.sched_setaffinity(P, os.sched_getaffinity(P))",
    "its scheduler": "os.sched_setscheduler(P, os.SCHED_BATCH, os.sched_param(0))",
    "its scheduler's parameters": "os.sched_setparam(P, os.sched_getparam(P))",
    "its scheduler's attributes": "call((314, 274), P, struct.pack('IIQiIQQQ', 48, 3, 0, 19, 0, 0, 0, 0), 0)",
    "its memory's place": "call((256, 238), P, 64, struct.pack('Q', 1), struct.pack('Q', 1))",
    "its pages": "reaches((279, 239), P, 1, struct.pack('Q', 4096), 0, buffer(), 0)",
    "its robust list": "call((274, 100), P, buffer(), buffer())",
    "its session": "os.getsid(P) and os.kill(P, 0)",
    "shared memory of others": "call((30, 196), SHM, 0, 0o10000)",
    "the state of shared memory": "call((31, 195), SHM, 2, buffer())",
    "a message of others": "call((70, 188), MSG, buffer(), 64, 0, 0o4000)",
    "a message to others": "call((69, 189), MSG, struct.pack('l', 2) + b'x', 1, 0o4000)",
    "a semaphore of others": "call((65, 193), SEM, struct.pack('Hhh', 0, 1, 0), 1)",
    "shared memory of its own": "call((29, 194), 0, 4096, 0o1600)",
    "a message queue of its own": "call((68, 186), 0, 0o1600)",
    "a semaphore of its own": "call((64, 190), 0, 1, 0o1600)",
    "a POSIX queue": "call((240, 180), b'nanobot', 0o102, 0o600, 0); call((241, 181), b'nanobot')",
    "a file in memory": "os.memfd_create('x')",
    "a secret file in memory": "call(447, 0)",
    "a terminal": "os.openpty()",
    "input to a terminal": (
        "try: fcntl.ioctl(0, 0x5412, b'x')\n"
        "except OSError as error:\n"
        "    if error.errno not in (errno.ENOTTY, errno.EIO): raise"
    ),
    "input to a console": (
        "try: fcntl.ioctl(0, 0x541C, bytes(8))\n"
        "except OSError as error:\n"
        "    if error.errno not in (errno.ENOTTY, errno.EIO): raise"
    ),
    "input to a terminal by a wide number": (
        "libc.syscall(ctypes.c_long(16 if X86 else 29), 0, ctypes.c_ulong(0xF00005412), b'x')\n"
        "ctypes.get_errno() in (errno.ENOTTY, errno.EIO) or os.open('/none', 0)"
    ),
}
_NAMESPACES = {
    "mount": 0x20000,
    "cgroup": 0x2000000,
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "network": 0x40000000,
    "time": 0x80,
}
KERNEL = {
    **{f"a new {name} namespace": f"call((272, 97), {flag})" for name, flag in _NAMESPACES.items()},
    **{
        f"a process in a new {name} namespace": f"call((56, 220), {flag} | 17, 0, 0, 0, 0) or os._exit(0)"
        for name, flag in _NAMESPACES.items()
        if name != "time"
    },
    "clone3": "call(435, struct.pack('QQQQQQQQ', 0x10000000, 0, 0, 0, 17, 0, 0, 0), 64) or os._exit(0)",
    "the namespace of another process": "call((308, 268), call(434, P, 0), 0x40000000)",
    "mount": "reaches((165, 40), b'none', b'.', b'tmpfs', 0, 0); os.system('umount . 2>/dev/null; cd /; umount ' + os.getcwd() + ' 2>/dev/null')",
    "mount a process view": "os.mkdir('p'); reaches((165, 40), b'none', b'p', b'proc', 0, 0); os.system('umount p 2>/dev/null')",
    "bind": "os.mkdir('b'); reaches((165, 40), DIR.encode(), b'b', 0, 4096, 0); os.system('umount b 2>/dev/null')",
    "unmount": "reaches((166, 39), b'/nonexistent', 0)",
    "pivot_root": "reaches((155, 41), b'/nonexistent', b'/nonexistent')",
    "chroot": "os.chroot('.')",
    "a file system's context": "call(430, b'tmpfs', 0)",
    "open a tree": "call(428, -100, b'.', 1)",
    "move a mount": "reaches(429, -1, b'', -1, b'', 4)",
    "change a mount": "reaches(442, -100, b'/nonexistent', 0, buffer(), 32)",
    "look at a mount": "reaches(457, buffer(), buffer(), 64, 0)",
    "list mounts": "reaches(458, buffer(), buffer(), 8, 0)",
    "io_uring": "call(425, 1, ctypes.create_string_buffer(120))",
    "io_uring, to enter": "reaches(426, -1, 0, 0, 0, 0, 0)",
    "a key": "call((248, 217), b'user', b'nanobot', b'x', 1, -3)",
    "ask for a key": "reaches((249, 218), b'user', b'nanobot', 0, -3)",
    "a session of keys": "call((250, 219), 1, 0)",
    "the user's keys": "call((250, 219), 0, -4, 0)",
    "bpf": "call((321, 280), 0, struct.pack('IIII', 2, 4, 8, 1) + bytes(112), 128)",
    "count events": "call((298, 241), struct.pack('IIQ', 1, 128, 0) + bytes(112), 0, -1, -1, 0)",
    "handle page faults": "call((323, 282), 1)",
    "personality": "call((135, 92), 0x0040000)",
    "segments": "call((154, None), 0, buffer(), 16)",
    "ports": "call((172, None), 3)",
    "one port": "call((173, None), 0x80, 1, 1)",
    "log of the kernel": "call((103, 116), 3, buffer(), 16)",
    "size of the kernel's log": "call((103, 116), 10, 0, 0)",
    "reboot": "reaches((169, 142), 1, 2, 3, 0)",
    "another kernel": "reaches((246, 104), 0, 99, 0, 0)",
    "another kernel's file": "reaches((320, 294), -1, -1, 0, b'', 0)",
    "a module": "reaches((175, 105), b'x', 1, b'')",
    "a module's file": "reaches((313, 273), -1, b'', 0)",
    "remove a module": "reaches((176, 106), b'nanobot_none', 0o4000)",
    "swap": "reaches((167, 224), b'/nonexistent', 0)",
    "no swap": "reaches((168, 225), b'/nonexistent')",
    "accounting": "reaches((163, 89), b'/nonexistent')",
    "the clock": "reaches((164, 170), 0, 0)",
    "the clock's speed": "call((159, 171), buffer(256))",
    "the host's name": "n = os.uname().nodename.encode(); call((170, 161), n, len(n))",
    "the domain's name": "call((171, 162), b'(none)', 6)",
    "quotas": "reaches((179, 60), 0x80000100, 0, 0, 0)",
    "events of files": "call((300, 262), 0, 0)",
    "a file handle": "call((303, 264), -100, b'/', ctypes.create_string_buffer(struct.pack('I', 128) + bytes(200)), buffer(), 0)",
    "cookies": "reaches((212, 18), 0, buffer(), 8)",
    "the user root": "os.setuid(0)",
    "the group root": "os.setgid(0)",
    "groups": "os.setgroups([0])",
    "any user": "os.setresuid(12345, 12345, 12345)",
    "capabilities": "call((126, 91), struct.pack('II', 0x20080522, 0), struct.pack('IIIIII', 0xFFFFFFFF, 0xFFFFFFFF, 0, 0x1FF, 0x1FF, 0))",
    "programs with other users' rights": "libc.prctl(39, 0, 0, 0, 0) == 0 or os.open('/none', 0)",
    "a character device": "os.mknod('c', 0o20600, os.makedev(1, 3)); open('c', 'rb').close()",
    "a block device": "os.mknod('b', 0o60600, os.makedev(7, 0)); open('b', 'rb').close()",
    "more open files": (
        "try: resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))\n"
        "except ValueError: raise OSError\n"
        "len([os.dup(0) for _ in range(2000)]) == 2000 or os.open('/none', 0)"
    ),
    "more processes": "h = resource.getrlimit(resource.RLIMIT_NPROC)[1]; h == -1 or h > 100_000 or os.open('/none', 0)",
    "locked memory": "m = mmap.mmap(-1, 1 << 24); libc.mlock(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(m))), ctypes.c_size_t(1 << 24)) == 0 or os.open('/none', 0)",
    "a real-time schedule": "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
    "a better priority": "os.nice(-1)",
    "a core": "resource.getrlimit(resource.RLIMIT_CORE)[1] != 0 or os.open('/none', 0)",
    "the 32-bit numbers": (
        "X86 or os.open('/none', 0)\n"
        "m = mmap.mmap(-1, 4096, prot=7); m.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')\n"
        "f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\n"
        "f() == os.getpid() or os.open('/none', 0)"
    ),
    "the x32 numbers": "call((0x40000000 | 39, None))",
    "numbers that are not there yet": (
        "try: call(600)\nexcept OSError as error:\n    if error.errno != errno.ENOSYS: pass\n    raise"
    ),
    "less confinement": "os.WEXITSTATUS(os.system(f'cat {FILE} >/dev/null 2>&1')) == 0 or os.open('/none', 0)",
}


_OPEN = "GET http://open.test:WEB/ HTTP/1.1\\r\\nHost: open.test\\r\\n"
_SECRET = "GET /secret HTTP/1.1\\r\\nHost: other.test\\r\\n\\r\\n"
_POST = "POST http://open.test:WEB/ HTTP/1.1\\r\\nHost: open.test\\r\\n"
PLACES_BY_PROXY = {
    # what is asked for: where it leads, at which port
    "127.0.0.1": ("127.0.0.1", "TCP"),
    "localhost": ("127.0.0.1", "TCP"),
    "2130706433": ("127.0.0.1", "TCP"),
    "0x7f000001": ("127.0.0.1", "TCP"),
    "0177.0.0.1": ("127.0.0.1", "TCP"),
    "127.1": ("127.0.0.1", "TCP"),
    "0": ("127.0.0.1", "TCP"),
    "[::ffff:127.0.0.1]": ("127.0.0.1", "TCP"),
    "[::ffff:7f00:1]": ("127.0.0.1", "TCP"),
    "[::1]": ("::1", "TCP6"),
    "open.test": ("127.0.0.1", "TCP"),
    "open.test.": ("127.0.0.1", "TCP"),
    "sub.open.test": ("127.0.0.1", "WEB"),
    "127.0.0.1#.trap.test": ("127.0.0.1", "TCP"),
    "127.0.0.1%23.trap.test": ("127.0.0.1", "TCP"),
    "x@127.0.0.1": ("127.0.0.1", "TCP"),
    "trap.test": ("127.0.0.1", "TCP"),
    **{
        f"{name}.trap.test": (address, port)
        for name, address, port in (
            ("to-loopback", "127.0.0.1", "TCP"),
            ("TO-LOOPBACK", "127.0.0.1", "TCP"),
            ("to-any", "127.0.0.1", "TCP"),
            ("to-six", "::1", "TCP6"),
            ("mapped", "127.0.0.1", "TCP"),
            ("compatible", "127.0.0.1", "TCP"),
            ("translated", "127.0.0.1", "TCP"),
            ("six-to-four", "127.0.0.1", "TCP"),
            ("metadata", "169.254.169.254", "WEB"),
        )
    },
}
PROXY = {
    **{
        f"by the proxy to {place}": f"opened({place!r}, {port}, {direct!r}, {port})"
        for place, (direct, port) in PLACES_BY_PROXY.items()
    },
    "the host that is allowed": f"b'ok' in answered('{_OPEN}\\r\\n') or os.open('/none', 0)",
    "a second request behind the first": f"shows(answered('{_OPEN}\\r\\n{_SECRET}'))",
    "another host's name in a request": "shows(answered('GET http://open.test:WEB/ HTTP/1.1\\r\\nHost: other.test\\r\\n\\r\\n'))",
    "a request of its own form": f"shows(answered('{_SECRET}'))",
    "a request in a body": f"shows(answered('{_POST}Content-Length: 5\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n{_SECRET}'))",
    "a request in a body that a header hides": f"shows(answered('{_POST}Connection: content-length\\r\\nContent-Length: 0\\r\\n\\r\\n{_SECRET}'))",
    "a request in a folded header": "shows(answered('GET http://open.test:WEB/ HTTP/1.1\\r\\nHost: open.test\\r\\nX: a\\r\\n \\r\\n\\r\\n"
    + _SECRET
    + "'))",
    "a request behind a bare line end": f"shows(answered('GET http://open.test:WEB/\\nX: y HTTP/1.1\\r\\nHost: open.test\\r\\n\\r\\n{_SECRET}'))",
    "another user's proxy": "socket.create_connection(('127.0.0.1', TCP), 2)",
    "the socket that the proxy listens at": (
        "import stat\n"
        "own = [n for n in range(3, 1024) if os.path.exists(f'/proc/self/fd/{n}')]\n"
        "[n for n in own if stat.S_ISSOCK(os.fstat(n).st_mode)] or os.open('/none', 0)"
    ),
    "its port, to listen at": "s = socket.socket(); s.setsockopt(1, 15, 1); s.bind(('127.0.0.1', 3128)); s.listen()",
    "another protocol on a connection": "s = socket.create_connection(('127.0.0.1', WEB)) if 'http_proxy' not in os.environ else opened('open.test', WEB, '', 0); s.setsockopt(6, 31, b'tls')",
    "a route of its own": "s = socket.socket(); s.setsockopt(0, 20, 1); s.setsockopt(1, 25, b'lo')",
    "a socket that is connected anew": "s = socket.create_connection(('127.0.0.1', WEB)) if 'http_proxy' not in os.environ else opened('open.test', WEB, '', 0); call((42, 203), s.fileno(), struct.pack('HHIQ', 0, 0, 0, 0), 16); s.connect(('127.0.0.1', TCP))",
    "an address of the machine's own": "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('203.0.113.1', 80)); socket.create_connection((s.getsockname()[0], TCP), 2)",
}


def all_attempts() -> tuple[Attempt, ...]:
    """Return every attempt."""
    found = [Attempt("read", name, code) for name, code in READ.items()]
    found += [
        Attempt("read", path, f"open({path!r}, 'rb').read(64) or os.open('/none', 0)") for path in PLACES
    ]
    found += [Attempt("read", f"names in {path}", f"os.listdir({path!r})") for path in DIRECTORIES]
    found += [
        Attempt(
            "devices", f"/dev/{name}", f"os.open('/dev/{name}', os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)"
        )
        for name in DEVICES
    ]
    found += [Attempt("write", name, code) for name, code in WRITE.items()]
    found += [Attempt("metadata", name, code) for name, code in METADATA.items()]
    names = {number: name for name, number in _TYPES.items()}
    for family, (number, types, protocols) in FAMILIES.items():
        found += [
            Attempt(
                "network",
                f"a socket {family}, {names[type_]}, protocol {protocol}",
                f"socket.socket({number}, {type_}, {protocol})",
            )
            for type_ in types
            for protocol in protocols
        ]
    found += [Attempt("network", name, code) for name, code in NETWORK.items()]
    found += [Attempt("proxy", name, code) for name, code in PROXY.items()]
    found += [Attempt("processes", name, code) for name, code in PROCESSES.items()]
    found += [Attempt("kernel", name, code) for name, code in KERNEL.items()]
    return tuple(found)


REACHED = ("proxy", "the host that is allowed")
IN_A_NETWORK = {("network", "a socket INET, stream, protocol 0"), ("network", "look up a name"), REACHED}
"""What a command that has a network does: it makes sockets of TCP, and reaches what it may."""
