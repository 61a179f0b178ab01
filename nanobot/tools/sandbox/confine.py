"""Gives up, for good, whatever a command must not reach, and becomes the command. Standard library only.

`python -I -S confine.py FD` does so within bubblewrap, by the order that FD has; there it also opens what is
the only network of the command. The launcher calls `enter`.
"""

import ctypes
import importlib
import json
import os
import resource
import signal
import sys
from typing import Any

# Isolated Python looks for modules in the standard library only.
sys.path.insert(0, os.path.abspath(os.path.join(__file__, "..", "..", "..", "..")))  # noqa: PTH100, PTH118

from nanobot.tools.sandbox import filter as system_calls
from nanobot.tools.sandbox import landlock

Order = dict[str, Any]
READABLE = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/nsswitch.conf"),
    *(
        "/etc/localtime",
        "/etc/timezone",
        "/etc/ssl/certs",
        "/etc/ssl/openssl.cnf",
        "/etc/pki",
        "/etc/mime.types",
    ),
    *(
        "/etc/os-release",
        "/etc/debian_version",
        "/etc/lsb-release",
        "/etc/redhat-release",
        "/etc/alpine-release",
    ),
)
OF_THE_MACHINE = ("/proc/cpuinfo", "/proc/meminfo", "/proc/version", "/sys/devices/system/cpu/online")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_DEATH_SIGNAL = 1
PROXY_PORT = 3128
_BACKLOG = 64
_libc = ctypes.CDLL(None, use_errno=True)


def limit(limits: dict[str, Any], processes: int) -> None:
    """Limit this process and all that it starts. `processes`: as many tasks may its user have, others of the
    same user included.

    Raises:
        OSError, ValueError: the system does not take a limit.
    """
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 1024),
        (resource.RLIMIT_FSIZE, limits["disk_bytes"]),
        (resource.RLIMIT_DATA, limits["memory_bytes"]),
        (resource.RLIMIT_MEMLOCK, 65536),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_NPROC, processes),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def end_with_parent() -> None:
    """Let this process be killed when the one that started it is gone."""
    _libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def enter(order: Order) -> None:
    """Confine this process by Landlock and seccomp, and become the command of the order. Where the order has
    `probe` in place of a command: try what is to be refused, and print what was not, as JSON.

    Raises:
        OSError, KeyError: the kernel lacks what confines, or the command cannot be started.
    """
    os.chdir(order["workspace"])
    readable = [*READABLE, *order["readable"], *order["skills"].values()]
    readable += [order["uploads"]] if order["uploads"] else []
    # A /proc of its own shows the command's processes only.
    readable += ["/proc"] if order["own_proc"] else OF_THE_MACHINE
    # Imported before files are closed to it.
    attempts = importlib.import_module("nanobot.tools.sandbox.attempts") if "probe" in order else None
    has_network = "network" in order
    landlock.confine(readable, order["writable"], _DEVICES, PROXY_PORT if has_network else None)
    system_calls.install(network=has_network)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    if attempts is not None:
        os.write(1, json.dumps(attempts.tried(order["probe"])).encode() + b"\n")
        os._exit(0)
    os.execve(order["command"][0], order["command"], order["environment"])  # noqa: S606 - confined by now


def _open_network(handed_in: int) -> None:
    """Listen at the proxy's port of this namespace, which has nothing else, and hand that socket to the
    server: it takes what is connected here, and the command has no part in it.
    """
    # Most commands have none, and the launcher never needs it.
    socket = importlib.import_module("socket")
    with socket.socket() as listener, socket.socket(fileno=handed_in) as server:
        listener.bind(("127.0.0.1", PROXY_PORT))
        listener.listen(_BACKLOG)
        socket.send_fds(server, [b"."], [listener.fileno()])


def _main() -> None:
    descriptor = int(sys.argv[1])
    with open(descriptor, "rb") as file:
        order = json.load(file)
    network = order.get("network", 2)
    os.closerange(3, network)
    os.closerange(network + 1, 65536)
    try:
        end_with_parent()
        if "network" in order:
            _open_network(network)
        enter(order)
    except BaseException as error:  # noqa: BLE001 - it must never go on unconfined
        os.write(2, f"the sandbox does not start: {error}\n".encode())
    os._exit(126)


if __name__ == "__main__":
    _main()
