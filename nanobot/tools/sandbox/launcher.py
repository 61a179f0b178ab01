"""The process that confines one command and watches it: `python -I -S launcher.py FD`.

From the descriptor FD it reads one line of JSON, the order. When FD is closed, for instance because the
server was killed, it ends the command with all that it started. Its last line on FD says how that ended:
`{"exit": STATUS}`, `{"ended": WHY}`, or `{"failed": WHY}` where it was not started. Standard library only.
"""

import contextlib
import ctypes
import importlib
import os
import resource
import select
import signal
import stat
import sys
from typing import Any

# Isolated Python looks for modules in the standard library only.
sys.path.insert(0, os.path.abspath(os.path.join(__file__, "..", "..", "..", "..")))  # noqa: PTH100, PTH118

from nanobot.tools.sandbox import bubblewrap, confine, landlock, launching, proc_tree, watchdog

_SUBREAPER, _NEW_MOUNTS = 36, 0x20000
_BIND, _PRIVATE, _NO_SETUID_NO_DEVICES = 1 << 12, 1 << 14 | 1 << 18, 2 | 4
_READ_ONLY = _BIND | 1 << 5 | 1
_PLACES = ("workspace", "tmp", "shm")
_STAGES = ("/mnt", "/media", "/srv", "/opt")
_KILLER_S = 5.0
_libc = ctypes.CDLL(None, use_errno=True)
_PROCESSES = proc_tree.ProcTree()


def main() -> None:
    # What a command leaves behind becomes a child of this process, whatever session it made.
    _libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    launching.obey(_run, _PROCESSES)


def _run(order: confine.Order, control: int) -> dict[str, Any]:
    if "end_user" in order:
        proc_tree.kill_user(order["end_user"])
        return {"exit": 0}
    parts = bubblewrap.read_parts() if order["bubblewrap"] else {}
    if "probe" in order:
        # The user of the command may not be able to read it.
        importlib.import_module("nanobot.tools.sandbox.attempts")
    if "network" in order and not order["bubblewrap"]:
        raise PermissionError("without bubblewrap there is no namespace for a network")
    if os.getuid() == 0:
        if not order["uid"]:
            raise PermissionError("no command runs as root")
        for place in _PLACES:
            _give(order[place], order["uid"])
        _stage(order)
    if order["uploads"]:
        launching.link_uploads(order, bubblewrap.UPLOADS if order["bubblewrap"] else order["uploads"])
    failed, fails = os.pipe()
    waiting, release = os.pipe()
    killed, kills = os.pipe()
    command = os.fork()
    if command == 0:
        try:
            _become(order, fails, waiting, kills, parts)
        except BaseException as error:  # noqa: BLE001 - it must never go on unconfined
            os.write(fails, f"{type(error).__name__}: {error}".encode())
        os._exit(126)
    for descriptor in (0, 1, 2, fails, waiting, kills, *_network(order)):
        os.close(descriptor)
    # The end that the command has is closed when it becomes another program.
    if why := os.read(failed, 4096):
        return {"failed": why.decode(errors="replace")}
    end = watchdog.watch(command, order, _PROCESSES, {control: "stopped"})
    # All of the command ends at once, whatever it starts meanwhile: in bubblewrap with its first process,
    # else by the killer.
    if "exit" not in end:
        os.kill(command, signal.SIGKILL)
    os.close(release)
    select.select([killed], [], [], _KILLER_S)
    return end


# As root ------------------------------------------------------------------------------------------


def _give(directory: str, uid: int) -> None:
    """Make a user the owner of a directory and of all that is in it, but for files that have another name."""
    os.chown(directory, uid, uid)
    os.chmod(directory, 0o700)  # noqa: PTH101
    with contextlib.suppress(watchdog.TooDeep):
        for found, name, parent in watchdog.walk(directory):
            if found.st_uid != uid and (stat.S_ISDIR(found.st_mode) or found.st_nlink == 1):
                os.chown(name, uid, uid, dir_fd=parent, follow_symlinks=False)


def _stage(order: confine.Order) -> None:
    """Show the directories of the command where its user can reach them, and its own ones in place of /tmp
    and /dev/shm. Nothing of it is to be seen outside. Where root may not do so (in most containers), nothing
    is done, and the user must be able to reach them where they are.
    """
    stage = next((path for path in _STAGES if os.path.isdir(path)), None)  # noqa: PTH112
    if stage is None or _libc.unshare(_NEW_MOUNTS) < 0:
        return
    try:
        _mount("none", "/", _PRIVATE)
        _mount("tmpfs", stage, _NO_SETUID_NO_DEVICES, "tmpfs", "mode=0711,size=64k")
    except PermissionError:
        return
    for place in _PLACES:
        os.mkdir(f"{stage}/{place}")  # noqa: PTH102
        _mount(order[place], f"{stage}/{place}", _BIND)
        order[place] = f"{stage}/{place}"
    _stage_skills(order, f"{stage}/skills")
    if order["uploads"]:
        os.mkdir(f"{stage}/uploads")  # noqa: PTH102
        _mount(order["uploads"], f"{stage}/uploads", _BIND)
        _mount("none", f"{stage}/uploads", _READ_ONLY | _NO_SETUID_NO_DEVICES)
        order["uploads"] = f"{stage}/uploads"
    if not order["bubblewrap"]:
        for place, shown in (("tmp", "/tmp"), ("shm", "/dev/shm")):  # noqa: S108 - in its own view
            if os.path.isdir(shown):  # noqa: PTH112
                _mount(order[place], shown, _BIND)
                order[place] = shown


def _stage_skills(order: confine.Order, top: str) -> None:
    """Show the directories of skills, to be read only."""
    os.mkdir(top)  # noqa: PTH102
    for name, source in list(order["skills"].items()):
        shown = f"{top}/{name}"
        os.mkdir(shown)  # noqa: PTH102
        try:
            _mount(source, shown, _BIND)
        except FileNotFoundError:
            # It was removed a moment ago.
            del order["skills"][name]
            continue
        _mount("none", shown, _READ_ONLY | _NO_SETUID_NO_DEVICES)
        order["skills"][name] = shown


def _mount(source: str, target: str, flags: int, kind: str = "none", options: str = "") -> None:
    arguments = (source.encode(), target.encode(), kind.encode(), flags, options.encode())
    if _libc.mount(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot mount {target}: {os.strerror(number)}")


# The command --------------------------------------------------------------------------------------


def _become(order: confine.Order, fails: int, waiting: int, kills: int, parts: dict[str, bytes]) -> None:
    os.setsid()
    # Also whatever the server forgot to close.
    launching.close_all_but(0, 1, 2, fails, waiting, kills, *_network(order))
    os.umask(0o077)
    os.nice(5)
    # Where memory is short the command goes first, not the server.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("800")
    # The kernel starts some more than are allowed: else no command would ever have too many, and one that
    # starts more and more would go on until its time is over.
    processes = order["limits"]["processes"] + watchdog.OF_THE_SANDBOX + watchdog.TOO_MANY
    uid = order["uid"]
    if os.getuid() == 0:
        # Of processes of this user there are only those of the session.
        confine.limit(order["limits"], processes)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    else:
        confine.limit(order["limits"], _tasks_of_others() + processes)
    confine.end_with_parent()
    launching.reach(order["workspace"])
    if order["bubblewrap"]:
        bubblewrap.become(order, parts, os.getuid(), os.getgid())
    if landlock.scope_signals():
        _leave_killer(waiting, kills)
    environment = {"HOME": order["workspace"], "PWD": order["workspace"], "TMPDIR": order["tmp"]}
    for shown in order["skills"].values():
        # All are in one.
        environment["SKILLS"] = os.path.dirname(shown)  # noqa: PTH120
    writable = [order[place] for place in _PLACES]
    inner = {**order, "environment": {**order["environment"], **environment}, "writable": writable}
    if "probe" in order:
        inner["probe"] = {**order["probe"], "tmp": order["tmp"]}
    confine.enter({**inner, "own_proc": False})


def _leave_killer(waiting: int, kills: int) -> None:
    """Leave a process behind that, when `waiting` ends, kills all that the command has started, and nothing
    else: it is confined so that it can signal only what comes from here, and what is confined further cannot
    signal it.

    To follow the processes one by one does not do: one that starts another and ends, again and again, is
    never there when it is looked for.
    """
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return
    if os.fork():
        os._exit(0)
    # Now the launcher is its parent.
    launching.close_all_but(waiting, kills)
    os.read(waiting, 1)
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    os._exit(0)


def _network(order: confine.Order) -> tuple[int, ...]:
    return (order["network"],) if "network" in order else ()


def _tasks_of_others() -> int:
    """Return how many tasks of this user there are that the limit of processes has to leave room for.

    Some may be hidden, in other containers: if nothing can be started at that number, the true one is looked
    for.
    """
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    most = 1 << 22 if hard == resource.RLIM_INFINITY else hard

    def can_start(tasks: int) -> bool:
        resource.setrlimit(resource.RLIMIT_NPROC, (min(tasks, most), hard))
        try:
            child = os.fork()
        except BlockingIOError:
            return False
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        return True

    low = high = proc_tree.tasks_of(os.getuid()) + 1
    while not can_start(high) and high < most:
        low, high = high, 2 * high
    while high - low > 8:
        middle = (low + high) // 2
        low, high = (low, middle) if can_start(middle) else (middle, high)
    return high


if __name__ == "__main__":
    main()
