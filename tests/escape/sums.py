"""What goes beyond the limits, or stays behind: a piece of Python each, run as a command of its own."""

import re
import time
from typing import Any

import msgspec

from tests.escape.arena import open_arena
from tests.escape.run import SYSTEM_PYTHON, Layer, Starter, launch
from tests.escape.users import end_all, processes, users

LIMITS = {"disk_bytes": 20 << 20, "memory_bytes": 100 << 20, "processes": 30, "wall_s": 4.0}
_ENDLESS_WALL_S = 2.0
"""The limit of time for what may be ended by that alone: until then it keeps all cores at work."""


class Excess(msgspec.Struct, frozen=True):
    """`code` is run by Python; `ends`: a pattern of why the command has to end, or of the status with which it
    ends by itself; `within_s`: how soon.
    """

    name: str
    code: str
    ends: str
    within_s: float = 6.0


_MEMORY, _DISK, _PROCESSES, _TIME = (
    "of memory: 100 are allowed",
    "files took .* 20 are",
    # Where the memory that processes share cannot be told apart, it may be too much first.
    "at most 30|exit|of memory: 100 are allowed",
    "longer",
)
_HOLD = "time.sleep(60)"
EXCESSES = (
    Excess("memory of one process", "x = bytearray(500 << 20)", "exit 1"),
    Excess(
        "memory of six processes",
        f"for _ in range(6):\n    if os.fork() == 0:\n        x = bytearray(os.urandom(1 << 20) * 30); {_HOLD}\n{_HOLD}",
        _MEMORY,
    ),
    Excess(
        "shared memory without a name",
        f"m = mmap.mmap(-1, 400 << 20)\nfor i in range(0, len(m), 4096): m[i] = 1\n{_HOLD}",
        _MEMORY,
    ),
    Excess(
        "shared memory of many",
        "for _ in range(5):\n    if os.fork() == 0:\n        m = mmap.mmap(-1, 50 << 20)\n"
        f"        for i in range(0, len(m), 4096): m[i] = 1\n        {_HOLD}\n{_HOLD}",
        _MEMORY,
    ),
    Excess("files", f"for i in range(100): open(f'f{{i}}', 'wb').write(bytes(1 << 20))\n{_HOLD}", _DISK),
    Excess("one large file", "open('f', 'wb').write(bytes(50 << 20))", f"exit -25|exit 153|exit 1|{_DISK}"),
    Excess(
        "a sparse file",
        "d = os.open('f', os.O_RDWR | os.O_CREAT); os.ftruncate(d, 1 << 40)",
        f"exit -25|exit 153|exit 1|{_DISK}",
    ),
    Excess(
        "files without a name",
        "d = []\nfor i in range(60):\n    d.append(os.open('f', os.O_RDWR | os.O_CREAT)); os.unlink('f')\n"
        f"    os.write(d[-1], bytes(1 << 20))\n{_HOLD}",
        _DISK,
    ),
    Excess("empty files", f"for i in range(8000): open(f'f{{i}}', 'w').close()\n{_HOLD}", _DISK),
    Excess("directories", f"for i in range(8000): os.mkdir(f'd{{i}}')\n{_HOLD}", _DISK),
    Excess("links", f"for i in range(8000): os.symlink('x' * 1000, f'l{{i}}')\n{_HOLD}", _DISK),
    Excess(
        "nested directories",
        f"for i in range(3000):\n    os.mkdir('d'); os.chdir('d')\n{_HOLD}",
        "nested deeper|" + _DISK,
    ),
    Excess(
        "files in /tmp",
        f"for i in range(100): open(f'{{T}}/f{{i}}', 'wb').write(bytes(1 << 20))\n{_HOLD}",
        _DISK,
    ),
    Excess(
        "files in /dev/shm",
        "try: open('/dev/shm/x', 'w').close()\nexcept OSError: sys.exit(1)\n"
        f"for i in range(100): open(f'/dev/shm/f{{i}}', 'wb').write(bytes(1 << 20))\n{_HOLD}",
        _DISK + "|exit 1",
    ),
    Excess(
        "files by children that end",
        f"for i in range(60):\n    if os.fork() == 0:\n        open(f'f{{i}}', 'wb').write(bytes(1 << 20)); os._exit(0)\n    os.wait()\n{_HOLD}",
        _DISK,
    ),
    Excess(
        "processes",
        f"while True:\n    try:\n        if os.fork() == 0: {_HOLD}\n    except OSError: break\n{_HOLD}",
        _PROCESSES,
    ),
    Excess(
        "a fork bomb",
        "while True:\n    try: os.fork()\n    except OSError: pass",
        _PROCESSES,
    ),
    Excess(
        "a fork bomb of sessions",
        "while True:\n    try: os.fork() or os.setsid()\n    except OSError: pass",
        _PROCESSES,
    ),
    Excess(
        "a shell's fork bomb",
        "os.execv('/bin/sh', ['sh', '-c', 'b() { b | b & }; b; sleep 60'])",
        _PROCESSES + "|" + _TIME,
        8.0,
    ),
    Excess(
        "threads",
        "import threading\nn = 0\ntry:\n    for _ in range(500): threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); n += 1\n"
        "except RuntimeError: pass\nos._exit(1 if n < 100 else 0)",
        "exit 1",
    ),
    Excess("time", _HOLD, _TIME, 6.0),
    Excess("time, at work", "while True: pass", _TIME, 6.0),
    Excess(
        "time, deaf to signals",
        f"for n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError): pass\n{_HOLD}",
        _TIME,
        6.0,
    ),
    Excess("time, stopped", "os.kill(os.getpid(), signal.SIGSTOP)", _TIME, 6.0),
    Excess("time, its output closed", f"os.close(0); os.close(1); os.close(2); {_HOLD}", _TIME, 6.0),
    Excess("left behind: a child", f"os.fork() or {_HOLD}", "exit 0", 3.0),
    Excess(
        "left behind: a daemon",
        f"if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: {_HOLD}",
        "exit 0",
        3.0,
    ),
    Excess(
        "left behind: deaf, stopped and of a session of its own",
        f"if os.fork() == 0:\n    os.setsid(); signal.signal(15, signal.SIG_IGN); os.kill(os.getpid(), signal.SIGSTOP); {_HOLD}",
        "exit 0",
        3.0,
    ),
    Excess(
        "left behind: one that starts another and ends, again and again",
        "if os.fork() == 0:\n    os.close(0); os.close(1); os.close(2)\n    while True:\n        try:\n            if os.fork(): os._exit(0)\n"
        "            os.setsid()\n        except OSError: pass",
        f"exit 0|{_PROCESSES}",
        3.0,
    ),
    Excess(
        "left behind: many that start others and end",
        "for _ in range(8):\n    if os.fork() == 0:\n        while True:\n            try:\n                if os.fork(): os._exit(0)\n"
        "            except OSError: pass",
        f"exit 0|{_PROCESSES}",
        3.0,
    ),
    Excess(
        "left behind: a fork bomb",
        "if os.fork() == 0:\n    while True:\n        try: os.fork()\n        except OSError: pass\ntime.sleep(0.3)",
        f"exit 0|{_PROCESSES}",
        4.0,
    ),
    Excess(
        "left behind: children that nobody waits for",
        f"for _ in range(20): os.fork() or os._exit(0)\nos.fork() or {_HOLD}",
        "exit 0",
        3.0,
    ),
)


class Verdict(msgspec.Struct, frozen=True):
    """How an excess ended: `why` and after which time; what was left of it then."""

    name: str
    why: str
    seconds: float
    left: tuple[str, ...]
    holds: bool


def exceed(excess: Excess, starter: Starter, layer: Layer, *, slack: float = 1.0) -> Verdict:
    """Run it in a layer of the sandbox, and see how it ends. `slack`: how much longer it may take, for a
    machine that is busy.
    """
    wall_s = _ENDLESS_WALL_S if _TIME in excess.ends else slack * LIMITS["wall_s"]
    limits = {**LIMITS, "wall_s": wall_s}
    code = f"import mmap, os, signal, sys, time\nT = os.environ['TMPDIR']\n{excess.code}"
    with open_arena(users().foreign, users().uid) as arena:
        try:
            started = time.monotonic()
            _, end = launch(
                arena,
                starter,
                layer,
                [SYSTEM_PYTHON, "-I", "-S", "-c", code],
                limits=limits,
                timeout_s=int(20 * slack),
            )
            seconds = time.monotonic() - started
            left = tuple(processes())
        finally:
            end_all()
    why = _why(end)
    holds = bool(re.search(excess.ends, why)) and seconds <= slack * excess.within_s and not left
    return Verdict(excess.name, why, round(seconds, 1), left, holds)


def _why(end: dict[str, Any]) -> str:
    return str(end["ended"]) if "ended" in end else " ".join(f"{name} {value}" for name, value in end.items())
