"""What is outside of the sandbox for the attempts to aim at: files, sockets, processes, other sessions."""

import contextlib
import ctypes
import os
import shutil
import socket
import sqlite3
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from nanobot.stores.workspaces.removing import remove_tree
from nanobot.tools.sandbox import launched

CANARY = "canary-7f3a"
LAUNCHER = Path(launched.__file__).with_name("launcher.py")
_libc = ctypes.CDLL(None, use_errno=True)
# shmget, shmctl, msgget, msgsnd, msgctl, semget, semctl
_NUMBERS = {"x86_64": (29, 31, 68, 69, 71, 64, 66), "aarch64": (194, 195, 186, 189, 187, 190, 191)}

# Run by the control before each attempt, which may have changed what the next one is aimed at.
RESTORE = """
import os
files = ((FILE, CANARY + '\\n'), (DIR + '/spare', ''), (OTHER + '/secret', CANARY), (TMPFILE, CANARY))
for path, content in files:
    if not os.path.exists(path) or os.path.getsize(path) != len(content):
        with open(path, 'w') as file: file.write(content)
os.makedirs(DIR + '/sparedir', exist_ok=True)
for name in os.listdir(DIR):
    if name.startswith(('new', 'moved', 'linked', 'dangling')) and not os.path.isdir(f'{DIR}/{name}'):
        os.unlink(f'{DIR}/{name}')
if os.path.isdir(DIR + '/newdir'): os.rmdir(DIR + '/newdir')
"""


class Arena(msgspec.Struct, frozen=True):
    """`base` holds everything; `workspace`, `tmp`, `shm` are the command's. `aims`: the names that attempts
    use, with what they stand for. `leaked`: a descriptor of a secret file. `victim`: a process that ends at
    SIGIO.
    """

    base: Path
    aims: dict[str, object]
    leaked: int
    victim: subprocess.Popen[bytes]

    @property
    def is_untouched(self) -> bool:
        """Whether the files outside are as they were, and the processes alive."""
        directory = self.base / "outside"
        names = {path.name for path in directory.iterdir()}
        expected = {"canary", "spare", "sparedir", "link", "fifo", "sock", "db", "escape_module.py", CANARY}
        secret = self.base / "w" / CANARY / "secret"
        texts = (directory / "canary").read_text(), secret.read_text()
        return names == expected and texts == (f"{CANARY}\n", CANARY) and self.victim.poll() is None


@contextlib.contextmanager
def open_arena(owner: int, uid: int) -> Iterator[Arena]:
    """Yield what is to be attacked by a command of the user `uid`; it belongs to `owner`, and only the
    sandbox stands before it.
    """
    with contextlib.ExitStack() as stack:
        base = Path(tempfile.mkdtemp(prefix="nanobot-escape-", dir="/var/tmp"))
        stack.callback(remove_tree, base)
        base.chmod(0o755)
        directory, other = base / "outside", base / "w" / CANARY
        for path in (directory, other, directory / "sparedir"):
            path.mkdir(parents=True)
        _fill(directory, other)
        for name in ("workspace", "tmp", "shm"):
            (base / name).mkdir()
            os.chown(base / name, uid, uid)
        temporary = Path(f"/tmp/{CANARY}-{os.getpid()}"), Path(f"/dev/shm/{CANARY}-{os.getpid()}")
        for path in temporary:
            path.write_text(CANARY)
            path.chmod(0o666)
            stack.callback(path.unlink, missing_ok=True)
        sockets = _sockets(stack, directory)
        for path in (*base.glob("outside/**/*"), directory, base / "w", other, other / "secret", *temporary):
            if not path.is_symlink():
                path.chmod(0o777 if path.is_dir() or path.name == CANARY else 0o666)
                os.chown(path, owner, owner)
        victims = [_start_victim(stack, directory, owner) for _ in range(2)]
        shared, messages, semaphores = _system_v(stack, owner)
        leaked = os.open(directory / "canary", os.O_RDONLY)
        stack.callback(os.close, leaked)
        aims: dict[str, object] = {
            "FILE": str(directory / "canary"),
            "DIR": str(directory),
            "OTHER": str(other),
            "CANARY": CANARY,
            "P": victims[0].pid,
            "PIO": victims[1].pid,
            "UID": owner,
            "FIFO": str(directory / "fifo"),
            "TMPFILE": str(temporary[0]),
            "SHMFILE": str(temporary[1]),
            "LAUNCHER": str(LAUNCHER),
            "SHM": shared,
            "MSG": messages,
            "SEM": semaphores,
            **sockets,
        }
        yield Arena(base, aims, leaked, victims[1])


def _fill(directory: Path, other: Path) -> None:
    (directory / "canary").write_text(f"{CANARY}\n")
    (directory / "spare").touch()
    (directory / "link").symlink_to(CANARY)
    os.mkfifo(directory / "fifo")
    (directory / "escape_module.py").write_text(f"X = {CANARY!r}\n")
    (other / "secret").write_text(CANARY)
    shutil.copy("/bin/sleep", directory / CANARY)
    with contextlib.closing(sqlite3.connect(directory / "db")) as db:
        db.execute("create table t (x)")
        db.execute("insert into t values (?)", (CANARY,))
        db.commit()


def _sockets(stack: contextlib.ExitStack, directory: Path) -> dict[str, object]:
    def bound(family: int, kind: int, address: object) -> socket.socket:
        made = stack.enter_context(socket.socket(family, kind))
        made.bind(address)  # type: ignore[arg-type]
        if kind == socket.SOCK_STREAM:
            made.listen(64)
        return made

    abstract = f"{CANARY}-{os.getpid()}"
    bound(socket.AF_UNIX, socket.SOCK_STREAM, str(directory / "sock"))
    bound(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{abstract}")
    tcp = bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
    tcp6 = bound(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0))
    udp = bound(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
    ports = {"TCP": tcp.getsockname()[1], "TCP6": tcp6.getsockname()[1], "UDP": udp.getsockname()[1]}
    return {"SOCK": str(directory / "sock"), "ABSTRACT": abstract, **ports}


def _start_victim(stack: contextlib.ExitStack, directory: Path, owner: int) -> subprocess.Popen[bytes]:
    with (directory / "canary").open("rb") as stdin:
        process = subprocess.Popen(
            [str(directory / CANARY), "300"],
            stdin=stdin,
            cwd=directory,
            env={"SECRET": CANARY},
            user=owner,
            group=owner,
            extra_groups=[],
            start_new_session=True,
        )

    def end() -> None:
        process.kill()
        process.wait()

    stack.callback(end)
    return process


def _system_v(stack: contextlib.ExitStack, owner: int) -> tuple[int, int, int]:
    """Make a segment of shared memory, a queue with a message and a semaphore, for everybody to use."""
    shmget, shmctl, msgget, msgsnd, msgctl, semget, semctl = _NUMBERS[os.uname().machine]
    shared = _libc.syscall(shmget, 0, 4096, 0o1666)
    stack.callback(_libc.syscall, shmctl, shared, 0, 0)
    messages = _libc.syscall(msgget, 0, 0o1666)
    stack.callback(_libc.syscall, msgctl, messages, 0, 0)
    for _ in range(50):
        _libc.syscall(msgsnd, messages, struct.pack("l", 1) + b"x", 1, 0)
    semaphores = _libc.syscall(semget, 0, 1, 0o1666)
    stack.callback(_libc.syscall, semctl, semaphores, 0, 0, 0)
    return shared, messages, semaphores
