"""The process that confines one command on macOS and watches it: `python -I -S seatbelt_launcher.py FD`.

It speaks with the server as `launcher.py` does. Standard library only. Nobody has run it on a Mac.
"""

import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any

# Isolated Python looks for modules in the standard library only.
sys.path.insert(0, os.path.abspath(os.path.join(__file__, "..", "..", "..", "..")))  # noqa: PTH100, PTH118

from nanobot.tools.sandbox import launching, ps_tree, seatbelt, watchdog

_KILLER_S = 5.0
_WAITING, _KILLS, _ABOVE = 3, 4, 10
_UNWATCHED = "it ended the process that ends what it leaves behind"
# First it leaves a process behind that, when descriptor 3 ends, kills whatever it may signal: all of this
# sandbox, round by round, as something may be started meanwhile. Where it could signal the launcher it would
# kill all that its user runs, so there nothing is begun.
_INSIDE = """
if kill -s 0 "$1" 2>/dev/null; then
  echo "the sandbox does not keep signals inside" >&2
  exit 125
fi
shift
( ( read -r x
    n=0
    while [ $n -lt 50 ] && kill -s KILL -- -1; do n=$((n + 1)); done
  ) <&3 3<&- >/dev/null 2>&1 & )
exec 3<&- 4>&-
exec "$@"
"""
_PROBE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "seatbelt_attempts.py")  # noqa: PTH100, PTH118, PTH120
_PROCESSES = ps_tree.PsTree()


def main() -> None:
    launching.obey(_run, _PROCESSES)


def _run(order: launching.Order, control: int) -> dict[str, Any]:
    if 0 in (os.getuid(), os.geteuid()):
        raise PermissionError("no command runs as root: macOS has no user of its own for it")
    if "network" in order:
        raise PermissionError("there is no namespace for a network")
    if order["uploads"]:
        launching.link_uploads(order, order["uploads"])
    arguments, environment = _called(order)
    processes = ps_tree.processes_of(os.getuid()) + order["limits"]["processes"] + watchdog.OF_THE_SANDBOX
    (failed, fails), (waiting, release), (killed, kills) = _pipe(), _pipe(), _pipe()
    command = os.fork()
    if command == 0:
        try:
            _become(order, arguments, environment, processes, (waiting, kills, fails))
        except BaseException as error:  # noqa: BLE001 - it must never go on unconfined
            os.write(fails, f"{type(error).__name__}: {error}".encode())
        os._exit(126)
    for descriptor in (0, 1, 2, fails, waiting, kills):
        os.close(descriptor)
    # The end that the command has is closed when it becomes another program.
    if why := os.read(failed, 4096):
        return {"failed": why.decode(errors="replace")}
    # It leads a session: what it starts is in its group, until that leaves it.
    _PROCESSES.follow(command)
    end = watchdog.watch(command, order, _PROCESSES, {control: "stopped", killed: _UNWATCHED})
    if end == {"ended": _UNWATCHED} and (status := _status_soon(command)) is not None:
        # It was not started, or ended itself with everything else.
        end = {"exit": status}
    elif end == {"ended": _UNWATCHED}:
        # Nobody else ends what it has started: seen from its parent, as long as that is there.
        watchdog.end_all(_PROCESSES)
    if "exit" not in end:
        _kill(command)
    os.close(release)
    select.select([killed], [], [], _KILLER_S)
    return end


def _kill(command: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(command, signal.SIGKILL)


def _pipe() -> tuple[int, int]:
    """Return the ends of a pipe, out of the way of the numbers that its command gets."""
    ends = os.pipe()
    first, second = (fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, _ABOVE) for each in ends)
    for each in ends:
        os.close(each)
    return first, second


def _status_soon(command: int) -> int | None:
    """Return the status of a command that is about to end; None where it is not."""
    for _ in range(20):
        if (status := watchdog.reap(command)) is not None:
            return status
        time.sleep(0.01)
    return None


def _called(order: launching.Order) -> tuple[list[str], dict[str, str]]:
    """Return how the command of the order is called, confined, and its environment.

    Raises:
        OSError: a path of it is not there.
    """
    workspace, tmp = seatbelt.true_path(order["workspace"]), seatbelt.true_path(order["tmp"])
    environment = {**order["environment"], "HOME": workspace, "PWD": workspace, "TMPDIR": tmp}
    readable = [seatbelt.true_path(path) for path in order["readable"] if os.path.exists(path)]  # noqa: PTH110
    skills = [seatbelt.true_path(path) for path in order["skills"].values() if os.path.isdir(path)]  # noqa: PTH112
    for path in order["skills"].values():
        # All are in one.
        environment["SKILLS"] = os.path.realpath(os.path.dirname(path))  # noqa: PTH120
    if order["uploads"]:
        readable.append(seatbelt.true_path(order["uploads"]))
    command = order.get("command", [])
    if "probe" in order:
        python = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
        readable += [seatbelt.true_path(path) for path in (sys.base_prefix, python, _PROBE)]
        command = [python, "-I", "-S", _PROBE, json.dumps({**order["probe"], "tmp": tmp})]
    inside = ["/bin/sh", "-c", _INSIDE, "sandbox", str(os.getpid()), *command]
    arguments = seatbelt.confined(order["sandbox_exec"], [*readable, *skills], [workspace, tmp], inside)
    return arguments, environment


def _become(
    order: launching.Order,
    arguments: list[str],
    environment: dict[str, str],
    processes: int,
    given: tuple[int, int, int],
) -> None:
    """Become `sandbox-exec`, which confines the command. `given`: what tells that it is to end, what tells
    that its killer is gone, and where errors are written.
    """
    os.setsid()
    # Also whatever the server forgot to close.
    launching.close_all_but(0, 1, 2, *given)
    os.dup2(given[0], _WAITING)
    os.dup2(given[1], _KILLS)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o077)
    os.nice(5)
    _limit(order["limits"], processes)
    launching.reach(order["workspace"])
    os.execve(arguments[0], arguments, environment)  # noqa: S606 - it is what confines


def _limit(limits: dict[str, Any], processes: int) -> None:
    """Limit this process and all that it starts by what macOS has. `processes`: as many may its user have.

    Raises:
        OSError, ValueError: the system does not take a limit.
    """
    # More than that all processors together have.
    seconds = int(limits["wall_s"] * (os.cpu_count() or 1)) + 1
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 1024),
        (resource.RLIMIT_FSIZE, limits["disk_bytes"]),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_NPROC, processes),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    main()
