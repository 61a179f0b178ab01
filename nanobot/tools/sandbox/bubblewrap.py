"""How bubblewrap is started around a command. Standard library only."""

import json
import os
from collections.abc import Iterable

from nanobot.tools.sandbox.confine import OF_THE_MACHINE, PROXY_PORT, READABLE, Order

WORKSPACE, TMP = "/workspace", "/tmp"  # noqa: S108 - the one of the sandbox
SKILLS, UPLOADS = "/skills", "/uploads"
_PARTS = ("filter.py", "landlock.py", "attempts.py", "confine.py")
_HIDDEN = (
    *(
        "cmdline",
        "config.gz",
        "diskstats",
        "interrupts",
        "iomem",
        "ioports",
        "kallsyms",
        "kcore",
        "key-users",
    ),
    *("keys", "kmsg", "kpagecount", "kpageflags", "latency_stats", "locks", "modules", "sched_debug"),
    *("schedstat", "slabinfo", "sysrq-trigger", "timer_list", "vmallocinfo", "zoneinfo"),
)
_INSIDE = "/run/nanobot"
_USERS = "agent:x:{uid}:{gid}:agent:/workspace:/bin/sh\n"
_GROUPS = "agent:x:{gid}:\n"
_PROXY = f"http://127.0.0.1:{PROXY_PORT}"
_FOR_THE_PROXY = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), _PROXY),
    # Node knows the others only when it is told to.
    "NODE_USE_ENV_PROXY": "1",
}


def read_parts() -> dict[str, bytes]:
    """Return the files that confine a command from inside: its user may not be able to read them here."""
    folder = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    parts: dict[str, bytes] = {}
    for name in _PARTS:
        with open(os.path.join(folder, name), "rb") as file:  # noqa: PTH118, PTH123
            parts[name] = file.read()
    return parts


def become(order: Order, parts: dict[str, bytes], uid: int, gid: int) -> None:
    """Become bubblewrap, which starts the command of the order within namespaces of its own.

    Raises:
        OSError: it is not there, or what it shows is not.
    """
    inner: Order = {
        **order,
        "workspace": WORKSPACE,
        "writable": [WORKSPACE, TMP, "/dev/shm"],  # noqa: S108 - the one of the sandbox
        "own_proc": not order["lacks_proc"],
        "skills": {name: f"{SKILLS}/{name}" for name in order["skills"]},
    }
    inner["environment"] = {**order["environment"], "HOME": WORKSPACE, "PWD": WORKSPACE, "TMPDIR": TMP}
    if "network" in order:
        inner["environment"].update(_FOR_THE_PROXY)
    if order["skills"]:
        inner["environment"]["SKILLS"] = SKILLS
        # There is nothing else in it.
        inner["readable"] = [*order["readable"], SKILLS]
    if order["uploads"]:
        inner["uploads"] = UPLOADS
    if "probe" in order:
        inner["probe"] = {**order["probe"], "tmp": TMP}
    arguments = [
        order["bubblewrap"],
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
    ]
    arguments += ["--uid", str(uid), "--gid", str(gid)]
    arguments += _system(
        {*READABLE, *order["readable"], *([order["python_prefix"]] if order["python_prefix"] else [])}
    )
    arguments += ["--dev", "/dev", *(_parts_of_proc() if order["lacks_proc"] else _own_proc())]
    for source, shown in ((order["workspace"], WORKSPACE), (order["tmp"], TMP), (order["shm"], "/dev/shm")):  # noqa: S108
        arguments += ["--bind", source, shown]
    for name, source in order["skills"].items():
        arguments += ["--ro-bind-try", source, f"{SKILLS}/{name}"]
    if order["uploads"]:
        arguments += ["--ro-bind", order["uploads"], UPLOADS]
    names = {"uid": uid, "gid": gid}
    files = {f"{_INSIDE}/nanobot/tools/sandbox/{name}": content for name, content in parts.items()}
    files["/etc/passwd"] = _USERS.format(**names).encode()
    files["/etc/group"] = _GROUPS.format(**names).encode()
    for path, content in files.items():
        arguments += ["--ro-bind-data", str(_descriptor(content)), path]
    arguments += ["--chdir", WORKSPACE, order["python"], "-I", "-S"]
    arguments += [f"{_INSIDE}/nanobot/tools/sandbox/confine.py", str(_descriptor(json.dumps(inner).encode()))]
    os.execve(order["bubblewrap"], arguments, inner["environment"])  # noqa: S606 - it is what confines


def _system(paths: Iterable[str]) -> list[str]:
    """Return the arguments that show these paths, where they are, as they are."""
    arguments: list[str] = []
    # A directory comes before what is in it.
    for path in sorted(paths):
        if os.path.islink(path) and path.count("/") == 1:  # noqa: PTH114
            arguments += ["--symlink", os.readlink(path), path]  # noqa: PTH115
        else:
            arguments += ["--ro-bind-try", path, path]
    return arguments


def _own_proc() -> list[str]:
    # As root /proc/sys could be written through: a user of its own and this stand against it.
    arguments = ["--hostname", "sandbox", "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"]
    # What it says of the machine and of its kernel's memory.
    for path in (f"/proc/{name}" for name in _HIDDEN):
        if os.path.exists(path):  # noqa: PTH110
            arguments += ["--ro-bind", "/dev/null", path]
    return arguments


def _parts_of_proc() -> list[str]:
    """In containers whose engine lets programs make namespaces, but hides parts of /proc, the kernel mounts
    no other one; nor does the engine let them name the machine.
    """
    return [
        word for path in OF_THE_MACHINE if path.startswith("/proc/") for word in ("--ro-bind-try", path, path)
    ]


def _descriptor(content: bytes) -> int:
    descriptor = os.memfd_create("sandbox", 0)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
